"""SIGTERM to an engine's process: its machine is about to go, and it has some seconds for what is in flight.

Ray runs the methods of an actor in another thread than the main one, which alone may take signals; but it imports the
actor's module in the main thread, after it has taken SIGTERM for itself.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable


class LeaveNotice:
    """Whether the process was told to go."""

    def __init__(self) -> None:
        self.heard = False
        self._tell: Callable[[], object] | None = None

    def listen(self) -> None:
        """Take SIGTERM, where this is a worker process of Ray."""
        from ray._private.worker import WORKER_MODE, global_worker

        if global_worker.mode == WORKER_MODE and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, self._hear)

    def when_heard(self, tell: Callable[[], object]) -> None:
        """Call ``tell``, from the main thread, when the process is told to go; at once where it was already."""
        self._tell = tell
        if self.heard:
            tell()

    def _hear(self, *_: object) -> None:
        self.heard = True
        if self._tell is not None:
            self._tell()
