"""Ctrl-C and SIGTERM, sent to a real process: what is in flight is finished, what is done is kept, exit code 130."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from capgen.pipeline.releasing.verify import verify
from tests.conftest import write_lvis
from tests.pipeline.drivers import REPOSITORY, settled, wait_until_settled
from tests.pipeline.runs import echo_settings, released, session


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """31 pictures, 90 objects."""
    return write_lvis(tmp_path_factory.mktemp("lvis"), images=31)


@pytest.fixture
def start():
    """Starts a run; one that a failed test leaves behind is ended."""
    started = []
    yield lambda *args, **kwargs: started.append(launch(*args, **kwargs)) or started[-1]
    for process in started:
        process.kill()
        process.communicate()


def launch(root, out, *options, module="tests.pipeline.inprocess"):
    command = [sys.executable, "-m", module, "run", "--dataset", "lvis", "--root", root, "--out", out]
    command += ["--engine", "echo", "--model", "none", "--gpus", "0", "--set", "run.shard_objects=5"]
    for option in options:
        command += ["--set", option]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=REPOSITORY)


def send(process, number):
    begun = time.monotonic()
    os.kill(process.pid, number)
    process.wait(60)
    return time.monotonic() - begun, process.communicate()[1]


def stops_and_resumes(process, number, root, out, tmp_path):
    wait_until_settled(out, 12, process, seconds=240)
    before = settled(out)
    seconds, said = send(process, number)
    assert process.returncode == 130
    assert seconds < 25, "bounded: ten seconds for what is in flight, and what a busy machine needs to end Ray"
    assert "stopping: up to 10 s for the requests in flight" in said
    assert said.splitlines()[-1] == "capgen: stopped; what is done is kept: run the same command again to resume"
    assert "Traceback" not in said
    kept = settled(out)
    assert before <= kept < 90
    _, report = session(echo_settings(root), out)
    assert report.asked == 90 - kept, "not one answer was lost"
    assert verify(out).ok
    assert released(out) == released(session(echo_settings(root), tmp_path / "undisturbed")[0])


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_first_signal_finishes_what_is_in_flight_and_the_run_resumes(start, root, tmp_path, number):
    out = tmp_path / "out"
    process = start(root, out, "engine.options.latency_s=0.5", "engine.options.concurrency=4")
    stops_and_resumes(process, number, root, out, tmp_path)


@pytest.mark.ray
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_on_ray_too(start, root, tmp_path, number):
    out = tmp_path / "out"
    slow = ("engine.options.latency_s=0.5", "engine.options.concurrency=4")
    process = start(root, out, *slow, module="capgen.cli.main")
    stops_and_resumes(process, number, root, out, tmp_path)


def test_requests_that_are_never_answered_do_not_hold_it_up_and_a_second_signal_ends_it_at_once(start, root, tmp_path):
    out = tmp_path / "out"
    stuck = ("engine.options.stall_rate=0.1", "engine.options.latency_s=0.3", "engine.options.concurrency=4")
    process = start(root, out, *stuck)
    wait_until_settled(out, 8, process, seconds=240)
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    time.sleep(0.5)
    kept = settled(out)
    seconds, said = send(process, signal.SIGINT)
    assert (process.returncode, seconds < 2) == (130, True)
    assert said.splitlines()[-1] == "capgen: stopped at once; run the same command again to resume"
    assert settled(out) >= kept
    _, report = session(echo_settings(root), out)
    assert report.asked <= 90 - kept
    assert verify(out).ok


def test_stalled_requests_are_given_up_after_the_grace(start, root, tmp_path):
    out = tmp_path / "out"
    process = start(root, out, "engine.options.stall_rate=0.1", "engine.options.concurrency=4")
    wait_until_settled(out, 1, process, seconds=240)
    seconds, said = send(process, signal.SIGINT)
    assert process.returncode == 130
    assert 9 < seconds < 20, said


def test_a_signal_while_the_run_is_planned_ends_it_at_once(start, tmp_path):
    root = write_lvis(tmp_path / "lvis", images=2)
    file = root / "lvis_v1_train.json"
    body = json.loads(file.read_text())
    body["annotations"] *= 30_000
    file.write_text(json.dumps(body))
    process = start(root, tmp_path / "out")
    deadline = time.monotonic() + 60
    while not (tmp_path / "out" / ".lock").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    seconds, said = send(process, signal.SIGTERM)
    assert (process.returncode, said.count("\n")) == (130, 1), said
    assert seconds < 30
