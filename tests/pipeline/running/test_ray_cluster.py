"""The run on real Ray, and what is left of it when parts of it are killed."""

import pytest

from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.session import Devices
from tests.conftest import write_lvis
from tests.pipeline.drivers import COUNTED, below, kill_all, settled, start, wait_until_settled
from tests.pipeline.engines.counted import counts
from tests.pipeline.runs import echo_settings, released, session

pytestmark = pytest.mark.ray


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """31 pictures, 90 objects."""
    return write_lvis(tmp_path_factory.mktemp("lvis"), images=31)


@pytest.fixture(scope="module")
def undisturbed(root, tmp_path_factory):
    """What a run without Ray and without any trouble releases."""
    out, _ = session(echo_settings(root), tmp_path_factory.mktemp("undisturbed") / "out")
    return released(out)


def test_a_run_killed_twice_releases_the_bytes_of_an_undisturbed_one(root, undisturbed, tmp_path):
    out = tmp_path / "out"
    slow = ("--set", "engine.options.latency_s=0.3", "--set", "engine.options.concurrency=4")
    for goal in (12, 40):
        process = start(root, out, *slow)
        wait_until_settled(out, goal, process)
        kill_all(process)
    before = settled(out)
    assert 40 <= before < 90
    process = start(root, out)
    assert process.wait(120) == 0
    assert verify(out).ok
    assert released(out) == undisturbed


@pytest.mark.parametrize("what", ["ShardActor", "counted.py"])
def test_a_killed_worker_or_engine_is_restarted_and_costs_what_was_in_flight(root, tmp_path, what):
    out = tmp_path / "out"
    slow = ("--set", "engine.options.latency_s=0.2", "--set", "engine.options.concurrency=4")
    process = start(root, out, *slow, engine=COUNTED)
    wait_until_settled(out, 15, process)
    (victim,) = below(process, what)
    victim.kill()
    assert process.wait(120) == 0
    assert verify(out).ok
    assert 90 <= counts(out)["answered"] <= counts(out)["asked"] <= 90 + 4
    calm, _ = session(echo_settings(root, f"engine.name={COUNTED}"), tmp_path / "calm")
    assert {name: data for name, data in released(calm).items() if "parquet" in name} == {
        name: data for name, data in released(out).items() if "parquet" in name
    }


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_shows_in_no_byte(root, undisturbed, tmp_path, workers):
    slow = echo_settings(root, "engine.options.latency_s=0.25", "engine.options.concurrency=1")
    out, report = session(slow, tmp_path / "out", Devices(workers=workers))
    assert len(report.engine_start_s) > 1, "the others came up too late to do anything"
    named = (out / "logs" / "engine-01.log").read_text()
    assert ":actor_name:engine 1 of out" in named, "Ray's dashboard and its logs call an engine so"
    assert released(out) == undisturbed
