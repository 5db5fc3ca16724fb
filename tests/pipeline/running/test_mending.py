"""What a kill or a careless hand leaves in OUT: the same command mends it, or names the file that it cannot mend."""

import shutil

import pytest

from capgen.dataset.reader import read_rows
from capgen.errors import LedgerError
from capgen.pipeline.asking.journal import ShardJournal
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.view import Settled
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings, released, session


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The settings of a run over three shards, and its finished OUT."""
    settings = echo_settings(write_lvis(tmp_path_factory.mktemp("mending") / "lvis"))
    return settings, session(settings, tmp_path_factory.mktemp("finished") / "out")[0]


@pytest.fixture
def out(run, tmp_path):
    """A copy of it, to be damaged."""
    return shutil.copytree(run[1], tmp_path / "out")


def cut(*names):
    def harm(out):
        for name in names:
            data = (out / name).read_bytes()
            (out / name).write_bytes(data[: len(data) // 2])

    return harm


def without(*names):
    def harm(out):
        for name in names:
            shutil.rmtree(out / name) if (out / name).is_dir() else (out / name).unlink()

    return harm


def half_written(out):
    """A temporary beside every file that is written under another name first."""
    for path in [*(out / "candidates").iterdir(), *out.glob("*.json"), *out.glob("*.parquet"), out / "README.md"]:
        path.with_name(f"{path.name}.0a1b2c3d.part").write_bytes(path.read_bytes()[:7])
    (out / "release.json").unlink()  # what else is half-written is found when the release is made


def half_planned(out):
    without("plan.json", "candidates", "data", "release.json")(out)
    (out / "plan" / "00002.jsonl").rename(out / "plan" / "00002.jsonl.part")


def half_packed(out):
    (out / "data").rename(out / "data.old.part")
    shutil.copytree(out / "data.old.part", out / "data.part")
    (out / "release.json").unlink()


def between_manifest_and_journal(out):
    """The kill came when the shard was committed and its journal not yet removed."""
    with ShardJournal(out / "journal" / "00001") as journal:
        journal.add(Settled(key="lvis/train/2/200", request="r", text="An answer.", finish_reason="stop"))


HARMS = {
    "a manifest without its file": (without("candidates/00001.parquet"), 6),
    "a file without its manifest": (without("candidates/00001.json"), 6),
    "a torn manifest": (cut("candidates/00001.json"), 6),
    "a truncated file": (cut("candidates/00001.parquet"), 6),
    "an empty file": (lambda out: (out / "candidates/00001.parquet").write_bytes(b""), 6),
    "no candidates at all": (without("candidates"), 15),
    "half-written temporaries everywhere": (half_written, 0),
    "the release cut off while it was packed": (half_packed, 0),
    "a release without its record": (without("release.json"), 0),
    "a torn record": (cut("release.json"), 0),
    "a torn card": (cut("README.md"), 0),
    "no data": (without("data"), 0),
    "the journal of a committed shard": (between_manifest_and_journal, 0),
    "a plan that was never finished": (half_planned, 15),
    "a torn report": (cut("report.json"), 0),
}


@pytest.mark.parametrize("harm", HARMS)
def test_the_same_command_mends_it_and_asks_for_nothing_else(run, out, harm):
    settings, finished = run
    do, asked = HARMS[harm]
    do(out)
    assert session(settings, out)[1].asked == asked
    assert verify(out).ok
    assert released(out) == released(finished)
    assert not [path.name for path in out.rglob("*.part")]


def test_torn_journals_of_several_workers_cost_only_the_torn_lines(run, out):
    settings, finished = run
    entries = {settled.key: settled for settled in answers(finished)}
    keys = sorted(entries)[6:12]
    without("candidates", "release.json", "data")(out)
    for start in (0, 3):
        with ShardJournal(out / "journal" / "00001") as journal:
            for key in keys[start : start + 3]:
                journal.add(entries[key])
    for file in (out / "journal" / "00001").iterdir():
        file.write_bytes(file.read_bytes()[:-9])
    _, report = session(settings, out)
    assert (report.resumed, report.asked) == (4, 11)
    assert released(out) == released(finished)


def answers(out):
    from capgen.dataset.shards import candidates_path

    for index in range(3):
        for row in read_rows(candidates_path(out, index)):
            yield Settled(
                key=row.key,
                request=row.request_sha256,
                text=row.caption,
                finish_reason=row.finish_reason,
                prompt_tokens=row.prompt_tokens,
                output_tokens=row.output_tokens,
            )


@pytest.mark.parametrize(
    ("do", "named"),
    [
        (cut("plan.json"), r"plan\.json is damaged"),
        (without("plan/00001.jsonl", "candidates/00001.json"), r"plan/00001\.jsonl.*missing"),
        (cut("plan/00001.jsonl", "candidates/00001.json"), r"plan/00001\.jsonl.*damaged"),
    ],
)
def test_what_cannot_be_mended_is_named(run, out, do, named):
    do(out)
    with pytest.raises(LedgerError, match=named) as error:
        session(run[0], out)
    assert "\n" not in str(error.value)
