"""A run whose answers come from batches: it ends with one line, keeps what is settled, and goes on where it stopped."""

import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.base import Postponed
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.session import Devices
from tests.pipeline import runs
from tests.pipeline.engines.chatserver import ChatServer, error
from tests.pipeline.engines.test_batchfile import good, requests, results


def settings(root, engine, **options):
    flags = {"source.root": root, "model.id": "tiny-vlm", "run.shard_objects": 5, "engine.name": engine}
    flags |= {"tries.again": [], "distinct.enabled": False}
    return load_settings("lvis", flags | {f"engine.options.{name}": value for name, value in options.items()})


def answer(folder, lines):
    """Output for these requests, in reverse."""
    out = []
    for number, line in enumerate(reversed(lines)):
        one = good(0, f"A tall cup with the number {line['custom_id'][-3:]} on its side.", custom_id=line["custom_id"])
        out.append(one | {"id": f"{line['custom_id']}-{number}"})
    results(folder, *out)


def test_a_run_waits_for_its_batches_and_finishes_with_their_answers(lvis_root, tmp_path):
    out, batch = tmp_path / "out", tmp_path / "out" / "batch"
    wanted = settings(lvis_root, "batchfile", requests_per_file=6)
    with pytest.raises(Postponed, match=rf"^15 requests wait for answers in {batch}"):
        runs.session(wanted, out)
    files = list(requests(batch).values())
    assert sum(map(len, files)) == 15
    assert not list((out / "candidates").glob("*.parquet")), "no request has failed for good"
    answer(batch, files[0])
    with pytest.raises(Postponed, match=rf"^{15 - len(files[0])} requests wait"):
        runs.session(wanted, out)
    assert sum(map(len, requests(batch).values())) == 15, "nothing was written twice"
    answer(batch, [line for lines in files[1:] for line in lines])
    runs.session(wanted, out)
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.planned, ledger.kept) == (15, 15)


def test_what_no_request_can_be_answered_for_ends_the_run_in_one_line(lvis_root, tmp_path):
    with ChatServer(default=error(401, "no such key")) as server, pytest.raises(UserError, match="answered 401"):
        runs.session(settings(lvis_root, "openai", base_urls=[server.url]), tmp_path / "out")


@pytest.mark.ray
def test_on_ray_every_worker_writes_what_it_lacks_before_the_run_ends(lvis_root, tmp_path):
    out, batch = tmp_path / "out", tmp_path / "out" / "batch"
    wanted = settings(lvis_root, "batchfile")
    with pytest.raises(Postponed, match=rf"^15 requests wait for answers in {batch}"):
        runs.session(wanted, out, Devices(workers=2))
    files = list(requests(batch).values())
    assert sum(map(len, files)) == 15
    answer(batch, [line for lines in files for line in lines])
    runs.session(wanted, out, Devices(workers=2))
    assert verify(out).ok
