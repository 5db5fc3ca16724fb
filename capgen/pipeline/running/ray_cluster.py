"""The run on Ray: one actor an engine, restarted by Ray when it dies, its shards handed out again."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any

from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest
from capgen.errors import CapgenError, Interrupted
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.engines.base import EngineDead, Postponed, together
from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.cluster.balance import HandedPiece
from capgen.pipeline.running.cluster.handing import Handing
from capgen.pipeline.running.cluster.looks import EngineLooks
from capgen.pipeline.running.cluster.lost_engines import EngineStarts, why_lost
from capgen.pipeline.running.cluster.places import EnginePlaces
from capgen.pipeline.running.cluster.ray_actor import LEAVE_S
from capgen.pipeline.running.cluster.ray_tasks import RayTasks
from capgen.pipeline.running.cluster.waits import RunWaits
from capgen.pipeline.running.driver import Losses, RunFailed
from capgen.pipeline.running.nodes.checks import NodeChecks, check_here
from capgen.pipeline.running.nodes.needs import NodeNeeds
from capgen.pipeline.running.ray_connect import connected, draining_nodes
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.stop import GRACE_S
from capgen.pipeline.tasks import InThisProcess, LocalProcesses, TaskRunner, worth_processes
from capgen.stop import Stop

log = logging.getLogger(__name__)

_WAIT_S = 1.0
_MACHINES_S = 5.0
_STOP_S = 20.0
_REFUSED_S = 3.0
_AWAY_S = 120.0
_AGAIN_S = 60.0  # until an engine that could not be started is tried again, where others are up


@dataclass(slots=True)
class RayCluster:
    """An executor over Ray: a cluster named by ``RAY_ADDRESS``, or one of this machine's own.

    Args:
        workers: actors, each with an engine.
        gpus: GPUs of each engine; 0 is the CPU.
        grow: an engine for all GPUs that the cluster has and that join it later, instead of ``workers``.
        stop: says when the user wants the run to end.
        needs: what the run needs of a machine, as far as that is known before it is planned.
    """

    workers: int
    gpus: int
    stop: Stop = field(default_factory=Stop)
    grow: bool = False
    needs: NodeNeeds | None = None
    _ray: Any = None
    _nodes: NodeChecks | None = None
    _held: ExitStack = field(default_factory=ExitStack)

    def map(self, job: Job, shards: Sequence[ShardEntry], progress: RunProgress) -> None:
        """Hand out shards, two to an actor at a time, and at the end what engines have left to those that have none."""
        if not shards:
            return
        cluster = os.environ.get("RAY_ADDRESS")
        progress.wait("machines of the Ray cluster are asked" if cluster else "Ray is starting on this machine")
        ray = self._connected()
        with self.stop.orderly():
            needs = self.needs or NodeNeeds(job.settings, job.out, job.gpus)
            nodes = self._checked(needs.of_job(job, shards), engines=True)
            _Session(ray, self, job, shards, progress, nodes).run()

    def tasks(self, objects: int) -> TaskRunner:
        """Tasks of the cluster; processes of this machine where there is no cluster and nothing has started one."""
        if not worth_processes(objects):
            return InThisProcess()
        if self._ray is None and not os.environ.get("RAY_ADDRESS"):
            return self._held.enter_context(LocalProcesses())
        ray = self._connected()
        if self.needs is not None and self._nodes is None:
            self._checked(self.needs, engines=False)
        return RayTasks(ray, self._nodes)

    def close(self) -> None:
        """Leave the cluster, which ends one of this machine's own."""
        self._ray = self._nodes = None
        self._held.close()

    def _checked(self, needs: NodeNeeds, *, engines: bool) -> NodeChecks | None:
        """The machines of a cluster, asked whether they are fit; None for one of this machine's own.

        Args:
            engines: they are to have engines, of which this machine's own cluster is to have room for one.
        """
        if not os.environ.get("RAY_ADDRESS"):
            if engines:
                check_here(needs, self.stop)
            return None
        self._nodes = self._held.enter_context(NodeChecks(self._connected(), needs))
        self._nodes.wait(self.stop)
        return self._nodes

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
        self,
        ray: Any,
        cluster: RayCluster,
        job: Job,
        shards: Sequence[ShardEntry],
        progress: RunProgress,
        checks: NodeChecks | None,
    ) -> None:
        self.ray, self.cluster, self.job, self.progress, self.checks = ray, cluster, job, progress, checks
        self.starting: dict[Any, tuple[int, float]] = {}
        self.begun = EngineStarts(job.out, elsewhere=bool(os.environ.get("RAY_ADDRESS")))
        self.due: dict[int, float] = {0: 0.0}
        self.away: dict[int, float] = {}
        self.up: list[int] = []
        self.told: set[int] = set()
        self.leaving: set[int] = set()
        self.nodes: dict[int, str] = {}
        self.machines_at = 0.0
        self.looks = EngineLooks(ray)
        self.losses = Losses(job)
        self.postponed: list[Postponed] = []
        self.places = EnginePlaces(ray, job, cluster.gpus, checks)
        self.actors = self.places.actors
        count = min(self.places.room if cluster.grow else cluster.workers, len(shards))
        for _ in range(count):
            self.places.add()
        self.handing = Handing(ray, self.actors, shards)
        self.waits = RunWaits(job, progress)
        self.lives = [0] * count
        self.seen = [""] * count

    def run(self) -> None:
        """Do every shard; the first engine starts alone, so that compile caches are written once."""
        while not self.handing.over:
            self._look_at_machines()
            self._start_due()
            self.progress.engines_are(starting=len(self.starting), up=len(self.up), wanted=len(self.actors))
            self.waits.look(self.up, self._away(), self._lacking)
            staying = [number for number in self.up if number not in self.leaving]
            self.handing.hand_out(staying, self.lives, self.looks.latest)
            for ref in self._ready():
                if ref in self.starting:
                    self._started(ref)
                else:
                    self._ended(ref)
            workers = self.looks.look({number: self.actors[number] for number in self.up})
            if workers is not None:
                self._hear(workers)
                if not self.postponed:
                    self.handing.rebalance(staying, self.lives, self.looks)
            self._let_go()
            if self.cluster.stop.asked:
                self._finish()
        self._stop(_STOP_S)
        for actor in self.actors:
            self.ray.kill(actor)  # its CPU is wanted for packing
        if self.postponed:
            raise together(self.postponed)

    def _away(self) -> list[int]:
        """Engines that are not up, those first that are being started."""
        begun = [number for number, _ in self.starting.values()]
        return begun + [number for number in range(len(self.actors)) if number not in (*self.up, *begun)]

    def _lacking(self) -> str | None:
        return self.places.lacking(self._away(), alone=not self.up)

    def _look_at_machines(self) -> None:
        """Now and then: which machines are about to go, and whether there is room for more engines."""
        now = time.monotonic()
        if now < self.machines_at:
            return
        self.machines_at = now + _MACHINES_S
        if self.checks is not None:
            self.checks.look()
            self._follow_machines()
            if self.checks.asking:
                self.machines_at = now + _WAIT_S
        going = draining_nodes()
        for number in self.up:
            if self.nodes.get(number) in going and number not in self.leaving:
                log.warning("engine %d: its machine is about to go; its shards are handed to others", number)
                self.actors[number].finish.remote(LEAVE_S)
                self.leaving.add(number)
        while self.cluster.grow and self.handing.queue and len(self.actors) < self.places.room:
            number = self.places.add()
            self.lives.append(0)
            self.seen.append("")
            if self.progress.engines:
                self.due[number] = 0.0

    def _follow_machines(self) -> None:
        """Other machines are fit than were: engines that wait for a place may have it there, too."""
        for number in self.places.follow(self.up):
            waited = [ref for ref, (other, _) in self.starting.items() if other == number]
            for ref in waited:
                del self.starting[ref]
                self.due[number] = 0.0

    def _let_go(self) -> None:
        """End engines of machines that are about to go once they have nothing in hand; Ray starts them elsewhere."""
        for number, said in self.looks.latest.items():
            if said.leaving and number in self.up:
                self.leaving.add(number)
        for number in [number for number in self.leaving if not self.handing.has(number)]:
            self.leaving.discard(number)
            if number in self.up:
                self.places.anew(number)
                self.progress.engine_leaves(number)
                self._lost(number, dead=False)

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
        refs = list(self.handing.pending)
        for ref in self.ray.wait(refs, num_returns=len(refs), timeout=GRACE_S + 2)[0] if refs else ():
            with suppress(CapgenError, self.ray.exceptions.RayError):
                manifest = self._get(ref)
                if manifest is not None and self.handing.queue.committed(manifest.index):
                    self.progress.committed(manifest)
        self._stop(2)
        raise Interrupted

    def _ready(self) -> list[Any]:
        """Every call that has ended, after at most a second of waiting for the first."""
        refs = [*self.starting, *self.handing.pending]
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
            self.begun.begin(number)
            self.starting[self.places.revived(number).start.remote()] = (number, now)

    def _started(self, ref: Any) -> None:
        """An engine is up, or was lost on the way there."""
        number, sent = self.starting.pop(ref)
        try:
            facts = self._get(ref)
        except (EngineDead, self.ray.exceptions.RayError) as error:
            self._not_started(number, sent, error)
            return
        life = facts.pop("life")
        self.nodes[number] = facts.pop("node")
        if life == self.seen[number]:
            # Ray lost sight of it but it lives, and still works on shards that were handed out again.
            self._lost(number, dead=True)
            return
        if not self.progress.engines:
            self.due |= dict.fromkeys(range(1, len(self.actors)), 0.0)
        self.up.append(number)
        self.seen[number] = life
        self.begun.forget(number)
        self.away.pop(number, None)
        self.progress.engine_started(facts, number)

    def _not_started(self, number: int, sent: float, error: Exception) -> None:
        """Once more, but not for ever: an engine may be killed while it loads, and a machine may be gone.

        Until Ray has noticed that (it takes half a minute) it refuses every call to the actor at once. While other
        engines are up the run goes on with them, and this one is tried again every minute.

        Raises:
            RunFailed: it was tried often enough, and no other engine is up.
        """
        now, pause = time.monotonic(), _WAIT_S
        why = f"engine {number} could not be started: {self.begun.why_not(number, error)}"
        refused = isinstance(error, self.ray.exceptions.ActorUnavailableError) and now - sent < _REFUSED_S
        given_up = now - self.away.setdefault(number, now) > _AWAY_S if refused else self.begun.fails(number, error)
        if given_up:
            if not self.up:
                raise RunFailed(why) from error
            log.warning("%s; the others go on", why)
            pause = _AGAIN_S
            self.begun.forget(number)
            self.away.pop(number, None)
        elif not refused:
            log.warning("%s; it is tried again", why)
        self._lost(number, dead=isinstance(error, EngineDead | self.ray.exceptions.RayTaskError), pause_s=pause)

    def _lost(self, number: int, *, dead: bool, pause_s: float = 0.0) -> None:
        """The end of an actor's life; Ray brings up the next one, here or on another machine."""
        self.progress.engine_lost(number)
        self.up = [other for other in self.up if other != number]
        self.lives[number] += 1
        self.told.discard(number)
        self.leaving.discard(number)
        self.looks.forget(number)
        self.handing.forget(number)
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

    def _ended(self, ref: Any) -> None:
        """A piece is done or its shard committed, or it waits for answers, or comes back, or its engine was lost."""
        handed = self.handing.ended(ref)
        try:
            manifest: Manifest | None = self._get(ref)
        except Interrupted:  # the machine is going away, or another engine was quicker
            if not handed.dropped:
                self.handing.back(handed)
                self.leaving.add(handed.number)
        except Postponed as error:
            self.postponed.append(error)
        except self.ray.exceptions.RayTaskError:
            if not handed.dropped:
                raise
        except (EngineDead, self.ray.exceptions.RayError) as error:
            self._piece_lost(handed, error)
        else:
            self._piece_done(handed, manifest)

    def _piece_done(self, handed: HandedPiece, manifest: Manifest | None) -> None:
        if manifest is None:
            if not handed.dropped:
                self.handing.done(handed)
        elif self.handing.queue.committed(manifest.index):
            self.progress.committed(manifest)

    def _piece_lost(self, handed: HandedPiece, error: Exception) -> None:
        entry = handed.piece.entry
        if not handed.dropped:
            self.handing.back(handed)
            if not isinstance(error, EngineDead):
                self.losses.process_died(entry)
            self.losses.note(entry, why_lost(error))
        if handed.life == self.lives[handed.number]:
            self._lost(handed.number, dead=isinstance(error, EngineDead))

    def _stop(self, seconds: float) -> None:
        """Let the engines end their own processes."""
        refs = [self.actors[number].stop.remote() for number in self.up]
        until = time.monotonic() + seconds
        while refs and time.monotonic() < until:
            self.progress.ending()
            _, refs = self.ray.wait(refs, num_returns=len(refs), timeout=min(_WAIT_S, seconds))
