"""What an engine prints while it starts: its own processes name the cause of a failure nowhere else."""

from __future__ import annotations

import os
import re
import select
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from capgen.pipeline.library_warnings import output_sent_to

_KEPT = 2**18
_ERROR_LINE = re.compile(rb"^.*(?:\bERROR\b|Traceback \(most recent call last\)).*$", re.MULTILINE)


class EngineOutput(Protocol):
    """What an engine and its processes print while it starts."""

    def text(self) -> str:
        """The end of it so far."""
        ...

    def drop(self) -> None:
        """Do not show the errors in it: they are told in another way."""
        ...


class CopiedOutput:
    """A pipe that is copied to a file, by a thread that ends with the last process that writes to it.

    From the first error on the copy waits until ``release``.
    """

    def __init__(self, to: int) -> None:
        self._from, self.end = os.pipe()
        os.set_blocking(self._from, False)
        self._to, self._kept, self._lock = to, bytearray(), threading.Lock()
        self._held, self._watched = bytearray(), True
        threading.Thread(target=self._run, name="engine output", daemon=True).start()

    def text(self) -> str:
        """See ``EngineOutput``."""
        self._drain()
        return bytes(self._kept).decode("utf-8", "replace")

    def drop(self) -> None:
        """See ``EngineOutput``."""
        self._drain()
        self._held.clear()

    def release(self) -> None:
        """Show what waits, and from now on everything at once; this process writes no more."""
        self._drain()
        with self._lock:
            self._watched = False
            self._show(bytes(self._held))
            self._held.clear()
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

    def _drain(self) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        with self._lock, suppress(BlockingIOError):
            while self._take():
                pass

    def _take(self) -> bytes:
        """Copy what is there; nothing is the end."""
        data = os.read(self._from, 65_536)
        self._kept += data
        del self._kept[:-_KEPT]
        error = _ERROR_LINE.search(data) if self._watched and not self._held else None
        shown = len(data) if not self._held else 0
        if error is not None:
            shown = error.start()
        self._show(data[:shown])
        self._held += data[shown:]
        return data

    def _show(self, data: bytes) -> None:
        with suppress(OSError):  # nobody reads it any more
            os.write(self._to, data)


class LoggedOutput:
    """What was written to a log since this was made."""

    def __init__(self, log: Path) -> None:
        self._log, self._start = log, log_size(log)

    def text(self) -> str:
        """See ``EngineOutput``."""
        return logged_since(self._log, self._start)

    def drop(self) -> None:
        """It stays in the log."""


@contextmanager
def copied_output() -> Iterator[CopiedOutput]:
    """Copy to stderr, and keep the end of, what this process and those that it starts print in the block.

    The first error and what follows is shown after the block, unless it was dropped. Processes that outlive the block
    go on printing to stderr.
    """
    copy = CopiedOutput(os.dup(2))
    try:
        with output_sent_to(copy.end):
            yield copy
    finally:
        copy.release()


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
