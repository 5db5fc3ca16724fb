"""Calls of ``capgen`` in forked processes that are killed or stopped before a step."""

from __future__ import annotations

import os
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

_LIMIT_S = 120.0
_CHANGES = frozenset({"os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "os.link", "os.symlink"})


@dataclass(slots=True)
class Ended:
    """How a call ended: ``code`` is negative for a signal; ``steps`` are the changes of files, by path."""

    code: int
    said: str
    seconds: float
    pid: int
    steps: list[str] = field(default_factory=list)

    def complaint(self, place: Path) -> str | None:
        """Why this is not how a full disk is told of."""
        if self.code != 2:
            return f"exit {self.code}: {self.said[-300:]!r}"
        lines = [line for line in self.said.splitlines() if line.startswith("capgen: ")]
        if len(lines) != 1 or "No space left on device" not in lines[0] or str(place) not in lines[0]:
            return f"not one line that names the full folder: {self.said[-300:]!r}"
        return None


class Call:
    """A call of ``capgen`` in a forked process, which has everything imported.

    Args:
        place: the folder whose changes count as steps.
        at: before this step, from 1, the process gets ``blow``.
    """

    def __init__(self, arguments: list[str], place: Path, *, at: int = 0, blow: int = 0, umask: int = 0o022) -> None:
        self._said = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open until the end is read
        self._told = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self._begun = time.monotonic()
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid == 0:
            self._become(arguments, place, at, blow, umask)

    def _become(self, arguments: list[str], place: Path, at: int, blow: int, umask: int) -> None:
        """The child: it never returns."""
        os.setsid()
        os.umask(umask)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(os.open(os.devnull, os.O_RDWR), 1)
        os.dup2(self._said.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w", buffering=1)
        code = 1
        try:
            _watch_steps(place, self._told.fileno(), at, blow)
            from capgen.cli.main import main

            sys.argv = ["capgen", *arguments]
            main()
            code = 0
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException as error:  # noqa: BLE001 - whatever passes through is told
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            os._exit(code)

    def end(self, kill_after: float | None = None) -> Ended:
        """Wait for the end, or kill after so many seconds."""
        until = self._begun + (_LIMIT_S if kill_after is None else kill_after)
        while True:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() >= until:
                os.kill(self.pid, signal.SIGKILL)
                _, status = os.waitpid(self.pid, 0)
                break
            time.sleep(0.002)
        code = os.waitstatus_to_exitcode(status)
        return Ended(code, self._read(self._said), time.monotonic() - self._begun, self.pid, self._steps())

    def stopped(self) -> bool:
        """Wait until the process has stopped itself; whether it has, and not ended."""
        _, status = os.waitpid(self.pid, os.WUNTRACED)
        return os.WIFSTOPPED(status)

    def go_on(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _steps(self) -> list[str]:
        return self._read(self._told).splitlines()

    @staticmethod
    def _read(file: object) -> str:
        file.seek(0)  # type: ignore[attr-defined]
        return file.read()  # type: ignore[attr-defined,no-any-return]


def _watch_steps(place: Path, told: int, at: int, blow: int) -> None:
    """Note every change of a file below ``place`` before it is done, and send ``blow`` before the ``at``-th."""
    prefix, count = f"{place}/", 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal count
        if event == "open":
            flags = arguments[2] if len(arguments) > 2 else 0
            if not isinstance(flags, int) or not flags & (os.O_WRONLY | os.O_RDWR):
                return
        elif event not in _CHANGES:
            return
        name = arguments[0]
        path = os.fsdecode(name) if isinstance(name, str | bytes | os.PathLike) else ""
        if not f"{path}/".startswith(prefix):
            return
        count += 1
        os.write(told, f"{event} {path}\n".encode(errors="backslashreplace"))
        if count == at:
            os.kill(os.getpid(), blow)

    sys.addaudithook(hook)
