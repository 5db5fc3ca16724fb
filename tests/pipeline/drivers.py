"""Real driver processes over a small dataset: started, watched by what they leave in OUT, and killed part by part."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import psutil

from capgen.errors import LedgerError, UserError
from capgen.pipeline.running.status import run_status

REPOSITORY = Path(__file__).resolve().parents[2]
COUNTED = "tests.pipeline.engines.counted:Counted"


def start(
    root: Path,
    out: Path,
    *extra: str,
    engine: str = "echo",
    env: Mapping[str, str] | None = None,
    program: str = "capgen.cli",
    url: str | None = None,
):
    """`capgen run` in a process group of its own, from the repository, so that engines of the tests are found.

    With `url` OUT is there, and `out` is its copy.
    """
    command = [sys.executable, "-m", program, "run", "--dataset", "lvis", "--root", str(root), "--out", url or str(out)]
    command += ["--engine", engine, "--model", "none", "--set", "run.shard_objects=5", *extra]
    with (out.parent / "driver.log").open("a") as log:
        return subprocess.Popen(
            command, stdout=log, stderr=log, start_new_session=True, cwd=REPOSITORY, env=os.environ | (env or {})
        )


def settled(out: Path) -> int:
    """Objects that need no more asking."""
    try:
        state = run_status(out)
    except (UserError, LedgerError, OSError):
        return 0
    return state.planned - state.left


def wait_until_settled(out: Path, number: int, process: subprocess.Popen, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if settled(out) >= number:
            return
        time.sleep(0.05)
    raise AssertionError(f"{settled(out)} objects settled, {number} expected; exit {process.poll()}")


def below(process: subprocess.Popen, what: str) -> list[psutil.Process]:
    """The processes under a driver that have `what` in their title or command line."""
    found = []
    for child in _children(process):
        try:
            if what in child.name() or what in " ".join(child.cmdline()):
                found.append(child)
        except psutil.Error:
            continue
    return found


def kill_all(process: subprocess.Popen) -> None:
    """kill -9 of the driver and of everything that it started."""
    children = _children(process)
    os.killpg(process.pid, signal.SIGKILL)
    for child in children:
        try:
            child.kill()
        except psutil.Error:
            continue
    process.wait(10)


def _children(process: subprocess.Popen) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        return []
