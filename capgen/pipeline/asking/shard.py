"""One shard while it is worked on: what was rendered, answered and judged so far, and the rows it becomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from capgen.dataset.files import DiskTrouble
from capgen.dataset.plan import ShardEntry
from capgen.dataset.row import NeighbourFit, Row
from capgen.dataset.shards import Manifest, write_candidates
from capgen.dataset.stats import NOT_DISTINCT
from capgen.dataset.types import Fault, Media, MediaObject
from capgen.pipeline.asking.distinct.captions import Candidate, DistinctState, neighbours_of, state_of
from capgen.pipeline.asking.distinct.fits import FitRequest, fit_requests, fit_totals
from capgen.pipeline.asking.handed.open_shards import ShardCounts
from capgen.pipeline.asking.handed.outcomes import OutcomesSoFar
from capgen.pipeline.asking.handed.pieces import Piece
from capgen.pipeline.asking.journal import Line, ShardJournal
from capgen.pipeline.asking.render_ahead import RenderedMedia
from capgen.pipeline.asking.retry_state import REFUSED, RetryState
from capgen.pipeline.asking.rows import answered_row, failed_row
from capgen.pipeline.asking.tries import (
    FurtherRequest,
    JudgedAnswer,
    Tries,
    best,
    next_try,
    refused,
    totals,
)
from capgen.pipeline.engines.base import Postponed
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.places import place
from capgen.pipeline.rendering.remarks import Neighbour
from capgen.pipeline.view import Settled
from capgen.text import normal

_COUNTS = ("prompt_tokens", "cached_tokens", "output_tokens", "invented")


@dataclass(slots=True)
class Shard:
    """The objects of one shard, from their rendering to their rows.

    Args:
        retry: the rows of an earlier commit, where the shard was reopened.
        faults: objects without a view.
        answers: of the objects that were answered, by key.
        pending: keys of each medium, by its name, that are still to be asked or asked again.
        outcomes: objects dropped, failed and captioned so far.
        disk_trouble: the journal cannot be written any more; ``wake`` is set with it.
        cut: not everything was asked, because the run is to end.
        piece: what of the shard is done here; less where some of it was given away.
        taken: the place of the first medium that was not taken up yet.
        dropped: another engine was quicker; ``wake`` is set with it.
    """

    job: Job
    piece: Piece
    journal: ShardJournal
    retry: RetryState | None = None
    media: list[Media] = field(default_factory=list)
    objects: dict[str, tuple[Media, MediaObject]] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    answers: dict[str, Tries] = field(default_factory=dict)
    pending: dict[str, set[str]] = field(default_factory=dict)
    outcomes: OutcomesSoFar = field(default_factory=OutcomesSoFar)
    postponed: list[Postponed] = field(default_factory=list)
    asked: int = 0
    render_s: float = 0.0
    cut: bool = False
    taken: int = 0
    committing: bool = False
    dropped: bool = False
    disk_trouble: DiskTrouble | None = None
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    _flush_is_due: bool = False
    _before: int = 0

    def __post_init__(self) -> None:
        self._before = self.settled

    @property
    def entry(self) -> ShardEntry:
        """The shard in the plan."""
        return self.piece.entry

    @property
    def media_left(self) -> int:
        """Media that were not taken up yet."""
        return max(0, self.piece.last - self.taken)

    def give(self, *, begun: bool) -> Piece | None:
        """Part with the second half of what was not taken up yet, with all of it where nothing has ``begun``.

        None where that is nothing, or where the shard is to stay whole: an engine was lost with it, and which request
        is to blame is found by one engine.
        """
        if self.piece.final or self.committing or self.dropped or self.journal.careful or self.journal.strikes:
            return None
        last = self.piece.last
        cut = self.taken + (-(-self.media_left // 2) if begun else 0)
        if cut >= last:
            return None
        self.piece = self.piece.until(cut)
        return Piece(self.entry, cut, last, commits=False)

    @property
    def unchanged(self) -> Mapping[str, Row]:
        """The rows of an earlier commit that are not asked for again, by key."""
        return self.retry.stay if self.retry else {}

    @property
    def settled(self) -> int:
        """Objects that need no more asking."""
        return len(self.journal.settled) + len(self.faults) + len(self.unchanged)

    @property
    def counts(self) -> ShardCounts:
        """Where it stands, for people."""
        so_far = self.outcomes
        media = (self.piece.first, max(self.piece.first, self.taken))
        return ShardCounts(
            self.settled, so_far.reasons.copy(), so_far.captioned, dict(so_far.examples), self._before, media
        )

    @property
    def answered(self) -> set[str]:
        """Keys that an engine has answered, now or in an earlier session."""
        keys = {key for key, settled in self.journal.settled.items() if settled.fault is None}
        return keys | {key for key, row in self.unchanged.items() if row.status != "failed"}

    def add(self, rendered: RenderedMedia) -> list[str]:
        """Take up a medium; the keys that were answered in an earlier session and are now to be gone on with."""
        media = rendered.media
        self.media.append(media)
        self.objects |= {item.key: (media, item) for item in media.objects}
        self.faults |= rendered.faults
        for key, fault in rendered.faults.items():
            self.outcomes.lost(key, fault.reason, fault.message)
        self.render_s += rendered.seconds
        for item in media.objects:
            self._restore(item.key)
        go_on = [item.key for item in media.objects if self.next_try(item.key) is not None]
        asked = {view.key for view in rendered.views}
        if not asked and not go_on:
            go_on = [request.key for request in self.to_differ(media)[:1]]
        self.pending[media.name] = {*asked, *go_on}
        for item in media.objects:
            if item.key not in self.pending[media.name]:
                self._count(item.key)
        return go_on

    def _count(self, key: str) -> None:
        """Count an object that needs no more asking for its own sake."""
        row, tries, first = self.unchanged.get(key), self.answers.get(key), self.journal.settled.get(key)
        if row is not None:
            self.outcomes.of_row(row)
        elif tries is not None:
            self.outcomes.of_answer(key, self._best(tries))
        elif first is not None and first.fault is not None:
            self.outcomes.lost(key, first.fault, first.message)

    def _restore(self, key: str) -> None:
        """Take up what the journal has of an object that was answered before."""
        first = self.journal.settled.get(key)
        if first is None or first.fault is not None or key in self.unchanged:
            return
        self.answers[key] = Tries(self._judged(first))
        for settled in self.journal.further.get(key, {}).values():
            self._further(settled)

    def _judged(self, settled: Settled) -> JudgedAnswer:
        if settled.fault is not None:
            return JudgedAnswer(settled)
        judged = JudgedAnswer(settled, *self.job.judge(self.objects[settled.key][1], settled))
        wrong = self.retry.refused(settled.key) if self.retry else None
        if wrong is None or normal(wrong) != normal(settled.text):
            return judged
        return replace(judged, advice=(*judged.advice, (REFUSED, "somebody found this caption wrong")))

    def _further(self, settled: Settled) -> None:
        tries = self.answers[settled.key]
        kind, _, number = settled.step.partition("-")
        if kind == "distinct":
            tries.distinct[int(number)] = self._judged(settled)
        else:
            tries.again.append(self._judged(settled))

    def note(self, line: Line) -> None:
        """Write a line to the journal, at the end of this turn of the event loop."""
        if not self._flush_is_due:
            self._flush_is_due = True
            asyncio.get_running_loop().call_soon(self._flush)
        self.journal.add(line)

    def settle(self, settled: Settled) -> None:
        """Write an answer to the journal and judge it."""
        self.note(settled)
        if settled.step:
            self._further(settled)
        elif settled.fault is not None:
            self.outcomes.lost(settled.key, settled.fault, settled.message)
        else:
            self.answers[settled.key] = Tries(self._judged(settled))

    def next_try(self, key: str) -> FurtherRequest | None:
        """The further request that is due for an object's own sake; None where there is none."""
        tries, settings = self.answers.get(key), self.job.settings.tries
        number = next_try(tries, settings.again, settings.reasons) if tries is not None else None
        if tries is None or number is None:
            return None
        media, item = self.objects[key]
        last = next((one for one in reversed(tries.own) if one.settled.fault is None), tries.first)
        return FurtherRequest(media, item, number, refused=(last, refused(last, settings.reasons)))

    def complete(self, key: str) -> Media | None:
        """An object needs no more asking for its own sake; its medium, where it was the last one."""
        media, _ = self.objects[key]
        pending = self.pending[media.name]
        self._count(key)
        pending.discard(key)
        return None if pending else media

    def to_differ(self, media: Media) -> Sequence[FurtherRequest | FitRequest]:
        """The requests that are due because captions of a medium may not tell its objects apart."""
        if not self.job.settings.distinct.enabled:
            return []
        candidates = self._candidates(media)
        state = self._distinct(candidates)
        if state.unscored:
            return fit_requests(media, candidates, state.unscored)
        if state.due is None:
            return []
        number, keys = state.due
        places = {one.key: self._place(media, one.key) for one in candidates}
        requests = []
        for key in keys:
            others = neighbours_of(key, candidates)
            named = tuple(Neighbour(places[one.key], state.captions[one.key]) for one in others)
            requests.append(FurtherRequest(media, self.objects[key][1], number, distinct=True, neighbours=named))
        return requests

    def _place(self, media: Media, key: str) -> Any:
        """Where an object is, on the frame on which it is largest, in the convention of the prompt."""
        item, coordinates = self.objects[key][1], self.job.settings.render.coordinates
        frame = max(item.visible, key=lambda index: item.areas[index] or 0)
        box, area = item.boxes[frame], item.areas[frame]
        if box is None or area is None or coordinates == "pixel":
            return None  # pixels are those of the picture that is sent, which is not known here
        return place(box, area, (media.width, media.height), frame, coordinates=coordinates)

    def _best(self, tries: Tries) -> JudgedAnswer:
        return best(tries.own, self.job.settings.tries.prefer)

    def _candidates(self, media: Media) -> list[Candidate]:
        """The objects of a medium whose captions may be released."""
        found = []
        for item in media.objects:
            row, tries = self.unchanged.get(item.key), self.answers.get(item.key)
            if row is not None and row.caption is not None and (not row.reasons or row.reasons[0] == NOT_DISTINCT):
                found.append(Candidate(item.key, item.category, row.caption))
            elif tries is not None and (answer := self._best(tries)).passes:
                found.append(Candidate(item.key, item.category, answer.caption, tries))
        return found

    def _distinct(self, candidates: list[Candidate]) -> DistinctState:
        wanted = self.job.settings.distinct
        scores = {pair: fit.prefers for pair, fit in self.journal.fits.items()} if wanted.fit else None
        return state_of(candidates, len(wanted.again), scores)

    def _flush(self) -> None:
        self._flush_is_due = False
        try:
            self.journal.flush()
        except DiskTrouble as trouble:
            self.disk_trouble = trouble
            self.wake.set()

    def commit(self, extra: Mapping[str, Any]) -> Manifest:
        """Write the shard's rows; ``extra`` and the sums over answers go to its manifest."""
        further = (settled for steps in self.journal.further.values() for settled in steps.values())
        answers = [*self.journal.settled.values(), *further]
        more: dict[str, Any] = {name: sum(getattr(answer, name) for answer in answers) for name in _COUNTS}
        more |= totals(self.answers.values())
        if self.job.settings.distinct.fit:
            more |= fit_totals(self.journal.fits.values())
        rows: Iterable[Row] = self._rows()
        if self.retry is not None:
            rows = list(rows)
            more = self.retry.compared(rows) | more
        return write_candidates(rows, self.job.out, self.entry.index, {**extra, **more})

    def _rows(self) -> Iterator[Row]:
        for media in self.media:
            enabled = self.job.settings.distinct.enabled
            state = self._distinct(self._candidates(media)) if enabled else DistinctState()
            for item in media.objects:
                yield self._row(media, item, state)

    def _row(self, media: Media, item: MediaObject, state: DistinctState) -> Row:
        unchanged = self.unchanged.get(item.key)
        if unchanged is not None:
            return unchanged
        fault = item.fault or self.faults.get(item.key)
        if fault is not None:
            return failed_row(self.job, media, item, fault)
        settled = self.journal.settled[item.key]
        if settled.fault is not None:
            fault = Fault(settled.fault, settled.message or settled.fault)
            return failed_row(self.job, media, item, fault, JudgedAnswer(settled))
        tries = self.answers[item.key]
        chosen = state.chosen.get(item.key) or self._best(tries)
        why = _not_distinct(item.key, state)
        if why is not None:
            found = ((NOT_DISTINCT, why),)
            both = self.job.settings.distinct.keep == "both"
            chosen = replace(chosen, **({"advice": chosen.advice + found} if both else {"findings": found}))
        return answered_row(self.job, media, item, tries, chosen, tuple(self._fits(item.key, tries)))

    def _fits(self, key: str, tries: Tries) -> Iterator[NeighbourFit]:
        """The scores of an object's captions, in the order of its answers."""
        for caption in dict.fromkeys(answer.caption for answer in tries.all):
            fit = self.journal.fits.get((key, caption))
            if fit is not None:
                yield NeighbourFit(caption=caption, contrast=fit.contrast, prefers=fit.prefers, message=fit.message)


def _not_distinct(key: str, state: DistinctState) -> str | None:
    """Why a caption does not tell its object from a neighbour."""
    if key in state.alike:
        return f"says the same as the caption of {state.alike[key]}"
    if key in state.preferred:
        return f"is more probable for the pictures of {state.preferred[key]}"
    return None
