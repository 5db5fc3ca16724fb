"""``OUT/sessions/0001.json`` and so on: one file a session of a run, written anew every few seconds while it asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import msgspec

from capgen.dataset.files import write_whole
from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError

_NAME = re.compile(r"(\d{4,9})\.json")


RecordedSeconds = Annotated[float, msgspec.Meta(ge=0, le=1e10)]
RecordedCount = Annotated[int, msgspec.Meta(ge=0, le=10**12)]
"""Somebody else may have written the file: numbers beyond these are damage."""


class RateSample(msgspec.Struct, frozen=True, array_like=True):
    """Where a session stood: seconds since it began to ask, objects settled, engines up, requests in flight."""

    at_s: RecordedSeconds
    settled: RecordedCount
    engines: RecordedCount
    in_flight: RecordedCount


class SessionRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a session.

    Args:
        started: when it began to ask, in UTC, as ISO 8601.
        seconds: from then to the last time that the file was written; engines and GPUs are held all of this time.
        ended: ``finished``, ``stopped`` by the user, ``postponed`` where answers come later from elsewhere, or
            ``failed``; None where it goes on or was killed.
        engines: engines wanted at once; ``gpus``: of each, 0 being the CPU.
        planned: objects of the run; ``before`` of them were settled when the session began, ``settled`` at its end.
        start_s: seconds that each start of an engine took.
        lost: how often an engine died, stalled or did not start, and another one was started in its place.
        engine_s: seconds that engines were up, summed over engines; ``idle_s`` of these with no request in flight.
        open_reasons: by unfinished shard, its objects dropped and failed so far, by their first reason; ``examples``:
            what one of them says of each.
    """

    version: int = 1
    started: str
    seconds: RecordedSeconds
    ended: str | None
    engines: RecordedCount
    gpus: RecordedCount
    planned: RecordedCount
    before: RecordedCount
    settled: RecordedCount
    start_s: tuple[RecordedSeconds, ...] = ()
    lost: RecordedCount = 0
    engine_s: RecordedSeconds = 0.0
    idle_s: RecordedSeconds = 0.0
    samples: tuple[RateSample, ...] = ()
    open_reasons: dict[int, dict[str, RecordedCount]] = {}
    examples: dict[str, str] = {}

    @property
    def gpu_hours(self) -> float:
        """Hours times the GPUs that were held."""
        return self.engines * self.gpus * self.seconds / 3600

    def rate_of_late(self, over_s: float = 60.0) -> float:
        """Objects settled a second in the last ``over_s`` seconds of the samples; 0.0 where nothing moved."""
        if len(self.samples) < 2:
            return 0.0
        last = self.samples[-1]
        earlier = [one for one in self.samples[:-1] if one.at_s <= last.at_s - over_s]
        first = earlier[-1] if earlier else self.samples[0]
        passed = last.at_s - first.at_s
        return max(0, last.settled - first.settled) / passed if passed > 0 else 0.0


def write_session(out: Path, number: int, record: SessionRecord) -> None:
    """Write the record of a session.

    Raises:
        DiskTrouble: it cannot be written.
    """
    path = RunLayout(out).session(number)
    path.parent.mkdir(exist_ok=True)
    write_whole(path, msgspec.json.encode(record) + b"\n")


def read_sessions(out: Path) -> list[SessionRecord]:
    """The records of all sessions, in order; none where the run is of a capgen that kept none.

    Raises:
        LedgerError: a record cannot be read.
    """
    found = []
    for _, path in _numbered(out):
        try:
            found.append(msgspec.json.decode(path.read_bytes(), type=SessionRecord))
        except FileNotFoundError:
            continue
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise LedgerError(f"{path} is no session's record ({error}); delete it") from error
    return found


def next_number(out: Path) -> int:
    """The number of the next session; call it only while no other session works on ``out``."""
    return max((number for number, _ in _numbered(out)), default=0) + 1


def _numbered(out: Path) -> list[tuple[int, Path]]:
    folder = RunLayout(out).sessions_dir
    named = [(_NAME.fullmatch(path.name), path) for path in folder.glob("*.json")]
    return sorted((int(match[1]), path) for match, path in named if match)
