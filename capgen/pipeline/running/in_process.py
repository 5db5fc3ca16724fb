"""The run in this process, without Ray: for tests and for looking at a fault with a debugger."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import is_committed
from capgen.errors import CapgenError, Interrupted, first_leaf
from capgen.pipeline.asking.worker import Worker
from capgen.pipeline.engines.base import EngineDead, Postponed, Session, together
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.driver import Losses
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.stop import GRACE_S
from capgen.pipeline.tasks import InThisProcess, TaskRunner
from capgen.stop import Stop

_POLL_S = 0.1


@dataclass(slots=True)
class InProcess:
    """One worker in this process, without Ray: for tests and for looking at a fault with a debugger."""

    stop: Stop = field(default_factory=Stop)
    postponed: list[Postponed] = field(default_factory=list)

    def map(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        """Do the shards two at a time, as a Ray worker does."""
        if shards:
            asyncio.run(self._all(job, shards, progress))

    def tasks(self, objects: int) -> TaskRunner:
        """This process."""
        _ = objects
        return InThisProcess()

    def close(self) -> None:
        """Nothing was started."""

    async def _all(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        losses = Losses(job)
        left = list(shards)
        while left:
            begun = time.monotonic()
            progress.engines_are(starting=1, up=0, wanted=1)
            progress.wait(f"the engine {job.settings.engine.name} is starting in this process")
            worker, dead = Worker(job, await self.begin(job)), False
            progress.engines_are(starting=0, up=1, wanted=1)
            progress.engine_started({"start_s": round(time.monotonic() - begun, 2)})
            try:
                with self.stop.orderly():
                    await self._with(worker, left, progress)
            except EngineDead as error:
                dead = True
                progress.engine_lost()
                left = [entry for entry in left if not is_committed(job.out, entry.index, job.fingerprint)]
                losses.note(left[0], str(error))
            else:
                left = []
                progress.heard = worker.open_shards
                progress.ending()
            finally:
                await self.end(worker, dead=dead)
            if self.stop.asked:
                raise Interrupted
        if self.postponed:
            raise together(self.postponed)

    async def begin(self, job: Job) -> Session:
        """The engine that the worker of a job is given."""
        return await start_engine(job.engine, job.context)

    async def end(self, worker: Worker, *, dead: bool) -> None:  # noqa: ARG002 - an engine may be kept otherwise
        """A worker has ended, well or because its engine is dead."""
        await worker.close()

    async def _with(self, worker: Worker, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        window = asyncio.Semaphore(2)

        async def one(entry: ShardEntry) -> None:
            async with window:
                if self.stop.asked:
                    return
                try:
                    progress.committed(await worker(entry))
                except Postponed as error:
                    self.postponed.append(error)
                except Interrupted:
                    return

        try:
            async with asyncio.TaskGroup() as watched:
                watch = watched.create_task(self._watch(worker, progress))
                async with asyncio.TaskGroup() as group:
                    for entry in shards:
                        group.create_task(one(entry))
                watch.cancel()
        except* CapgenError as errors:
            raise first_leaf(errors) from None

    async def _watch(self, worker: Worker, progress: RunProgress) -> None:
        while True:
            if progress.hear(worker.open_shards):
                worker.go_on()
            if self.stop.asked:
                await worker.finish(GRACE_S)
                return
            await asyncio.sleep(_POLL_S)
