"""Tiny trainings: in this process, and as the command in processes of their own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file

from capgen.cli.training import train

ROOT = Path(__file__).resolve().parents[3]
STEPS = 6


def learn(home, out, *assignments, releases=("images", "videos"), seams=None):
    """Train to the end; what was said."""
    said = io.StringIO()
    data = [home / name for name in releases]
    train(str(home / "tiny.toml"), data=data, out=out, assignments=assignments, seams=seams, console=Console(file=said))
    return said.getvalue()


def weights(out):
    return load_file(out / "model" / "model.safetensors")


def equal(a, b):
    """Bit by bit: what a resumed training promises."""
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def verb(home, out, *assignments):
    """What follows ``capgen`` on the command line."""
    words = ["train", home / "tiny.toml", "--out", out, "--data", home / "images", "--data", home / "videos"]
    for assignment in assignments:
        words += ["--set", assignment]
    return [str(word) for word in words]


def launch(*command, **environment):
    """Start a Python program in a process group of its own."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), **environment}
    return subprocess.Popen(
        [sys.executable, *command],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(path, process, seconds=240):
    """Until a file is there; the process must be alive for as long."""
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < end
        time.sleep(0.01)
