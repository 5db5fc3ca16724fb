"""What is settled inside an unfinished shard: append-only lines, one file for each worker that ever had the shard.

A worker that was thought dead may still write; because every worker has a file of its own, lines are never mixed. A
kill can tear only the last line of a file, which is then ignored. Where two files settle the same key, the earlier
file's line counts.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from uuid import uuid4

import msgspec

from capgen.pipeline.caption import Settled

_NAME = re.compile(r"(\d{4})-[0-9a-f]{8}\.jsonl")


class Strike(msgspec.Struct, frozen=True, kw_only=True):
    """A request that was in flight when the engine was found to do nothing any more."""

    strike: str


class Journal:
    """The journal of one shard, open for appending.

    Args:
        folder: ``OUT/journal/00012``; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        files = _files(folder)
        self.settled, self.strikes = _read(files)
        number = 1 + max((int(file.name[:4]) for file in files), default=0)
        self._path = folder / f"{number:04d}-{uuid4().hex[:8]}.jsonl"
        self._fd: int | None = None
        self._waiting: list[bytes] = []

    def add(self, line: Settled | Strike) -> None:
        """Take a line; ``flush`` writes it."""
        if isinstance(line, Settled):
            self.settled[line.key] = line
        self._waiting.append(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        """Append the lines taken since the last time; from now on they survive a kill of the process.

        Lines are written together because each write gives up the interpreter's lock, and with rendering threads
        about it takes milliseconds to get it back.
        """
        if not self._waiting:
            return
        if self._fd is None:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        data = b"".join(self._waiting)
        self._waiting.clear()
        while data:
            data = data[os.write(self._fd, data) :]

    def remove(self) -> None:
        """Forget the journal: its shard is committed."""
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def count_settled(folder: Path) -> int:
    """How many keys a shard's journal has settled; 0 where there is none."""
    return len(_read(_files(folder))[0]) if folder.is_dir() else 0


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))


def _read(files: list[Path]) -> tuple[dict[str, Settled], dict[str, int]]:
    settled: dict[str, Settled] = {}
    strikes: dict[str, int] = {}
    for line in _lines(files):
        if isinstance(line, Settled):
            settled.setdefault(line.key, line)
        else:
            strikes[line.strike] = strikes.get(line.strike, 0) + 1
    return settled, strikes


def _lines(files: list[Path]) -> Iterator[Settled | Strike]:
    """Whole lines only: a line without its end, or that is no JSON, was torn by a kill and is as if never written."""
    for file in files:
        for raw in file.read_bytes().split(b"\n")[:-1]:
            try:
                yield _decode(raw)
            except msgspec.MsgspecError:
                continue


def _decode(raw: bytes) -> Settled | Strike:
    if raw.startswith(b'{"strike"'):
        return msgspec.json.decode(raw, type=Strike)
    return msgspec.json.decode(raw, type=Settled)
