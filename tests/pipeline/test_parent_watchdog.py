"""A worker whose parent is gone does not live on, nor do the processes of its engine."""

import subprocess
import sys
import time

import psutil

ENGINE = "import time; time.sleep(60)"
WORKER = f"""
import subprocess, sys, time
from capgen.pipeline.parent_watchdog import end_with_parent
end_with_parent()
engine = subprocess.Popen([sys.executable, "-c", {ENGINE!r}])
print(engine.pid, flush=True)
engine.wait()
"""
PARENT = f"""
import subprocess, sys
worker = subprocess.Popen([sys.executable, "-c", {WORKER!r}])
print(worker.pid, flush=True)
worker.wait()
"""


def test_a_worker_and_its_engine_end_when_the_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
        below = [psutil.Process(int(parent.stdout.readline())) for _ in range(2)]
        time.sleep(0.3)
        assert all(map(alive, below)), "they live while their parent does"
        parent.kill()
        deadline = time.monotonic() + 10
        while any(map(alive, below)):
            assert time.monotonic() < deadline
            time.sleep(0.02)


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
