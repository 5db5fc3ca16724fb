"""The run on Ray: one actor an engine, restarted by Ray when it dies, its shards handed out again."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest
from capgen.errors import CapgenError, Interrupted, UserError
from capgen.pipeline.asking.journal import note_lost
from capgen.pipeline.asking.parent_watchdog import end_with_parent
from capgen.pipeline.asking.worker import OpenShards, Worker
from capgen.pipeline.engines.base import EngineDead, Postponed, together
from capgen.pipeline.library_warnings import hide_library_warnings
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.driver import Live, Losses, RunFailed
from capgen.pipeline.running.stop import GRACE_S
from capgen.stop import Stop

log = logging.getLogger(__name__)

_SHARDS_AT_ONCE = 2
_SWITCH_S = 0.0005  # the event loop must not wait 5 ms for its turn while pictures are rendered beside it
_WAIT_S = 1.0
_LOOK_S = 1.0
_STOP_S = 20.0
_REFUSED_S = 3.0
_AWAY_S = 120.0
_STARTS = 3  # so often an engine is started before the run gives up; it may be killed while it loads
_CONNECTS = 2  # Ray gives its node 30 s to start, which a busy machine may not manage at once
_OBJECT_STORE = 80 * 2**20  # pictures never travel through it: Ray's least is enough


class ShardActor:
    """The worker as a Ray actor: its engine is loaded at the first call, and anew after a restart."""

    def __init__(self, job: Job, number: int) -> None:
        hide_library_warnings()
        self._job = job
        self._worker: Worker | None = None
        self._starting = asyncio.Lock()
        self._life = uuid4().hex
        sys.setswitchinterval(_SWITCH_S)
        end_with_parent()
        _log_to(RunLayout(job.out).engine_log(number))

    async def start(self) -> dict[str, Any]:
        """Load the engine, if it is not; says how long that took, and which of the actor's lives this is."""
        begun = time.monotonic()
        async with self._starting:
            if self._worker is None:
                self._worker = Worker(self._job, await self._job.engine.start(self._job.context))
        return {"start_s": round(time.monotonic() - begun, 2), "life": self._life}

    async def shard(self, entry: ShardEntry) -> Manifest:
        """Do a shard; its manifest."""
        await self.start()
        assert self._worker is not None
        return await self._worker(entry)

    async def open_shards(self) -> OpenShards:
        """Where the shards in hand stand."""
        return self._worker.open_shards if self._worker else OpenShards()

    async def finish(self, seconds: float) -> None:
        """Ask for nothing more; requests in flight have so many seconds."""
        if self._worker is not None:
            await self._worker.finish(seconds)

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
        stop: says when the user wants the run to end.
    """

    workers: int
    gpus: int
    stop: Stop = field(default_factory=Stop)
    engines: list[dict[str, Any]] = field(default_factory=list)

    def map(self, job: Job, shards: Sequence[ShardEntry], live: Live) -> Iterator[Manifest]:
        """Hand out shards, two to an actor at a time, and give back manifests as shards are committed."""
        if not shards:
            return
        ray = self._connect()
        self.stop.listen()  # Ray has taken SIGTERM for itself
        try:
            with self.stop.orderly():
                yield from _Session(ray, self, job, shards, live).run()
        finally:
            ray.shutdown()

    def _connect(self) -> Any:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        address = os.environ.get("RAY_ADDRESS")
        options: dict[str, Any] = {"address": address} if address else self._local()
        for attempt in range(1 if address else _CONNECTS):
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, configure_logging=True, **options)
                break
            except Exception as error:  # Ray raises bare Exceptions from its start-up
                ray.shutdown()
                if address or attempt + 1 == _CONNECTS:
                    raise RunFailed(f"Ray could not be started or joined: {error}") from error
                log.warning("Ray did not start (%s); trying again", _first_line(error))
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
    """One pass over the shards: which engines are up, what each has in hand, and what waits.

    Only an engine that is up is given shards: one whose machine is gone may stay away for good, and the others go on
    without it. A ``life`` of an actor ends when anything of it is lost; what is left of that life is ignored.
    """

    def __init__(self, ray: Any, cluster: RayCluster, job: Job, shards: Sequence[ShardEntry], live: Live) -> None:
        self.ray, self.cluster, self.job, self.live = ray, cluster, job, live
        self.waiting = deque(shards)
        self.pending: dict[Any, _Handed] = {}
        self.starting: dict[Any, tuple[int, float]] = {}
        self.due: dict[int, float] = {0: 0.0}
        self.away: dict[int, float] = {}
        self.up: list[int] = []
        self.looks = _Looks(ray)
        self.losses = Losses(job)
        self.postponed: list[Postponed] = []
        kind = ray.remote(ShardActor).options(
            num_cpus=1, num_gpus=cluster.gpus, max_restarts=-1, max_task_retries=0, max_concurrency=16
        )
        count = min(cluster.workers, len(shards))
        self.actors = [kind.remote(job, number) for number in range(count)]
        self.lives = [0] * count
        self.starts = [0] * count
        self.seen = [""] * count

    def run(self) -> Iterator[Manifest]:
        """Manifests as they come; the first engine starts alone, so that compile caches are written once."""
        while self.waiting or self.pending:
            self._start_due()
            self._hand_out()
            for ref in self._ready():
                if ref in self.starting:
                    self._started(ref)
                    continue
                manifest = self._manifest(ref)
                if manifest is not None:
                    yield manifest
            standing = self.looks.look({number: self.actors[number] for number in self.up})
            if standing is not None:
                self.live(standing)
            if self.cluster.stop.asked:
                yield from self._finish()
        self._stop(_STOP_S)
        if self.postponed:
            raise together(self.postponed)

    def _finish(self) -> Iterator[Manifest]:
        """The last manifests, of shards that what is in flight completes.

        Raises:
            Interrupted: always.
        """
        for number in self.up:
            self.actors[number].finish.remote(GRACE_S)
        refs = list(self.pending)
        for ref in self.ray.wait(refs, num_returns=len(refs), timeout=GRACE_S + 2)[0] if refs else ():
            with suppress(CapgenError, self.ray.exceptions.RayError):
                yield self._get(ref)
        self._stop(2)
        raise Interrupted

    def _ready(self) -> list[Any]:
        """Every call that has ended, after at most a second of waiting for the first."""
        refs = [*self.starting, *self.pending]
        if not refs:  # every engine is away
            time.sleep(_WAIT_S / 5)
            return []
        self.ray.wait(refs, timeout=_WAIT_S)
        ready, _ = self.ray.wait(refs, num_returns=len(refs), timeout=0)
        return list(ready)

    def _start_due(self) -> None:
        """Start what is to be started by now."""
        now = time.monotonic()
        for number in [number for number, at in self.due.items() if at <= now]:
            del self.due[number]
            self.starting[self.actors[number].start.remote()] = (number, now)

    def _started(self, ref: Any) -> None:
        """An engine is up, or was lost on the way there."""
        number, sent = self.starting.pop(ref)
        try:
            facts = self._get(ref)
        except (EngineDead, self.ray.exceptions.RayError) as error:
            self._not_started(number, sent, error)
            return
        life = facts.pop("life")
        if life == self.seen[number]:
            # Ray lost sight of it but it lives, and still works on shards that were handed out again.
            self._lost(number, dead=True)
            return
        if not self.cluster.engines:
            self.due |= dict.fromkeys(range(1, len(self.actors)), 0.0)
        self.up.append(number)
        self.seen[number] = life
        self.starts[number] = 0
        self.away.pop(number, None)
        self.cluster.engines.append(facts)
        self.live(self.looks.total)

    def _not_started(self, number: int, sent: float, error: Exception) -> None:
        """Once more, but not for ever: an engine may be killed while it loads, and a machine may be gone.

        Until Ray has noticed that (it takes half a minute) it refuses every call to the actor at once.
        """
        now = time.monotonic()
        if isinstance(error, self.ray.exceptions.ActorUnavailableError) and now - sent < _REFUSED_S:
            given_up = now - self.away.setdefault(number, now) > _AWAY_S
        else:
            self.starts[number] += 1
            given_up = self.starts[number] >= _STARTS
        if given_up:
            raise RunFailed(f"engine {number} could not be started: {_first_line(error)}") from error
        self._lost(number, dead=isinstance(error, EngineDead | self.ray.exceptions.RayTaskError), pause_s=_WAIT_S)

    def _lost(self, number: int, *, dead: bool, pause_s: float = 0.0) -> None:
        """The end of an actor's life; Ray brings up the next one, here or on another machine."""
        self.up = [other for other in self.up if other != number]
        self.lives[number] += 1
        self.looks.forget(number)
        if dead:
            self.ray.kill(self.actors[number], no_restart=False)
        self.due[number] = time.monotonic() + pause_s

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
        """Fill the engines that are up, each with one shard before any has two."""
        load = Counter(handed.number for handed in self.pending.values())
        for full in range(1, _SHARDS_AT_ONCE + 1):
            for number in self.up:
                if self.waiting and load[number] < full:
                    entry = self.waiting.popleft()
                    ref = self.actors[number].shard.remote(entry)
                    self.pending[ref] = _Handed(number, self.lives[number], entry)
                    load[number] += 1

    def _manifest(self, ref: Any) -> Manifest | None:
        """The manifest, or None where the shard has none yet: it waits for answers, or its engine was lost."""
        handed = self.pending.pop(ref)
        try:
            manifest: Manifest = self._get(ref)
        except Postponed as error:
            self.postponed.append(error)
        except self.ray.exceptions.RayTaskError:
            raise
        except (EngineDead, self.ray.exceptions.RayError) as error:
            self.waiting.appendleft(handed.entry)
            if not isinstance(error, EngineDead):
                note_lost(self.job.journal_dir(handed.entry.index))
            self.losses.note(handed.entry, _first_line(error))
            if handed.life == self.lives[handed.number]:
                self._lost(handed.number, dead=isinstance(error, EngineDead))
        else:
            return manifest
        return None

    def _stop(self, seconds: float) -> None:
        refs = [self.actors[number].stop.remote() for number in self.up]
        if refs:
            self.ray.wait(refs, num_returns=len(refs), timeout=seconds)


