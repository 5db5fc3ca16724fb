"""Asks an engine for a number of objects and measures: the probe of ``capgen plan`` and of ``make gpu-check``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice

from capgen.dataset.layout import picture_bounds
from capgen.dataset.plan import PlannedMedia
from capgen.errors import UserError
from capgen.pipeline.asking.shared_requests import SharedRequests
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.base import EngineContext, EngineFault, Session, build_engine
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.library_warnings import engine_output_hidden
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import Settings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import Answer, View


@dataclass(frozen=True, slots=True)
class Measured:
    """What one engine did: tokens are sums over ``answered`` objects, ``seconds`` without the engine's start."""

    asked: int
    answered: int
    seconds: float
    start_s: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int

    @property
    def objects_per_s(self) -> float:
        """Answers a second."""
        return self.answered / self.seconds


def real_requests(settings: Settings, media: Iterable[PlannedMedia], most: int) -> list[View]:
    """At most so many requests with their pictures, the objects of a picture next to each other."""
    renderer = Renderer(settings.render, prompt_of(settings.prompt))
    bounds = picture_bounds(settings.source.root, settings.source.follow_links)
    decoded = (decode_media(planned, settings.source.root or "", bounds) for planned in media)
    rendered = (one for medium in decoded for one in render_media(medium, renderer) if isinstance(one, View))
    return list(islice(rendered, most))


def measure_engine(settings: Settings, views: list[View], gpus: int) -> Measured:
    """Start the engine of some settings, ask for all views as a run would, and stop it.

    Args:
        gpus: of the one engine; 0 is the CPU.

    Raises:
        UserError: there is nothing to ask, the engine cannot start, or it answers nothing.
    """
    if not views:
        raise UserError("no object of the sample can be shown", "look at capgen preview")
    loads = getattr(ENGINES.load(settings.engine.name), "loads_model", False)
    with engine_output_hidden() if loads else nullcontext():  # a server's engine may have something to say
        return asyncio.run(_measure(settings, views, gpus))


async def ask_all(session: Session, views: list[View], in_flight: int) -> tuple[list[Answer], list[EngineFault], float]:
    """Answers and faults of all views with so many requests at once, and the seconds that it took."""
    slots = asyncio.Semaphore(in_flight)

    async def ask(view: View) -> Answer | EngineFault:
        async with slots:
            try:
                return await session.answer(view)
            except EngineFault as fault:
                return fault

    begun = time.monotonic()
    said = await asyncio.gather(*(ask(view) for view in views))
    seconds = time.monotonic() - begun
    answers = [one for one in said if isinstance(one, Answer)]
    return answers, [one for one in said if isinstance(one, EngineFault)], seconds


async def _measure(settings: Settings, views: list[View], gpus: int) -> Measured:
    engine = build_engine(settings.engine)
    begun = time.monotonic()
    session = await start_engine(engine, EngineContext(settings.model, settings.sampling, gpus))
    start_s = time.monotonic() - begun
    try:
        answers, faults, seconds = await ask_all(SharedRequests(session), views, engine.in_flight)
    finally:
        await session.stop()
    if not answers:
        raise UserError(f"the engine answered none of {len(views)} requests: {faults[0]}", "look at capgen preview")
    return Measured(
        asked=len(views),
        answered=len(answers),
        seconds=seconds,
        start_s=start_s,
        prompt_tokens=sum(one.prompt_tokens for one in answers),
        cached_tokens=sum(one.cached_tokens for one in answers),
        output_tokens=sum(one.output_tokens for one in answers),
    )
