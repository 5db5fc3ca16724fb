"""What is settled inside an unfinished shard: append-only lines, one file for each worker that ever had the shard.

A worker that was thought dead may still write; because every worker has a file of its own, lines are never mixed. A
kill can tear only the last line of a file, which is then ignored. Where two files settle the same key, the earlier
file's line counts.

Strikes say which requests were in flight when an engine stalled or died. A worker that lives on writes them itself.
Where its whole process died, the driver leaves a ``Lost`` line, and from then on workers write a ``Flight`` line before
they ask, so that the next loss is known to the request.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Literal
from uuid import uuid4

import msgspec

from capgen.dataset.files import telling_disk_trouble
from capgen.dataset.layout import RunLayout
from capgen.pipeline.asking import retry_state
from capgen.pipeline.view import Settled

_NAME = re.compile(r"(\d{4,})-[0-9a-f]{8}\.jsonl")

Why = Literal["stalled", "killed"]


class Strike(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that was in flight when the engine died or was found to do nothing any more.

    ``alone``: nothing else was, in an engine that had answered before: the request is to blame, or whoever killed the
    engine just then. ``request`` is its digest.
    """

    strike: str
    why: Why = "stalled"
    alone: bool = False
    request: str = ""


class Flight(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A request that is about to be asked; counts as a strike if the worker's process dies before it is settled."""

    flight: str
    alone: bool = False
    request: str = ""


class Lost(msgspec.Struct, frozen=True, kw_only=True):
    """The process of the worker that had the shard is gone; written by the driver."""

    lost: bool = True


class CaptionFit(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How well a caption fits its object against the neighbours of its category; see ``SentenceFit``.

    ``fit``: the object's key. ``prefers``: the neighbour for which the caption is more probable. ``message``: why there
    is no score.
    """

    fit: str
    caption: str
    contrast: float | None = None
    prefers: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    message: str | None = None


Line = Settled | Strike | Flight | Lost | CaptionFit


@dataclass(slots=True)
class Record:
    """What the lines of a shard's journal say together.

    ``settled``: the first answers; ``further``: the others, by key and step. ``fits``: scores by key and caption.
    ``alone``: the strikes of each key that it had alone. ``lost``: how often a worker's process died.
    """

    settled: dict[str, Settled] = field(default_factory=dict)
    further: dict[str, dict[str, Settled]] = field(default_factory=dict)
    fits: dict[tuple[str, str], CaptionFit] = field(default_factory=dict)
    strikes: dict[str, int] = field(default_factory=dict)
    alone: dict[str, list[Strike]] = field(default_factory=dict)
    lost: int = 0

    def settle(self, line: Settled) -> None:
        """Take an answer, unless there is one to the same request."""
        if line.step:
            self.further.setdefault(line.key, {}).setdefault(line.step, line)
        else:
            self.settled.setdefault(line.key, line)

    def strike(self, line: Strike) -> None:
        """Count a strike."""
        self.strikes[line.strike] = self.strikes.get(line.strike, 0) + 1
        if line.alone:
            self.alone.setdefault(line.strike, []).append(line)


class ShardJournal:
    """The journal of one shard, open for appending.

    Args:
        folder: ``OUT/journal/00012``; made if it is not there.

    Raises:
        DiskTrouble: it cannot be made, read or, later, written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with telling_disk_trouble(folder):
            folder.mkdir(parents=True, exist_ok=True)
            files = _files(folder)
            self._record = _read(files)
        self.settled, self.further, self.fits = self._record.settled, self._record.further, self._record.fits
        self.strikes, self.alone = self._record.strikes, self._record.alone
        number = 1 + max((_number(file) for file in files), default=0)
        self._path = RunLayout.journal_file(folder, number, uuid4().hex[:8])
        self._fd: int | None = None
        self._waiting: list[bytes] = []

    @property
    def careful(self) -> bool:
        """Whether flights are to be written down: a worker's process has died with this shard."""
        return self._record.lost > 0

    def proven_fault(self, key: str, request: str, attempts: int) -> Settled | None:
        """The fault of a further request that has ended ``attempts`` engines alone; None where it has not."""
        alone = [strike for strike in self.alone.get(key, ()) if strike.request == request]
        if len(alone) < attempts:
            return None
        told = f"the engine ended at this request {len(alone)} times with no other in flight"
        return Settled(key=key, request=request, attempts=len(alone), fault=f"engine_{alone[-1].why}", message=told)

    def proven_faults(self, attempts: int) -> list[Settled]:
        """What needs no more asking because it ended ``attempts`` engines with nothing else in flight.

        One such end proves little: an engine that is killed from outside has some request in flight, too.
        """
        faults = []
        for key, alone in self.alone.items():
            if len(alone) >= attempts and key not in self.settled:
                proof, strikes = alone[-1], self.strikes[key]
                told = "did not answer" if proof.why == "stalled" else "died of"
                message = (
                    f"the engine {told} this request {strikes} times, {len(alone)} of them with no other in flight"
                )
                fault = f"engine_{proof.why}"
                faults.append(Settled(key=key, request=proof.request, attempts=strikes, fault=fault, message=message))
        return faults

    def add(self, line: Line) -> None:
        """Take a line; ``flush`` writes it."""
        if isinstance(line, Settled):
            self._record.settle(line)
        elif isinstance(line, CaptionFit):
            self.fits.setdefault((line.fit, line.caption), line)
        self._waiting.append(msgspec.json.encode(line) + b"\n")

    def flush(self) -> None:
        """Append the lines taken since the last time; from now on they survive a kill of the process.

        Lines are written together because each write gives up the interpreter's lock, and with rendering threads
        about it takes milliseconds to get it back.

        Raises:
            DiskTrouble: not all could be written; the rest is kept and written by the next flush that can.
        """
        if not self._waiting:
            return
        data = b"".join(self._waiting)
        try:
            with telling_disk_trouble(self.folder):
                if self._fd is None:
                    self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
                while data:
                    data = data[os.write(self._fd, data) :]
        finally:
            self._waiting = [data] if data else []

    def remove(self) -> None:
        """Forget the journal: its shard is committed."""
        self._waiting.clear()
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self) -> None:
        """Write what waits and close the file."""
        try:
            self.flush()
        finally:
            if self._fd is not None:
                os.close(self._fd)
                self._fd = None

    def __enter__(self) -> ShardJournal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def count_settled(folder: Path) -> int:
    """How many objects of an unfinished shard need no more asking; 0 where it has no journal."""
    if not folder.is_dir():
        return 0
    return len(_read(_files(folder)).settled) + retry_state.count(folder)


def has_answers(folder: Path) -> bool:
    """Whether an engine has answered anything in an unfinished shard, now or before it was reopened."""
    if not folder.is_dir():
        return False
    settled = _read(_files(folder)).settled.values()
    return any(one.fault is None for one in settled) or retry_state.count(folder) > 0


def forget(folder: Path) -> None:
    """Delete what the workers wrote of an unfinished shard; the rows of a reopened one stay."""
    if folder.is_dir():
        for file in _files(folder):
            file.unlink()


def note_lost(folder: Path) -> None:
    """Write down that the process of the worker that had the shard is gone.

    Raises:
        DiskTrouble: it cannot be written.
    """
    with ShardJournal(folder) as journal:
        journal.add(Lost())


def _number(file: Path) -> int:
    return int(file.name.partition("-")[0])


def _files(folder: Path) -> list[Path]:
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=lambda p: (_number(p), p.name))


