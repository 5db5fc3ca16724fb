"""What a person sees of a run: a bar on a terminal, a line now and then in a log, and the end report."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from capgen.dataset.shards import such_as
from capgen.display import plain
from capgen.pipeline.asking.retry_state import RetryCounts, summed
from capgen.pipeline.running.run_progress import RunProgress
from capgen.text import duration

_LOG_EVERY_S = 10.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class ProgressDisplay:
    """Shows a run's progress on a console; use as a context and call it with each ``RunProgress``."""

    console: Console
    _live: Live | None = None
    _next_line: float = 0.0
    _last: str = ""
    _stage: str = ""
    _begun: str = ""

    def __enter__(self) -> ProgressDisplay:
        if self.console.is_terminal:
            self._live = Live(console=self.console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def __call__(self, progress: RunProgress) -> None:
        """Show where the run stands; a log begins once it is known what the run waits for."""
        if self._live is None and progress.waits is None and _awaits_engine(progress):
            return
        self._show("asking", sentence(progress), progress.settled, progress.planned)

    def say(self, line: str) -> None:
        """Print a line that stays; a log has each on one line, however long it is."""
        self.console.print(line, highlight=False, soft_wrap=not self.console.is_terminal)

    def planning(self, media: int, objects: int) -> None:
        """Show how much is planned; how much there is nobody knows before the end."""
        self._show("planning", f"planning: {objects:,} objects of {media:,} media", None, None)

    def steps(self, verb: str) -> Callable[[int, int], None]:
        """A callback that shows how many shards of all are through, such as ``packing: 3/12 shards``."""
        return lambda done, of: self._show(verb, f"{verb}: {done:,}/{of:,} shards", done, of)

    def _show(self, stage: str, line: str, done: int | None, of: int | None) -> None:
        if stage != self._begun:
            log.info("%s", line)
            self._begun = stage
        if self._live is not None:
            bar = ProgressBar(None if of is None else of or 1, done or 0, width=32, pulse=of is None)
            grid = Table.grid(padding=(0, 1))
            grid.add_row(bar, Text(plain(line)))
            self._live.update(grid)
            return
        if stage != self._stage:  # what is over in seconds needs no line in a log, asking excepted
            self._next_line = time.monotonic() + (0.0 if stage == "asking" else _LOG_EVERY_S)
            self._stage = stage
        if time.monotonic() >= self._next_line and line != self._last:
            self.say(line)
            self._next_line, self._last = time.monotonic() + _LOG_EVERY_S, line


def sentence(progress: RunProgress) -> str:
    """Done, rate, time left, engines, cached share of the prompts, and what was dropped or failed, in one line."""
    head = f"{progress.settled:,}/{progress.planned:,} objects"
    if _awaits_engine(progress):
        return f"{head}, {progress.seconds:.0f} s so far: {progress.waits or 'the engine is starting'}"
    rate = progress.rate
    if rate > 0 and progress.settled < progress.planned:
        head += f", {rate:,.1f}/s, {duration((progress.planned - progress.settled) / rate)} left"
    if progress.stopping:
        head += ", the engines are stopping"
    else:
        head += _told_engines(progress)
    prompt, cached = (progress.total(name) for name in ("prompt_tokens", "cached_tokens"))
    if prompt:
        head += f", {100 * cached / prompt:.0f} % cached"
    return head + told_reasons(progress.reasons_so_far)


def _awaits_engine(progress: RunProgress) -> bool:
    return not progress.engines and progress.settled < progress.planned


def _told_engines(progress: RunProgress) -> str:
    """``, 3 engines, 1 lost``: those that are up, and how often one was lost; empty before any was heard."""
    up = progress.heard.workers
    if not up and not progress.lost:
        return ""
    lost = f" ({progress.lost:,} lost)" if progress.lost else ""
    return f", {up:,} {'engine' if up == 1 else 'engines'}{lost}"


def told_reasons(reasons: Counter[str]) -> str:
    """``, out: length 3, refusal 1``, the most frequent first; empty where there are none."""
    if not reasons:
        return ""
    return ", out: " + ", ".join(
        f"{code} {count:,}" for code, count in sorted(reasons.items(), key=lambda x: (-x[1], x[0]))
    )


@dataclass(frozen=True, slots=True)
class EndReport:
    """What a session did, for people and for ``OUT/report.json``.

    ``requests_per_s`` counts requests that this session asked, from the first engine's readiness to the last commit;
    ``render_s`` is the time the render threads worked, which overlaps with the engine's. ``retried``: what became of
    the objects that were asked again in this run, by the reason they had. ``examples``: what one object says of each
    reason. ``further``: how many answers were asked for beyond the first of each object, and of how many objects.
    ``warning``: too many objects failed, so that the release is marked and the command fails.
    """

    planned: int
    kept: int
    dropped: dict[str, int]
    failed: dict[str, int]
    resumed: int
    asked: int
    requests_per_s: float
    engine_start_s: tuple[float, ...]
    render_s: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    seconds: dict[str, float] = field(default_factory=dict)
    retried: dict[str, dict[str, int]] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    further: dict[str, int] = field(default_factory=dict)
    warning: str | None = None

    @property
    def cached_share(self) -> float:
        """Share of the prompt tokens that an engine had cached."""
        return self.cached_tokens / self.prompt_tokens if self.prompt_tokens else 0.0

    @property
    def complaint(self) -> str | None:
        """Why the command fails although there is a release, with an example of each reason; None where it does not."""
        if self.warning is None:
            return None
        examples = (f"{code}{such_as(self.examples.get(code))}" for code in self.failed)
        return f"{self.warning}; the release is marked; {'; '.join(examples)}; mend that, then `capgen retry`"

    def lines(self) -> list[tuple[str, str]]:
        """Label and value of each line of the table."""
        rows = [
            (
                "objects",
                f"{self.planned:,} planned = {self.kept:,} kept + {sum(self.dropped.values()):,} dropped + "
                f"{sum(self.failed.values()):,} failed",
            )
        ]
        for name, counts in (("dropped", self.dropped), ("failed", self.failed)):
            rows += [(f"{name}: {code}", f"{n:,}{such_as(self.examples.get(code))}") for code, n in counts.items()]
        rows += [(f"asked again: {code}", _became(did)) for code, did in self.retried.items()]
        if any(self.further.values()):
            rows.append(("second tries", _told_further(self.further)))
        if self.resumed:
            rows.append(("settled before", f"{self.resumed:,}"))
        if self.asked:
            starts = ", ".join(f"{value:.1f} s" for value in self.engine_start_s)
            rows += [
                ("engine start", starts),
                ("requests", f"{self.asked:,} at {self.requests_per_s:,.1f}/s"),
                (
                    "rendering",
                    f"{self.render_s:.1f} s in threads ({1000 * self.render_s / self.asked:.1f} ms an object)",
                ),
                ("prompt tokens", f"{self.prompt_tokens:,}, {100 * self.cached_share:.0f} % cached"),
                ("output tokens", f"{self.output_tokens:,}"),
            ]
        rows.append(("time", ", ".join(f"{name} {duration(value)}" for name, value in self.seconds.items())))
        return rows

    def table(self) -> Table:
        """The report as a table."""
        table = Table(show_header=False, box=None, padding=(0, 2))
        for label, value in self.lines():
            table.add_row(label, value)
        return table


def _told_further(further: dict[str, int]) -> str:
    objects = [
        f"{further[name]:,} objects {why}"
        for name, why in (("asked_again", "that a check refused"), ("asked_to_differ", "that are alike"))
        if further[name]
    ]
    return f"{further['further_answers']:,} more answers for {' and '.join(objects)}"


def _became(did: dict[str, int]) -> str:
    said = f"{did['asked']:,}: {did['kept']:,} kept now, {did['asked'] - did['changed']:,} answered as before"
    return said if did["changed"] else f"{said}: nothing changed"


def end_report(progress: RunProgress, ledger: Any, seconds: dict[str, float]) -> EndReport:
    """The report of a finished session: counts from the verified ledger, rates from this session's manifests."""
    total = progress.total
    asked = total("asked")
    retried = summed(msgspec.convert(one.extra.get("retry", {}), dict[str, RetryCounts]) for one in progress.manifests)
    return EndReport(
        planned=ledger.planned,
        kept=ledger.kept,
        dropped=dict(ledger.dropped),
        failed=dict(ledger.failed),
        resumed=progress.resumed,
        asked=asked,
        requests_per_s=round(asked / progress.asking_s, 1) if progress.asking_s > 0 else 0.0,
        engine_start_s=tuple(engine["start_s"] for engine in progress.engines),
        render_s=round(total("render_seconds"), 2),
        prompt_tokens=total("prompt_tokens"),
        cached_tokens=total("cached_tokens"),
        output_tokens=total("output_tokens"),
        seconds=seconds,
        examples=ledger.examples,
        warning=ledger.warning,
        further={name: total(name) for name in ("further_answers", "asked_again", "asked_to_differ")},
        retried={code: msgspec.to_builtins(tally) for code, tally in sorted(retried.items())},
    )
