"""Scores of captions against neighbours: asked of the engine once, kept in the journal."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from capgen.dataset.types import Media
from capgen.pipeline.asking.distinct.captions import Candidate
from capgen.pipeline.asking.journal import CaptionFit, ShardJournal
from capgen.pipeline.asking.render_ahead import RenderAhead
from capgen.pipeline.asking.suspects import EngineGuard
from capgen.pipeline.engines.base import EngineDead, EngineFault, RequestRefused, Session
from capgen.pipeline.engines.scoring.base import SentenceScorer, scorer_of
from capgen.pipeline.engines.scoring.fit import CONTRAST, fit_of, to_compare
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.view import View, request_digest

_DIGITS = 3
"""Of a contrast: engines do not compute the same value twice to the last digit."""


@dataclass(frozen=True, slots=True)
class FitRequest:
    """A caption that is to be held against an object's neighbours, given by their keys, those of its category."""

    media: Media
    key: str
    caption: str
    neighbours: tuple[str, ...]


def fit_requests(
    media: Media, candidates: Sequence[Candidate], unscored: Sequence[tuple[str, str]]
) -> list[FitRequest]:
    """The requests for the scores of some captions; a caption is held against the nearest neighbours of its category.

    Args:
        candidates: of the medium, in its order.
        unscored: keys and captions.
    """
    groups: dict[str | None, list[str]] = defaultdict(list)
    places = {}
    for one in candidates:
        places[one.key] = one.category, len(groups[one.category])
        groups[one.category].append(one.key)
    found = []
    for key, caption in unscored:
        category, place = places[key]
        near = groups[category][max(0, place - CONTRAST) : place + CONTRAST + 1]
        chosen = to_compare(near.index(key), [category] * len(near))
        found.append(FitRequest(media, key, caption, tuple(near[other] for other in chosen)))
    return found


def fit_totals(fits: Iterable[CaptionFit]) -> dict[str, int]:
    """For a shard's manifest: captions scored, those that are more probable for a neighbour, and the cost."""
    every = list(fits)
    return {
        "fits": len(every),
        "fits_unknown": sum(one.contrast is None for one in every),
        "fits_of_neighbours": sum(one.prefers is not None for one in every),
        "fit_prompt_tokens": sum(one.prompt_tokens for one in every),
        "fit_cached_tokens": sum(one.cached_tokens for one in every),
    }


class FitAsker:
    """Scores captions with one started engine.

    Args:
        render: whose threads render the objects once more.
    """

    def __init__(self, job: Job, session: Session, guard: EngineGuard, render: RenderAhead) -> None:
        self._job, self._session, self._guard, self._render = job, session, guard, render

    @cached_property
    def _scorer(self) -> SentenceScorer:
        """One for the whole session: it remembers what it has found out about the engine."""
        return scorer_of(self._session)

    async def ask(self, journal: ShardJournal, request: FitRequest, *, isolated: bool) -> CaptionFit:
        """Score a caption.

        Raises:
            EngineDead: the engine is gone.
            UserError: its server tells no log-probabilities of prompts.
        """
        views = await self._render.in_thread(self._views, request)
        own, others = views.get(request.key), [views[key] for key in request.neighbours if key in views]
        if own is None or not others:
            return CaptionFit(fit=request.key, caption=request.caption, message="it cannot be shown again")
        digest = request_digest(own, f"{self._job.salt}\0fit\0{request.caption}")
        fault = journal.proven_fault(request.key, digest, self._job.settings.run.attempts)
        if fault is not None:
            return CaptionFit(fit=request.key, caption=request.caption, message=fault.message)
        self._guard.sent(journal, request.key, digest, isolated=isolated)
        try:
            found = await self._scored(request, own, others)
        except EngineDead:
            self._guard.ended("killed")
            raise
        self._guard.finished(answered=found.message is None)
        self._guard.returned(request.key)
        return found

    async def _scored(self, request: FitRequest, own: View, others: Sequence[View]) -> CaptionFit:
        """The score; a fault that cannot pass, or comes too often, is no score."""
        for _ in range(self._job.settings.run.attempts):
            try:
                found = await fit_of(self._scorer, request.caption, own, others)
            except EngineDead:
                raise
            except EngineFault as fault:
                told = str(fault)
                if isinstance(fault, RequestRefused):
                    break
            else:
                return CaptionFit(
                    fit=request.key,
                    caption=request.caption,
                    contrast=None if found.contrast is None else round(found.contrast, _DIGITS),
                    prefers=found.best_other if found.prefers_another else None,
                    prompt_tokens=found.prompt_tokens,
                    cached_tokens=found.cached_tokens,
                )
        return CaptionFit(fit=request.key, caption=request.caption, message=told)

    def _views(self, request: FitRequest) -> Mapping[str, View]:
        """The requests of the object and of its neighbours, as they were asked for at first."""
        wanted = {request.key, *request.neighbours}
        others = frozenset(item.key for item in request.media.objects if item.key not in wanted)
        shown = render_media(request.media, self._job.renderer, skip=others)
        return {view.key: view for view in shown if isinstance(view, View)}
