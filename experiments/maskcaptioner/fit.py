"""Trains a variant with ``capgen train`` in a process of its own, which can be stopped and goes on later."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

_PATIENCE_S = 30.0


class TrainingFailed(Exception):
    """``capgen train`` ended with an error, which it has told on stderr."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Args:
        model: the trained model, or that of the last checkpoint; None where there is none yet.
        seconds: spent so far, over all starts.
    """

    step: int
    steps: int
    seconds: float
    model: Path | None

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step == self.steps > 0


@dataclass(frozen=True, slots=True)
class Clock:
    """When this invocation has to end; ``deadline`` by the monotonic clock, None for never."""

    deadline: float | None = None

    @property
    def left(self) -> float | None:
        """Seconds left, None for any number."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.left == 0.0


def command(out: Path, data: Sequence[Path], assignments: Sequence[str]) -> list[str]:
    """The command line of a training."""
    line = [sys.executable, "-m", "capgen.cli", "train", "sample", "--out", str(out)]
    for path in data:
        line += ["--data", str(path)]
    for assignment in assignments:
        line += ["--set", assignment]
    return line


def train(out: Path, data: Sequence[Path], assignments: Sequence[str], steps: int, clock: Clock) -> Progress:
    """Train to the end, or until the time is up; what the last checkpoint holds is kept.

    Raises:
        TrainingFailed: the training ended with an error.
    """
    before = progress(out, steps)
    if before.finished or clock.over:
        return before
    out.mkdir(parents=True, exist_ok=True)
    begun = time.monotonic()
    with subprocess.Popen(command(out, data, assignments)) as process:
        try:
            code = process.wait(clock.left)
        except (subprocess.TimeoutExpired, KeyboardInterrupt) as stop:
            _end(process)
            _spent(out, before.seconds + time.monotonic() - begun)
            if isinstance(stop, KeyboardInterrupt):
                raise
            return progress(out, steps)
    _spent(out, before.seconds + time.monotonic() - begun)
    if code:
        raise TrainingFailed(
            f"the training in {out} ended with {code}; the same command goes on once the cause is gone"
        )
    return progress(out, steps)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGINT)
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _spent(out: Path, seconds: float) -> None:
    (out / "seconds.json").write_text(json.dumps(round(seconds, 1)), encoding="utf-8")


def progress(out: Path, steps: int) -> Progress:
    """What a training's folder says."""
    clock = out / "seconds.json"
    seconds = float(json.loads(clock.read_text(encoding="utf-8"))) if clock.is_file() else 0.0
    saved = sorted((out / "checkpoints").glob("step-????????"))
    step = int(saved[-1].name[5:]) if saved else 0
    if (out / "model" / "config.json").is_file() and step == steps:
        return Progress(steps, steps, seconds, out / "model")
    return Progress(min(step, max(0, steps - 1)), steps, seconds, saved[-1] / "model" if saved else None)
