"""What a run waits for, said every minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from capgen.buckets.places import url_of
from capgen.dataset.layout import RunLayout
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.run_progress import RunProgress
from capgen.text import duration

log = logging.getLogger(__name__)

_EVERY_S = 60.0


@dataclass(slots=True)
class WaitNotices:
    """Says what is waited for once that has lasted ``first_s`` seconds, and then every minute."""

    first_s: float = 8.0
    _since: float | None = None
    _next: float = 0.0

    def note(self, what: str | None) -> None:
        """Wait for ``what``, as a statement; None: nothing is waited for."""
        now = time.monotonic()
        if what is None:
            self._since = None
            return
        if self._since is None:
            self._since, self._next = now, now + self.first_s
        if now >= self._next:
            self._next = now + _EVERY_S
            log.warning("the run waits (%s so far): %s", duration(now - self._since), what)


@dataclass(slots=True)
class RunWaits:
    """Looks once a second at a run that asks, and says what it waits for.

    An engine that is up counts as waiting when nothing was answered or settled for a minute.
    """

    job: Job
    progress: RunProgress
    _busy: WaitNotices = field(default_factory=WaitNotices)
    _long: WaitNotices = field(default_factory=lambda: WaitNotices(_EVERY_S))
    _stood: tuple[int, int] = (-1, -1)
    _moved: float = field(default_factory=time.monotonic)

    def look(self, up: Sequence[int], away: Sequence[int], busy: Callable[[], str | None]) -> None:
        """Where the run stands now.

        Args:
            up, away: engines by number.
            busy: why an engine that is away has no place, such as what it lacks; None where it has one. Asked only
                where somebody is away.
        """
        lacks = busy() if away else None
        lost = f"{_counted(away)} of {len(up) + len(away)}: {lacks}" if lacks and up else lacks
        self._busy.note(lost)
        if not up and lacks is None:
            log_file = RunLayout(self.job.out).engine_log(away[0]) if away else self.job.out
            waits: str | None = f"{_counted(away)} is starting; {log_file} has what it prints"
        else:
            waits = self._still() if up else None
        self._long.note(waits)
        self.progress.waits = lost or waits

    def _still(self) -> str | None:
        """What engines wait for that have answered nothing for a minute."""
        progress = self.progress
        stands = (progress.settled, progress.heard.answered)
        if stands != self._stood:
            self._stood, self._moved = stands, time.monotonic()
            self._long.note(None)
        if progress.settled >= progress.planned:
            return "the last shards are being committed"
        if progress.heard.in_flight:
            return f"{progress.heard.in_flight:,} requests are not answered {self._by_whom()}"
        root = self.job.settings.source.root
        return f"no request is ready: pictures are read from {url_of(root) or root}"

    def _by_whom(self) -> str:
        engine = self.job.engine
        urls: Sequence[str] = getattr(engine, "urls", ())
        return f"by {', '.join(urls)}" if urls else f"by the engine {self.job.settings.engine.name}"


def _counted(numbers: Sequence[int]) -> str:
    shown = ", ".join(map(str, numbers[:4])) + (", ..." if len(numbers) > 4 else "")
    return f"engine {shown}" if len(numbers) == 1 else f"engines {shown}"
