"""``capgen preview --ask``: what one engine says to the requests of a page, and what the checks say of that."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from capgen.dataset.types import MediaObject
from capgen.errors import UserError
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.asking.shared_requests import SharedRequests
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineNotStarted, Postponed
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.planning.job import CheckFindings, Job
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.settings import Settings
from capgen.pipeline.view import Settled, View

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PreviewAnswer:
    """An answer, what the checks that drop it say, and what those say that only advise."""

    settled: Settled
    findings: CheckFindings = ()
    advice: CheckFindings = ()


def ask_once(settings: Settings, asked: Sequence[tuple[MediaObject, View]], gpus: int) -> list[PreviewAnswer]:
    """The first answers to some requests, in order; nothing is remembered and no further try is made.

    Args:
        gpus: of the one engine that is started; 0 is the CPU.

    Raises:
        UserError: the engine cannot start, dies, or gives its answers later.
    """
    if not asked:
        return []
    job = Job(Path(), "", settings, prompt_of(settings.prompt), gpus, settings.model.id, settings.model.revision)
    try:
        said = asyncio.run(_ask(job, [view for _, view in asked]))
    except EngineNotStarted as error:
        raise UserError(f"engine {settings.engine.name} could not be started: {error.cause}", error.remedy) from error
    except EngineDead as error:
        raise UserError(f"the engine {settings.engine.name} died: {error}", "look at what it printed") from error
    except Postponed as error:
        raise UserError(f"the engine {settings.engine.name} answers later", "choose another --engine") from error
    return [
        PreviewAnswer(one) if one.fault else PreviewAnswer(one, *job.judge(obj, one))
        for (obj, _), one in zip(asked, said, strict=True)
    ]


async def _ask(job: Job, views: Sequence[View]) -> list[Settled]:
    context = EngineContext(job.settings.model, job.settings.sampling, job.gpus)
    log.info("starting the engine %s", job.settings.engine.name)
    session = SharedRequests(await start_engine(job.engine, context))
    log.info("asking for %d objects", len(views))
    asker, slots = Asker(session, job.settings.run.attempts), asyncio.Semaphore(job.in_flight)

    async def ask(view: View) -> Settled:
        async with slots:
            return await asker.ask(view, "")

    try:
        return await asyncio.gather(*map(ask, views))
    finally:
        await session.stop()
