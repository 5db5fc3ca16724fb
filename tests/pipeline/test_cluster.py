"""The run on real Ray, and what is left of it when parts of it are killed."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from capgen.errors import UserError
from capgen.pipeline.session import Devices
from capgen.pipeline.status import standing
from capgen.pipeline.verify import verify
from tests.conftest import write_lvis
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


def start(root, out, *extra):
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "lvis", "--root", str(root), "--out", str(out)]
    command += ["--engine", "echo", "--model", "none", "--set", "run.shard_objects=5", *extra]
    log = (out.parent / "driver.log").open("a")
    return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)


def settled(out):
    try:
        state = standing(out)
    except (UserError, OSError):
        return 0
    return state.planned - state.left


def wait_until_settled(out, number, process, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if settled(out) >= number:
            return
        time.sleep(0.05)
    raise AssertionError(f"{settled(out)} objects settled, {number} expected; exit {process.poll()}")


def kill_all(process):
    """kill -9 of the driver and of everything it started."""
    children = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        if child.is_running():
            child.kill()
    process.wait(10)


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


def test_a_killed_worker_is_restarted_and_costs_what_was_in_flight(root, undisturbed, tmp_path):
    out = tmp_path / "out"
    process = start(root, out, "--set", "engine.options.latency_s=0.2", "--set", "engine.options.concurrency=4")
    wait_until_settled(out, 15, process)
    workers = [child for child in psutil.Process(process.pid).children(recursive=True) if "ShardActor" in child.name()]
    workers += [
        c for c in psutil.Process(process.pid).children(recursive=True) if "ShardActor" in " ".join(c.cmdline())
    ]
    assert workers
    workers[0].kill()
    assert process.wait(120) == 0
    assert verify(out).ok
    assert released(out) == undisturbed


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_shows_in_no_byte(root, undisturbed, tmp_path, workers):
    out, report = session(echo_settings(root), tmp_path / "out", Devices(workers=workers))
    assert len(report.engine_start_s) == workers
    assert released(out) == undisturbed
