"""The run on Ray: one actor an engine, restarted by Ray when it dies, its shards handed out again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.dataset.shards import Manifest
from capgen.errors import CapgenError, UserError
from capgen.pipeline.engines.base import EngineDead, Postponed, together
from capgen.pipeline.job import Job
from capgen.pipeline.plan import ShardEntry
from capgen.pipeline.run import Live, Losses, RunFailed
from capgen.pipeline.shard import Standing, Worker

log = logging.getLogger(__name__)

_SHARDS_AT_ONCE = 2
_SWITCH_S = 0.0005  # the event loop must not wait 5 ms for its turn while pictures are rendered beside it
_OBJECT_STORE = 80 * 2**20  # pictures never travel through it: Ray's least is enough


class ShardActor:
    """The worker as a Ray actor: its engine is loaded at the first call, and anew after a restart."""

    def __init__(self, job: Job, number: int) -> None:
        self._job = job
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        sys.setswitchinterval(_SWITCH_S)
        _log_to(job.out / "logs" / f"engine-{number:02d}.log")

    async def start(self) -> dict[str, Any]:
        """Load the engine, if it is not; says how long that took."""
        begun = time.monotonic()
        async with self._starting:
            if self._worker is None:
                self._worker = Worker(self._job, await self._job.engine.start(self._job.context))
        return {"start_s": round(time.monotonic() - begun, 2)}

    async def shard(self, entry: ShardEntry) -> Manifest:
        """Do a shard; its manifest."""
        await self.start()
        assert self._worker is not None
        return await self._worker(entry)

    async def standing(self) -> Standing:
        """Where the shards in hand stand."""
        return self._worker.standing if self._worker else Standing()

    async def stop(self) -> None:
        """End the engine's own processes."""
        if self._worker is not None:
            await self._worker.close()


@dataclass(slots=True)
class RayCluster:
    """An executor over Ray: a cluster named by ``RAY_ADDRESS``, or one of this machine's own.

    Args:
        workers: actors, each with an engine.
        gpus: GPUs of each engine; 0 is the CPU.
    """

    workers: int
    gpus: int
    engines: list[dict[str, Any]] = field(default_factory=list)

    def map(self, job: Job, shards: Sequence[ShardEntry], live: Live) -> Iterator[Manifest]:
        """Hand out shards, two to an actor at a time, and give back manifests as shards are committed."""
        if not shards:
            return
        ray = self._connect()
        try:
            yield from _Session(ray, self, job, shards, live).run()
        finally:
            ray.shutdown()

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": address} if address else self._local()
        try:
            ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
        except Exception as error:  # Ray raises bare Exceptions from its start-up
            raise RunFailed(f"Ray could not be started or joined: {error}") from error
        there = ray.cluster_resources().get("GPU", 0)
        if there < self.workers * self.gpus:
            ray.shutdown()
            raise UserError(
                f"--gpus asks for {self.workers * self.gpus} GPUs, the Ray cluster has {there:g}", "lower --gpus"
            )
        return ray

    def _local(self) -> dict[str, Any]:
        return {
            "address": "local",
            "num_cpus": max(self.workers, os.cpu_count() or 1),
            "object_store_memory": _OBJECT_STORE,
            "include_dashboard": False,
        }


class _Session:
    """One pass over the shards: the actors, what each has in hand, and what waits."""

    def __init__(self, ray: Any, cluster: RayCluster, job: Job, shards: Sequence[ShardEntry], live: Live) -> None:
        self.ray, self.cluster, self.job, self.live = ray, cluster, job, live
        self.waiting = deque(shards)
        self.pending: dict[Any, tuple[int, ShardEntry]] = {}
        self.losses = Losses(job)
        self.postponed: list[Postponed] = []
        kind = ray.remote(ShardActor).options(
            num_cpus=1, num_gpus=cluster.gpus, max_restarts=-1, max_task_retries=0, max_concurrency=16
        )
        count = min(cluster.workers, len(shards))
        self.actors = [kind.remote(job, number) for number in range(count)]

    def run(self) -> Iterator[Manifest]:
        """Manifests as they come; the first engine starts alone, so that compile caches are written once."""
        self._start(self.actors[:1])
        self._start(self.actors[1:])
        while self.waiting or self.pending:
            self._hand_out()
            ready, _ = self.ray.wait(list(self.pending), timeout=1.0)
            for ref in ready:
                number, entry = self.pending.pop(ref)
                manifest = self._manifest(ref, number, entry)
                if manifest is not None:
                    yield manifest
            self._look()
        self._stop()
        if self.postponed:
            raise together(self.postponed)

    def _start(self, actors: list[Any]) -> None:
        refs = [actor.start.remote() for actor in actors]
        while refs:
            ready, refs = self.ray.wait(refs, timeout=1.0)
            for ref in ready:
                self.cluster.engines.append(self._get(ref))
            self.live(Standing())

    def _get(self, ref: Any) -> Any:
        """The call's value; an error of capgen's own comes back as itself, not wrapped in Ray's traceback."""
        try:
            return self.ray.get(ref)
        except self.ray.exceptions.RayTaskError as error:
            cause = error.cause
            if isinstance(cause, CapgenError):
                raise cause from None
            raise

    def _hand_out(self) -> None:
        load = [sum(number == have for have, _ in self.pending.values()) for number in range(len(self.actors))]
        while self.waiting and min(load) < _SHARDS_AT_ONCE:
            number = load.index(min(load))
            entry = self.waiting.popleft()
            self.pending[self.actors[number].shard.remote(entry)] = (number, entry)
            load[number] += 1

    def _manifest(self, ref: Any, number: int, entry: ShardEntry) -> Manifest | None:
        """The manifest, or None where the shard has none yet: it waits for answers, or its engine was lost."""
        try:
            manifest: Manifest = self._get(ref)
        except Postponed as error:
            self.postponed.append(error)
        except EngineDead as error:
            self.losses.note(entry, str(error))
            self.waiting.appendleft(entry)
            self.ray.kill(self.actors[number], no_restart=False)
        except self.ray.exceptions.RayActorError as error:
            self.losses.note(entry, str(error).strip().splitlines()[0] if str(error).strip() else "actor died")
            self.waiting.appendleft(entry)
        else:
            return manifest
        return None

    def _look(self) -> None:
        """Ask every actor where it stands; one that does not answer at once is asked again next time."""
        refs = [actor.standing.remote() for actor in self.actors]
        ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=1.0)
        total = Standing()
        for ref in ready:
            try:
                total += self.ray.get(ref)
            except self.ray.exceptions.RayError:
                continue
        self.live(total)

    def _stop(self) -> None:
        refs = [actor.stop.remote() for actor in self.actors]
        self.ray.wait(refs, num_returns=len(refs), timeout=20)


def _log_to(file: Path) -> None:
    """Send this process's output, and that of the engine's own processes, to a file of the run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
