"""A wall clock that jumps by days: nothing that a run decides, and no rate or time that it tells, follows it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from capgen.pipeline.releasing.verify import verify
from tests.pipeline.runs import echo_settings, manifests, released, session

REPOSITORY = Path(__file__).resolve().parents[3]

SOURCE = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>

static long jump(void) { static long calls; return (calls++ % 2 ? 1 : -1) * 86400L * 3; }

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE) now->tv_sec += jump();
    return result;
}

int gettimeofday(struct timeval *now, void *zone) {
    struct timespec time;
    int result = clock_gettime(CLOCK_REALTIME, &time);
    (void)zone;
    now->tv_sec = time.tv_sec; now->tv_usec = time.tv_nsec / 1000;
    return result;
}

time_t time(time_t *now) {
    struct timespec value;
    clock_gettime(CLOCK_REALTIME, &value);
    if (now) *now = value.tv_sec;
    return value.tv_sec;
}
"""


@pytest.fixture(scope="module")
def jumping(tmp_path_factory):
    """The environment of a process whose wall clock jumps by six days at every look; monotonic clocks stay."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    folder = tmp_path_factory.mktemp("clock")
    (folder / "jump.c").write_text(SOURCE)
    library = folder / "jump.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "jump.c", "-ldl"], check=True, timeout=60)
    environment = os.environ | {"LD_PRELOAD": str(library)}
    look = (
        "import time; a = time.time(); b = time.time(); m = time.monotonic(); print(abs(b - a), time.monotonic() - m)"
    )
    seen = subprocess.run([sys.executable, "-c", look], env=environment, capture_output=True, text=True, check=True)
    wall, monotonic = map(float, seen.stdout.split())
    assert wall > 86400 > monotonic >= 0, "the clock does jump"
    return environment


def run(environment, root, out, *options):
    command = [sys.executable, "-m", "tests.pipeline.inprocess", "run", "--dataset", "lvis", "--root", root]
    command += ["--out", out, "--engine", "echo", "--model", "none", "--gpus", "0", "--set", "run.shard_objects=5"]
    for option in options:
        command += ["--set", option]
    return subprocess.run(
        command, env=environment, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False
    )


def test_no_engine_is_taken_for_stalled_and_no_time_is_told_wrongly(jumping, lvis_root, tmp_path):
    out = tmp_path / "out"
    done = run(
        jumping, lvis_root, out, "engine.options.latency_s=1.5", "engine.options.concurrency=5", "run.stall_s=60"
    )
    assert done.returncode == 0, done.stderr
    assert verify(out).ok
    assert released(out) == released(session(echo_settings(lvis_root), tmp_path / "undisturbed")[0])
    report = json.loads((out / "report.json").read_text())
    assert len(report["engine_start_s"]) == 1, "no engine was started anew"
    assert all(0 <= seconds < 300 for seconds in [*report["engine_start_s"], *report["seconds"].values()])
    assert 0 < report["requests_per_s"] < 5 / 0.5
    assert all(0 <= manifest["seconds"] < 300 for manifest in manifests(out))


def test_an_engine_that_stalls_is_found_out_all_the_same(jumping, lvis_root, tmp_path):
    out = tmp_path / "out"
    done = run(
        jumping,
        lvis_root,
        out,
        "engine.options.stall_rate=0.2",
        "run.stall_s=0.5",
        "run.attempts=1",
        "run.max_failed=0.5",
    )
    assert done.returncode == 0, done.stderr
    ledger = verify(out)
    assert ledger.ok
    assert set(ledger.failed) == {"engine_stalled"}
