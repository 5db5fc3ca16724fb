"""One started engine for the runs of several variants, one after the other."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from capgen.dataset.plan import ShardEntry
from capgen.pipeline.asking.worker import Worker
from capgen.pipeline.engines.base import EngineContext, EngineFault, Session, build_engine
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.judging.judge import RunningEngine
from capgen.pipeline.planning.job import Job
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.running.in_process import InProcess
from capgen.pipeline.running.nodes.needs import NodeNeeds
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.session import Devices
from capgen.pipeline.settings import Settings
from capgen.pipeline.view import View
from capgen.stop import Stop


@dataclass(slots=True)
class SharedEngine(InProcess):
    """Does the shards of one run after the other in this process; an engine stays up as long as runs want the same.

    Before each run the engine answers one request, so that what it prepares for a kind of request is not counted, and
    then forgets what it has cached, so that no variant is cheaper for what another has asked.

    Args:
        starts: how many engines were started.
    """

    starts: int = 0
    _runner: asyncio.Runner = field(default_factory=asyncio.Runner)
    _session: Session | None = None
    _is_of: str = ""

    def map(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        """See ``InProcess.map``."""
        if shards:
            self._runner.run(self._all(job, shards, progress))

    async def begin(self, job: Job) -> Session:
        """The engine that the job wants, up and warm, with empty caches."""
        session = await self._up(job.settings, job.gpus)
        await _warm(job, session)
        return session

    def running(self, settings: Settings, gpus: int) -> RunningEngine:
        """The engine of some settings, up, for who asks it something else than a run does."""
        return RunningEngine(self._runner.run(self._up(settings, gpus)), self._runner)

    async def _up(self, settings: Settings, gpus: int) -> Session:
        wanted = engine_of(settings, gpus)
        if self._session is None or self._is_of != wanted:
            await self._stop()
            context = EngineContext(settings.model, settings.sampling, gpus)
            self._session = await start_engine(build_engine(settings.engine), context)
            self._is_of = wanted
            self.starts += 1
        return self._session

    async def end(self, worker: Worker, *, dead: bool) -> None:
        """Keep the engine for the next run, unless it is dead."""
        worker.detach()
        if dead:
            await self._stop()

    async def _stop(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            await session.stop()

    def finish(self) -> None:
        """Stop the engine."""
        self._runner.run(self._stop())
        self._runner.close()
        gc.collect()  # else vLLM's engine is collected when the interpreter ends, and complains


@dataclass(frozen=True, slots=True)
class SharedDevices(Devices):
    """The devices of ``engine``, for ``run_session``."""

    engine: SharedEngine = field(default_factory=SharedEngine)

    def executor(self, stop: Stop, needs: NodeNeeds | None = None) -> SharedEngine:  # noqa: ARG002 - it is up
        """The shared engine, which ends early where ``stop`` says so."""
        self.engine.stop = stop
        return self.engine


def engine_of(settings: Settings, gpus: int = 0) -> str:
    """What an engine is started with: runs that agree on it can share one."""
    tables = (settings.engine, settings.model, settings.sampling)
    return "\n".join([*(table.model_dump_json() for table in tables), str(gpus)])


async def _warm(job: Job, session: Session) -> None:
    view = _first_view(job)
    if view is not None:
        with suppress(EngineFault):  # the run itself asks again, and says what is wrong
            await session.answer(view)
    forget = getattr(session, "forget", None)
    if forget is not None:
        await forget()


def _first_view(job: Job) -> View | None:
    """The first view of the run that can be rendered."""
    from capgen.dataset.reader import read_plan

    for entry in read_plan(job.out).shards:
        for planned in job.planned(entry):
            for shown in render_media(job.decode(planned), job.renderer):
                if isinstance(shown, View):
                    return shown
    return None