@dataclass(frozen=True, slots=True)
class _Handed:
    """A shard in an actor's hands, and which of the actor's lives that is."""

    number: int
    life: int
    entry: ShardEntry


@dataclass(slots=True)
class _Looks:
    """Where the engines that are up stand, asked once a second; one that is slow to answer keeps nobody waiting."""

    ray: Any
    latest: dict[int, OpenShards] = field(default_factory=dict)
    asked: dict[int, Any] = field(default_factory=dict)
    next: float = 0.0

    @property
    def total(self) -> OpenShards:
        """What was heard last."""
        return sum(self.latest.values(), OpenShards())

    def look(self, actors: Mapping[int, Any]) -> OpenShards | None:
        """The sum over the actors; None where it was asked for less than a second ago."""
        if time.monotonic() < self.next:
            return None
        self.next = time.monotonic() + _LOOK_S
        self.asked |= {
            number: actor.open_shards.remote() for number, actor in actors.items() if number not in self.asked
        }
        if self.asked:
            numbers = {ref: number for number, ref in self.asked.items()}
            ready, _ = self.ray.wait(list(numbers), num_returns=len(numbers), timeout=_LOOK_S / 5)
            for ref in ready:
                self._heard(numbers[ref], ref)
        return self.total

    def _heard(self, number: int, ref: Any) -> None:
        del self.asked[number]
        try:
            self.latest[number] = self.ray.get(ref)
        except self.ray.exceptions.RayError:  # it is being lost; its shards will tell
            self.latest.pop(number, None)

    def forget(self, number: int) -> None:
        """An actor's life is over."""
        self.latest.pop(number, None)
        self.asked.pop(number, None)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _log_to(file: Path) -> None:
    """Send this process's output, and that of the engine's own processes, to a file of the run."""
    file.parent.mkdir(parents=True, exist_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    os.close(descriptor)
