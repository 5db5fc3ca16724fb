"""Ctrl-C and SIGTERM: the first ends long work in an orderly way, the second at once; both leave it resumable."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from capgen.errors import Interrupted

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(slots=True)
class Stop:
    """Whether somebody asked the work to end.

    While work is going on that ends in an orderly way (``orderly``), a first signal is only noted in ``asked``, and
    whoever does the work looks there; at any other time it is a ``KeyboardInterrupt``. The second signal of a kind ends
    the process: a launcher sends SIGTERM to processes that the terminal's Ctrl-C has reached already.

    Args:
        notice: one line that the first signal prints while the work goes on.
    """

    notice: str = "stopping; once more ends at once"
    asked: bool = False
    _orderly: bool = False
    _numbers: set[int] = field(default_factory=set)
    _before: dict[int, Any] = field(default_factory=dict)

    def __enter__(self) -> Stop:
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def listen(self) -> None:
        """Take the signals; once more after a library has taken them for itself. Only a main thread can."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number in _SIGNALS:
            before = signal.signal(number, self._heard)
            self._before.setdefault(number, before)

    @contextmanager
    def orderly(self) -> Iterator[None]:
        """While this lasts, a first signal interrupts nothing: whoever entered looks at ``asked``."""
        self._orderly = True
        try:
            yield
        finally:
            self._orderly = False

    def _heard(self, number: int, _: object) -> None:
        # Written without buffers: the signal may have come while the main thread was writing.
        if number in self._numbers:
            _say("capgen: stopped at once; run the same command again to resume\n")
            os._exit(Interrupted.exit_code)
        self._numbers.add(number)
        if self.asked:
            return
        self.asked = True
        if not self._orderly:
            raise KeyboardInterrupt
        _say(f"capgen: {self.notice}\n")


def _say(line: str) -> None:
    shown = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a live progress bar hides the cursor
    os.write(2, f"{shown}{line}".encode())
