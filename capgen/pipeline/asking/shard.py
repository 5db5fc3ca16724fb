"""One shard while it is worked on: what was rendered, answered and judged so far, and the rows it becomes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from capgen.dataset.files import DiskTrouble
from capgen.dataset.plan import ShardEntry
from capgen.dataset.row import Row
from capgen.dataset.shards import Manifest, write_candidates
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.pipeline.asking.journal import ShardJournal
from capgen.pipeline.asking.render_ahead import RenderedMedia
from capgen.pipeline.asking.retry_state import RetryState
from capgen.pipeline.engines.base import Postponed
from capgen.pipeline.planning.job import CheckFindings, Job, failed, judged
from capgen.pipeline.view import Settled

_TOKENS = ("prompt_tokens", "cached_tokens", "output_tokens")


@dataclass(slots=True)
class Shard:
    """The objects of one shard, from their rendering to their rows.

    Args:
        retry: the rows of an earlier commit, where the shard was reopened.
        faults: objects without a view.
        reasons: objects dropped and failed so far, by their first reason.
        disk_trouble: the journal cannot be written any more; ``wake`` is set with it.
        cut: not everything was asked, because the run is to end.
    """

    job: Job
    entry: ShardEntry
    journal: ShardJournal
    retry: RetryState | None = None
    media: list[Media] = field(default_factory=list)
    objects: dict[str, MediaObject] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    verdicts: dict[str, CheckFindings] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    postponed: list[Postponed] = field(default_factory=list)
    asked: int = 0
    render_s: float = 0.0
    cut: bool = False
    disk_trouble: DiskTrouble | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flush_is_due: bool = False

    @property
    def unchanged(self) -> Mapping[str, Row]:
        """The rows of an earlier commit that are not asked for again, by key."""
        return self.retry.stay if self.retry else {}

    @property
    def settled(self) -> int:
        """Objects that need no more asking."""
        return len(self.journal.settled) + len(self.faults) + len(self.unchanged)

    @property
    def answered(self) -> set[str]:
        """Keys that an engine has answered, now or in an earlier session."""
        keys = {key for key, settled in self.journal.settled.items() if settled.fault is None}
        return keys | {key for key, row in self.unchanged.items() if row.status != "failed"}

    def add(self, rendered: RenderedMedia) -> None:
        """Take up a medium."""
        self.media.append(rendered.media)
        self.objects |= {item.key: item for item in rendered.media.objects}
        self.faults |= rendered.faults
        self.reasons.update(fault.reason for fault in rendered.faults.values())
        self.render_s += rendered.seconds

    def settle(self, settled: Settled) -> None:
        """Write an answer to the journal, at the end of this turn of the event loop, and judge it."""
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)
        self.journal.add(settled)
        if settled.fault is not None:
            self.reasons[settled.fault] += 1
            return
        verdict = self.verdicts[settled.key] = self.job.judge(self.objects[settled.key], settled)
        self.reasons.update(code for code, _ in verdict[:1])

    def _flush(self) -> None:
        self._flush_is_due = False
        try:
            self.journal.flush()
        except DiskTrouble as trouble:
            self.disk_trouble = trouble
            self.wake.set()

    def commit(self, extra: Mapping[str, Any]) -> Manifest:
        """Write the shard's rows; ``extra`` and the sums of tokens go to its manifest."""
        answers = self.journal.settled.values()
        more: dict[str, Any] = {name: sum(getattr(answer, name) for answer in answers) for name in _TOKENS}
        rows: Iterable[Row] = self._rows()
        if self.retry is not None:
            rows = list(rows)
            more = self.retry.compared(rows) | more
        return write_candidates(rows, self.job.out, self.entry.index, {**extra, **more})

    def _rows(self) -> Iterator[Row]:
        return (self._row(media, item) for media in self.media for item in media.objects)

    def _row(self, media: Media, item: MediaObject) -> Row:
        unchanged = self.unchanged.get(item.key)
        if unchanged is not None:
            return unchanged
        fault = item.fault or self.faults.get(item.key)
        if fault is not None:
            return failed(self.job, media, item, fault)
        settled = self.journal.settled[item.key]
        if settled.fault is not None:
            return failed(self.job, media, item, Fault(settled.fault, settled.message or settled.fault), settled)
        verdict = self.verdicts.get(item.key)
        return judged(self.job, media, item, settled, self.job.judge(item, settled) if verdict is None else verdict)
