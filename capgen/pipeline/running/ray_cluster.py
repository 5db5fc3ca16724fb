"""The run on Ray: one actor an engine, restarted by Ray when it dies, its shards handed out again."""

from __future__ import annotations

import logging
import os
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest
from capgen.errors import CapgenError, Interrupted
from capgen.pipeline.asking.worker import OpenShards
from capgen.pipeline.engines.base import EngineDead, Postponed, together
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.cluster.ray_tasks import RayTasks
from capgen.pipeline.running.driver import Losses, RunFailed
from capgen.pipeline.running.ray_actor import ShardActor
from capgen.pipeline.running.ray_connect import connected, first_line
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.stop import GRACE_S
from capgen.pipeline.tasks import InThisProcess, LocalProcesses, TaskRunner, worth_processes
from capgen.stop import Stop

log = logging.getLogger(__name__)

_SHARDS_AT_ONCE = 2
_WAIT_S = 1.0
_LOOK_S = 1.0
_STOP_S = 20.0
_REFUSED_S = 3.0
_AWAY_S = 120.0
_BUSY_S = 8.0
_STARTS = 3  # so often an engine is started before the run gives up; it may be killed while it loads


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
    _ray: Any = None
    _held: ExitStack = field(default_factory=ExitStack)

    def map(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        """Hand out shards, two to an actor at a time."""
        if not shards:
            return
        ray = self._connected()
        with self.stop.orderly():
            _Session(ray, self, job, shards, progress).run()

    def tasks(self, objects: int) -> TaskRunner:
        """Tasks of the cluster; processes of this machine where there is no cluster and nothing has started one."""
        if not worth_processes(objects):
            return InThisProcess()
        if self._ray is None and not os.environ.get("RAY_ADDRESS"):
            return self._held.enter_context(LocalProcesses())
        return RayTasks(self._connected())

    def close(self) -> None:
        """Leave the cluster, which ends one of this machine's own."""
        self._ray = None
        self._held.close()

    def _connected(self) -> Any:
        if self._ray is None:
            self._ray = self._held.enter_context(connected(self.workers, self.gpus))
            self.stop.listen()  # Ray has taken SIGTERM for itself
        return self._ray


class _Session:
    """One pass over the shards: which engines are up, what each has in hand, and what waits.

    Only an engine that is up is given shards: one whose machine is gone may stay away for good, and the others go on
    without it. A ``life`` of an actor ends when anything of it is lost; what is left of that life is ignored.
    """

    def __init__(
        self, ray: Any, cluster: RayCluster, job: Job, shards: Sequence[ShardEntry], progress: RunProgress
    ) -> None:
        self.ray, self.cluster, self.job, self.progress = ray, cluster, job, progress
        self.waiting = deque(shards)
        self.pending: dict[Any, _Handed] = {}
        self.starting: dict[Any, tuple[int, float]] = {}
        self.due: dict[int, float] = {0: 0.0}
        self.away: dict[int, float] = {}
        self.up: list[int] = []
        self.told: set[int] = set()
        self.looks = _Looks(ray)
        self.losses = Losses(job)
        self.postponed: list[Postponed] = []
        kind = ray.remote(ShardActor).options(
            num_cpus=1, num_gpus=cluster.gpus, max_restarts=-1, max_task_retries=0, max_concurrency=16
        )
        count = min(cluster.workers, len(shards))
        self.actors = [kind.remote(job, number) for number in range(count)]
        self.placed = self.actors[0].open_shards.remote()  # answered as soon as the first actor has its place
        self.tell_busy_at: float | None = time.monotonic() + _BUSY_S
        self.lives = [0] * count
        self.starts = [0] * count
        self.seen = [""] * count

    def run(self) -> None:
        """Do every shard; the first engine starts alone, so that compile caches are written once."""
        while self.waiting or self.pending:
            self._start_due()
            self._tell_busy()
            self._hand_out()
            for ref in self._ready():
                if ref in self.starting:
                    self._started(ref)
                else:
                    self._ended(ref)
            workers = self.looks.look({number: self.actors[number] for number in self.up})
            if workers is not None:
                self._hear(workers)
            if self.cluster.stop.asked:
                self._finish()
        self._stop(_STOP_S)
        for actor in self.actors:
            self.ray.kill(actor)  # its CPU is wanted for packing
        if self.postponed:
            raise together(self.postponed)

    def _tell_busy(self) -> None:
        """Say once that the first engine waits for what others of the cluster have."""
        if self.tell_busy_at is None or time.monotonic() < self.tell_busy_at:
            return
        self.tell_busy_at = None
        if self.ray.wait([self.placed], timeout=0)[0]:
            return
        free = self.ray.available_resources()
        wanted = {"CPU": 1, "GPU": self.cluster.gpus}
        short = [kind for kind, count in wanted.items() if free.get(kind, 0) < count]
        if short:
            log.warning(
                "the engine waits: no %s of the Ray cluster is free; end what holds it, or add a node",
                " and no ".join(short),
            )

    def _hear(self, workers: OpenShards) -> None:
        if self.progress.hear(workers):
            for number in set(self.up) - self.told:
                self.actors[number].go_on.remote()
                self.told.add(number)

    def _finish(self) -> None:
        """End the run; what is in flight may still complete shards.

        Raises:
            Interrupted: always.
        """
        for number in self.up:
            self.actors[number].finish.remote(GRACE_S)
        refs = list(self.pending)
        for ref in self.ray.wait(refs, num_returns=len(refs), timeout=GRACE_S + 2)[0] if refs else ():
            with suppress(CapgenError, self.ray.exceptions.RayError):
                self.progress.committed(self._get(ref))
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
        if not self.progress.engines:
            self.due |= dict.fromkeys(range(1, len(self.actors)), 0.0)
        self.up.append(number)
        self.seen[number] = life
        self.starts[number] = 0
        self.away.pop(number, None)
        self.progress.engine_started(facts)

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
            raise RunFailed(f"engine {number} could not be started: {first_line(error)}") from error
        self._lost(number, dead=isinstance(error, EngineDead | self.ray.exceptions.RayTaskError), pause_s=_WAIT_S)

    def _lost(self, number: int, *, dead: bool, pause_s: float = 0.0) -> None:
        """The end of an actor's life; Ray brings up the next one, here or on another machine."""
        self.progress.engine_lost()
        self.up = [other for other in self.up if other != number]
        self.lives[number] += 1
        self.told.discard(number)
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

    def _ended(self, ref: Any) -> None:
        """A shard is committed, or waits for answers, or its engine was lost."""
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
                self.losses.process_died(handed.entry)
            self.losses.note(handed.entry, first_line(error))
            if handed.life == self.lives[handed.number]:
                self._lost(handed.number, dead=isinstance(error, EngineDead))
        else:
            self.progress.committed(manifest)

    def _stop(self, seconds: float) -> None:
        """Let the engines end their own processes."""
        refs = [self.actors[number].stop.remote() for number in self.up]
        until = time.monotonic() + seconds
        while refs and time.monotonic() < until:
            self.progress.ending()
            _, refs = self.ray.wait(refs, num_returns=len(refs), timeout=min(_WAIT_S, seconds))


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
