"""What an engine prints while it starts: its own processes name the cause of a failure nowhere else."""

from __future__ import annotations

import os
import select
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_KEPT = 2**18

Printed = Callable[[], str]
"""Gives the end of what has been printed."""


@contextmanager
def copied_output() -> Iterator[Printed]:
    """Copy to stderr, and keep the end of, what this process and those that it starts print in the block.

    Processes that outlive the block go on printing to stderr.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    copy = _Copy(os.dup(2))
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(copy.end, 1)
        os.dup2(copy.end, 2)
        yield copy.text
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, descriptor in enumerate(kept, 1):
            os.dup2(descriptor, number)
            os.close(descriptor)
        copy.close()


class _Copy:
    """A pipe that is copied to a file, by a thread that ends with the last process that writes to it."""

    def __init__(self, to: int) -> None:
        self._from, self.end = os.pipe()
        os.set_blocking(self._from, False)
        self._to, self._kept, self._lock = to, bytearray(), threading.Lock()
        threading.Thread(target=self._run, name="engine output", daemon=True).start()

    def text(self) -> str:
        """The end of what was written so far."""
        sys.stdout.flush()
        sys.stderr.flush()
        with self._lock:
            while self._read():
                pass
            return bytes(self._kept).decode("utf-8", "replace")

    def close(self) -> None:
        """This process writes no more."""
        os.close(self.end)

    def _run(self) -> None:
        waiting = select.poll()
        waiting.register(self._from, select.POLLIN)
        open_still = True
        while open_still:
            waiting.poll()
            with self._lock, suppress(BlockingIOError):
                open_still = bool(self._take())
        os.close(self._from)
        os.close(self._to)

    def _read(self) -> bool:
        """Whether there was something to read."""
        try:
            return bool(self._take())
        except BlockingIOError:
            return False

    def _take(self) -> bytes:
        """Copy what is there; nothing is the end."""
        data = os.read(self._from, 65_536)
        self._kept += data
        del self._kept[:-_KEPT]
        with suppress(OSError):  # nobody reads it any more
            os.write(self._to, data)
        return data


def log_size(log: Path) -> int:
    """How long a log is now; 0 where it is not on this machine."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def logged_since(log: Path, start: int) -> str:
    """The end of what was written to a log after its first ``start`` bytes; empty where it is not on this machine."""
    try:
        with log.open("rb") as file:
            file.seek(max(start, log.stat().st_size - _KEPT))
            return file.read().decode("utf-8", "replace")
    except OSError:
        return ""
