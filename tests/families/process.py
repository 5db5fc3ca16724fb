"""Runs a probe in a process of its own, with what a family needs to import on a machine without a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_TORCHVISION = Path(sys.prefix) / "share" / "torchvision"


def environment() -> dict[str, str]:
    """The environment for processes that need torchvision's Python part, which is kept aside on a CPU machine.

    On a GPU machine torchvision is where it always is, and has the operators that the shim would declare once more.
    """
    kept_aside = [str(_TORCHVISION), str(REPOSITORY / "tests" / "shims")] if _TORCHVISION.is_dir() else []
    path = [*kept_aside, str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(path), "HF_HUB_OFFLINE": "1"}


def probe(name: str, timeout: float = 550) -> dict[str, Any]:
    """The facts of a model, see ``tests.families.probe``."""
    return _last_line("tests.families.probe", name, timeout)


def processors(timeout: float = 200) -> dict[str, Any]:
    """What the processors of the families do that vLLM's CPU build does not run."""
    return _last_line("tests.families.processors", "", timeout)


def _last_line(module: str, argument: str, timeout: float) -> dict[str, Any]:
    command = [sys.executable, "-m", module, *([argument] if argument else [])]
    done = subprocess.run(
        command, env=environment(), cwd=REPOSITORY, capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, (done.stdout[-1500:], done.stderr[-3000:])
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