def _read(files: Iterable[Path]) -> Record:
    record = Record()
    before: dict[str, Flight] = {}
    for file in files:
        flying: dict[str, Flight] = {}
        struck = False
        for line in _lines(file):
            if isinstance(line, Settled):
                record.settle(line)
                flying.pop(line.key, None)
            elif isinstance(line, Strike):
                record.strike(line)
                struck = True
            elif isinstance(line, CaptionFit):
                record.fits.setdefault((line.fit, line.caption), line)
                flying.pop(line.fit, None)
            elif isinstance(line, Flight):
                flying[line.flight] = line
            else:
                record.lost += 1
                for flight in before.values():
                    record.strike(
                        Strike(strike=flight.flight, why="killed", alone=flight.alone, request=flight.request)
                    )
        before = {} if struck else flying
    return record


def _lines(file: Path) -> Iterator[Line]:
    """Whole lines only: one without its end or that is no JSON was torn by a kill, and is as if never written.

    So is a line that says what no row can hold: its object alone is asked again.
    """
    for raw in file.read_bytes().split(b"\n")[:-1]:
        try:
            yield _decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            continue


def _decode(raw: bytes) -> Line:
    for mark, kind in _KINDS:
        if raw.startswith(mark):
            return kind(raw)
    return _SETTLED(raw)


_KINDS = (
    (b'{"strike"', msgspec.json.Decoder(Strike).decode),
    (b'{"flight"', msgspec.json.Decoder(Flight).decode),
    (b'{"lost"', msgspec.json.Decoder(Lost).decode),
    (b'{"fit"', msgspec.json.Decoder(CaptionFit).decode),
)
_SETTLED = msgspec.json.Decoder(Settled).decode
