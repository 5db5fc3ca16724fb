"""The driver: unfinished shards go to workers, what dies is handed out again, what is done is packed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from capgen.dataset.plan import ShardEntry, ShardTable
from capgen.dataset.shards import Manifest, is_committed
from capgen.errors import CapgenError, Interrupted
from capgen.pipeline.asking.journal import count_settled
from capgen.pipeline.asking.worker import OpenShards, Worker, first_leaf
from capgen.pipeline.engines.base import EngineDead, Postponed, together
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.stop import GRACE_S
from capgen.stop import Stop

log = logging.getLogger(__name__)

_POLL_S = 0.1
_FRUITLESS = 4
"""So many engines in a row may die on a shard without settling one more object before the run gives up."""


class RunFailed(CapgenError):
    """The run cannot go on; everything settled so far is kept and ``capgen run`` again resumes."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return f"{' '.join(self.message.split())}; what is done is kept: run the same command again to resume"


@dataclass(slots=True)
class Progress:
    """Where a run stands: objects settled (in ``done`` shards and in the workers' hands) of those planned.

    ``resumed`` objects were settled before this session; rates leave them out. ``seconds`` since this session began,
    ``ready_s`` of them before the first engine was up.
    """

    planned: int
    resumed: int = 0
    done: int = 0
    live: OpenShards = field(default_factory=OpenShards)
    reasons: Counter[str] = field(default_factory=Counter)
    engines: list[dict[str, Any]] = field(default_factory=list)
    manifests: list[Manifest] = field(default_factory=list)
    seconds: float = 0.0
    ready_s: float | None = None

    @property
    def settled(self) -> int:
        """Objects that need no more asking."""
        return min(self.planned, self.done + self.live.settled)

    @property
    def asking_s(self) -> float:
        """Seconds since the first engine was up."""
        return self.seconds - (self.seconds if self.ready_s is None else self.ready_s)

    @property
    def rate(self) -> float:
        """Objects settled a second in this session, since the first engine was up."""
        return max(0, self.settled - self.resumed) / self.asking_s if self.asking_s > 0 else 0.0


Watch = Callable[[Progress], None]
Live = Callable[[OpenShards], None]


class Executor(Protocol):
    """Where shards are done. Both kinds run the same ``Worker``."""

    @property
    def engines(self) -> list[dict[str, Any]]:
        """Facts of each engine that was started: ``start_s``, seconds its start took."""
        ...

    def map(self, job: Job, shards: Sequence[ShardEntry], live: Live) -> Iterable[Manifest]:
        """The shards' manifests as they are committed; ``live`` is told where the unfinished ones stand.

        Raises:
            RunFailed: a shard cannot be done.
            Interrupted: the user asked it to end.
            Postponed: every shard was gone through, and answers are still to come from elsewhere.
        """
        ...


def unfinished(job: Job, table: ShardTable) -> list[ShardEntry]:
    """The shards that have no committed file of this fingerprint."""
    return [entry for entry in table.shards if not is_committed(job.out, entry.index, job.fingerprint)]


def run_shards(job: Job, table: ShardTable, executor: Executor, watch: Watch) -> Progress:
    """Do every unfinished shard; returns the final state.

    Raises:
        RunFailed: a shard cannot be done; the run can be resumed.
        Interrupted: the user asked it to end; the run can be resumed.
    """
    todo = unfinished(job, table)
    left = {entry.index for entry in todo}
    progress = Progress(planned=sum(entry.objects for entry in table.shards))
    progress.done = sum(entry.objects for entry in table.shards if entry.index not in left)
    progress.resumed = progress.done + sum(count_settled(job.journal_dir(entry.index)) for entry in todo)
    begun = time.monotonic()

    def live(standing: OpenShards) -> None:
        progress.live = standing
        progress.engines = list(executor.engines)
        progress.seconds = time.monotonic() - begun
        if progress.ready_s is None and progress.engines:
            progress.ready_s = progress.seconds
        watch(progress)

    live(OpenShards())
    for manifest in executor.map(job, todo, live):
        progress.manifests.append(manifest)
        progress.done += manifest.rows
        progress.reasons.update(manifest.dropped)
        progress.reasons.update(manifest.failed)
        progress.seconds = time.monotonic() - begun  # not after the loop: engines take seconds to stop
    progress.live = OpenShards()
    watch(progress)
    return progress


@dataclass(slots=True)
class InProcess:
    """One worker in this process, without Ray: for tests and for looking at a fault with a debugger."""

    stop: Stop = field(default_factory=Stop)
    engines: list[dict[str, Any]] = field(default_factory=list)
    postponed: list[Postponed] = field(default_factory=list)

    def map(self, job: Job, shards: Sequence[ShardEntry], live: Live) -> list[Manifest]:
        """Do the shards two at a time, as a Ray worker does."""
        return asyncio.run(self._all(job, shards, live)) if shards else []

    async def _all(self, job: Job, shards: Sequence[ShardEntry], live: Live) -> list[Manifest]:
        manifests: list[Manifest] = []
        losses = Losses(job)
        left = list(shards)
        while left:
            begun = time.monotonic()
            worker = Worker(job, await job.engine.start(job.context))
            self.engines.append({"start_s": round(time.monotonic() - begun, 2)})
            try:
                with self.stop.orderly():
                    await self._with(worker, left, live, manifests)
            except EngineDead as error:
                left = [entry for entry in left if not is_committed(job.out, entry.index, job.fingerprint)]
                losses.note(left[0], str(error))
            else:
                left = []
            finally:
                await worker.close()
            if self.stop.asked:
                raise Interrupted
        if self.postponed:
            raise together(self.postponed)
        return manifests

    async def _with(self, worker: Worker, shards: Sequence[ShardEntry], live: Live, manifests: list[Manifest]) -> None:
        window = asyncio.Semaphore(2)

        async def one(entry: ShardEntry) -> None:
            async with window:
                if self.stop.asked:
                    return
                try:
                    manifests.append(await worker(entry))
                except Postponed as error:
                    self.postponed.append(error)
                except Interrupted:
                    return
            live(worker.open_shards)

        try:
            async with asyncio.TaskGroup() as watched:
                watch = watched.create_task(self._watch(worker))
                async with asyncio.TaskGroup() as group:
                    for entry in shards:
                        group.create_task(one(entry))
                watch.cancel()
        except* CapgenError as errors:
            raise first_leaf(errors) from None

    async def _watch(self, worker: Worker) -> None:
        while True:
            if self.stop.asked:
                await worker.finish(GRACE_S)
                return
            await asyncio.sleep(_POLL_S)


@dataclass(slots=True)
class Losses:
    """Counts the engines that died on each shard, and gives up where none of them gets any further."""

    job: Job
    settled: dict[int, int] = field(default_factory=dict)
    fruitless: Counter[int] = field(default_factory=Counter)

    def note(self, entry: ShardEntry, why: str) -> None:
        """An engine died while it had ``entry``.

        Raises:
            RunFailed: that was the last try.
        """
        settled = count_settled(self.job.journal_dir(entry.index))
        if settled > self.settled.get(entry.index, -1):
            self.fruitless[entry.index] = 0
        self.settled[entry.index] = settled
        self.fruitless[entry.index] += 1
        log.warning("shard %05d: the engine was lost (%s); its shard is handed out again", entry.index, why)
        if self.fruitless[entry.index] > 2 * self.job.settings.run.attempts + _FRUITLESS:
            raise RunFailed(f"shard {entry.index:05d}: {self.fruitless[entry.index]} engines died in a row: {why}")
