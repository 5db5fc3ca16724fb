"""Keeps the record of a session while it asks, so that a report can say how fast it was, also of one that was killed."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from capgen.dataset.files import DiskTrouble
from capgen.dataset.sessions.session_record import RateSample, SessionRecord, next_number, write_session
from capgen.errors import Interrupted
from capgen.pipeline.running.run_progress import RunProgress

log = logging.getLogger(__name__)

_WRITE_EVERY_S = 10.0
_SAMPLES = 600
"""At most so many samples; with more, every second one goes and later ones are twice as far apart."""


@dataclass(slots=True)
class SessionHistory:
    """Follows a session's progress and writes its record now and then; nothing where there is nothing to ask.

    Args:
        engines: engines wanted at once.
        gpus: of each.
    """

    out: Path
    engines: int
    gpus: int
    _samples: list[RateSample] = field(default_factory=list)
    _every_s: float = 1.0
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _begun: float = field(default_factory=time.monotonic)
    _seen_s: float = 0.0
    _engine_s: float = 0.0
    _idle_s: float = 0.0
    _written_s: float = float("-inf")
    _number: int = 0
    _progress: RunProgress | None = None
    _told: bool = False

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Write the record as ``finished``, ``stopped`` or ``failed`` when the block ends."""
        ended = "failed"
        try:
            yield
            ended = "finished"
        except (Interrupted, KeyboardInterrupt):
            ended = "stopped"
            raise
        finally:
            if self._progress is not None:
                self._note(self._progress)
                self._write(ended)

    def __call__(self, progress: RunProgress) -> None:
        """Take in where the session stands."""
        if self._progress is None and not progress.left:
            return
        self._progress = progress
        self._note(progress)
        if self._seen_s - self._written_s >= _WRITE_EVERY_S:
            self._write(None)

    def _note(self, progress: RunProgress) -> None:
        now = time.monotonic() - self._begun
        passed, self._seen_s = now - self._seen_s, now
        up = progress.heard.workers if not progress.stopping else 0
        self._engine_s += passed * up
        self._idle_s += passed * min(up, progress.heard.idle)
        if self._samples and now - self._samples[-1].at_s < self._every_s:
            return
        self._samples.append(RateSample(round(now, 2), progress.settled, up, progress.heard.in_flight))
        if len(self._samples) > _SAMPLES:
            self._samples = self._samples[::2]
            self._every_s *= 2

    def _write(self, ended: str | None) -> None:
        assert self._progress is not None
        progress, self._written_s = self._progress, self._seen_s
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
        )
        try:
            self._number = self._number or next_number(self.out)
            write_session(self.out, self._number, record)
        except (DiskTrouble, OSError) as error:  # what is asked matters more: the journal tells of a full disk itself
            if not self._told:
                log.warning("the record of this session could not be written (%s): its report will lack it", error)
            self._told = True
