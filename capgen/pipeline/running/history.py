"""Keeps the record of a session while it asks, so that a report can say how fast it was, even if it was killed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from capgen.dataset.files import DiskTrouble, telling_disk_trouble
from capgen.dataset.layout import RunLayout
from capgen.dataset.sessions.session_record import RateSample, SessionRecord, next_number, write_session
from capgen.errors import Interrupted
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.engines.base import Postponed
from capgen.pipeline.running.run_progress import RunProgress

_WRITE_EVERY_S = 10.0
_WRITE_SOON_S = 1.0
"""Other engines are up than were: whoever asks how the run stands is told soon."""
_SAMPLES = 600
"""At most so many samples; with more, every second one goes and later ones are twice as far apart."""


def _how(error: BaseException) -> str:
    if isinstance(error, Postponed):
        return "postponed"
    return "stopped" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"


@dataclass(slots=True)
class SessionHistory:
    """Follows a session's progress and writes its record now and then; nothing where there is nothing to ask.

    Args:
        engines: engines wanted at once.
        gpus: of each.
        tell: is called with the record's file when that was written, and with whether it was for the last time.
    """

    out: Path
    engines: int
    gpus: int
    tell: Callable[[Path, bool], None] | None = None
    _samples: list[RateSample] = field(default_factory=list)
    _every_s: float = 1.0
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _begun: float = field(default_factory=time.monotonic)
    _seen_s: float = 0.0
    _engine_s: float = 0.0
    _idle_s: float = 0.0
    _heard: OpenShards = field(default_factory=OpenShards)
    _written_s: float = float("-inf")
    _told_workers: int = 0
    _number: int = 0
    _progress: RunProgress | None = None

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write the record when the block ends, as ``finished`` or by what ended it.

        Raises:
            DiskTrouble: it cannot be written, and nothing else has ended the block.
        """
        try:
            yield
        except BaseException as error:
            with suppress(DiskTrouble):  # the error that is on its way tells what is wrong
                self._end(_how(error))
            raise
        self._end("finished")

    def _end(self, how: str) -> None:
        if self._progress is not None:
            self._note(self._progress)
            self._write(how)

    def __call__(self, progress: RunProgress) -> None:
        """Take in where the session stands.

        Raises:
            DiskTrouble: the record cannot be written.
        """
        if self._progress is None and not progress.left:
            return
        self._progress = progress
        self._note(progress)
        others_up = progress.heard.workers != self._told_workers
        if self._seen_s - self._written_s >= (min(_WRITE_SOON_S, _WRITE_EVERY_S) if others_up else _WRITE_EVERY_S):
            self._write(None)

    def _note(self, progress: RunProgress) -> None:
        now = time.monotonic() - self._begun
        self._seen_s = now
        self.engines = max(self.engines, progress.heard.workers)
        before, self._heard = self._heard, progress.heard
        up = max(0.0, progress.heard.up_s - before.up_s)  # less than before where an engine was lost
        busy = max(0.0, progress.heard.busy_s - before.busy_s)
        self._engine_s += up
        self._idle_s += max(0.0, up - busy)
        if self._samples and now - self._samples[-1].at_s < self._every_s:
            return
        self._samples.append(
            RateSample(round(now, 2), progress.settled, progress.heard.workers, progress.heard.in_flight)
        )
        if len(self._samples) > _SAMPLES:
            self._samples = self._samples[::2]
            self._every_s *= 2

    def _write(self, ended: str | None) -> None:
        assert self._progress is not None
        progress, self._written_s, self._told_workers = self._progress, self._seen_s, self._progress.heard.workers
        last = RateSample(round(self._seen_s, 2), progress.settled, progress.heard.workers, progress.heard.in_flight)
        record = SessionRecord(
            started=self._started.isoformat(timespec="seconds"),
            seconds=round(self._seen_s, 2),
            ended=ended,
            engines=self.engines,
            gpus=self.gpus,
            planned=progress.planned,
            before=progress.resumed,
            settled=progress.settled,
            start_s=tuple(engine["start_s"] for engine in progress.engines),
            lost=progress.lost,
            engine_s=round(self._engine_s, 2),
            idle_s=round(self._idle_s, 2),
            samples=(*self._samples, last),
            open_reasons={index: dict(counts.reasons) for index, counts in progress.left.items() if counts.reasons},
            examples=progress.open_examples,
        )
        with telling_disk_trouble(self.out):
            self._number = self._number or next_number(self.out)
            write_session(self.out, self._number, record)
        if self.tell is not None:
            self.tell(RunLayout(self.out).session(self._number), ended is not None)
