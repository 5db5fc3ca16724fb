"""Engines, Ray, journals and a clock, all simulated: what ``tests.stress.tail`` has the driver work with."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from capgen.dataset.plan import ShardEntry
from capgen.dataset.shards import Manifest
from capgen.errors import Interrupted
from capgen.pipeline.asking.handed.open_shards import OpenShards
from capgen.pipeline.asking.handed.pieces import Piece, PieceKey
from capgen.pipeline.engines.base import EngineDead

AT_ONCE, ATTEMPTS = 64, 3
MEAN_S, SIGMA = 1.6, 0.6
STRAGGLERS, TIMES, FAULTS = 0.001, 20.0, 0.005
RESTART_S, LOAD_S, COMMIT_S = 1200.0, 20.0, 2.0
OF_MEDIUM, SHARD = 13, 2002
FULL = 0.95


class Clock:
    """The time that the driver sees, and what happens in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.run(lambda: False, self.now + seconds)

    def after(self, seconds: float, what: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now + seconds, self._count, what))

    def run(self, over: Callable[[], bool], until: float) -> None:
        """Let things happen until ``over`` or a time."""
        while not over() and self._events and self._events[0][0] <= until:
            self.now, _, what = heapq.heappop(self._events)
            what()
        if not over():
            self.now = max(self.now, until)


class Ref:
    """What a call gives, at some time."""

    def __init__(self) -> None:
        self.ready = False
        self.value: Any = None

    def give(self, value: Any) -> None:
        if not self.ready:
            self.ready, self.value = True, value


class FakeRay:
    """As much of Ray as the driver uses."""

    exceptions = SimpleNamespace(
        RayError=type("RayError", (Exception,), {}),
        RayTaskError=type("RayTaskError", (Exception,), {}),
        ActorUnavailableError=type("ActorUnavailableError", (Exception,), {}),
    )

    def __init__(self, clock: Clock, engine: Callable[[int], Engine]) -> None:
        self._clock, self._engine = clock, engine

    def remote(self, _: object) -> Any:
        made = SimpleNamespace(remote=lambda job, number: Actor(self._engine(number)))
        return SimpleNamespace(options=lambda **_: made)

    def wait(self, refs: Sequence[Ref], num_returns: int = 1, timeout: float = 0.0) -> tuple[list[Ref], list[Ref]]:
        if timeout:
            self._clock.run(lambda: any(ref.ready for ref in refs), self._clock.now + timeout)
        ready = [ref for ref in refs if ref.ready][:num_returns]
        return ready, [ref for ref in refs if ref not in ready]

    def get(self, ref: Ref) -> Any:
        if isinstance(ref.value, Exception):
            raise ref.value
        return ref.value

    def kill(self, actor: Actor, *, no_restart: bool = True) -> None:
        actor.engine.reset(ends=no_restart)

    def available_resources(self) -> dict[str, float]:
        return {"CPU": 1.0}


class Actor:
    """An engine behind calls."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def __getattr__(self, name: str) -> Any:
        def call(*arguments: Any) -> Ref:
            ref = Ref()
            getattr(self.engine, name)(ref, *arguments)
            return ref

        method = SimpleNamespace(remote=call)
        method.options = lambda **_: method
        return method


class Work:
    """A piece in an engine's hands."""

    def __init__(self, piece: Piece, ref: Ref, settled: bytearray) -> None:
        self.piece, self.ref = piece, ref
        self.taken, self.flying = piece.first, 0
        self.known = bytes(settled)
        self.dropped = self.fed = False
        self.feed = self._objects()

    def _objects(self) -> Iterator[int]:
        while self.taken < self.piece.last:
            medium = self.taken
            self.taken += 1
            last = min((medium + 1) * OF_MEDIUM, self.piece.entry.objects)
            yield from (n for n in range(medium * OF_MEDIUM, last) if not self.known[n])

    @property
    def left(self) -> int:
        return max(0, self.piece.last - self.taken)


class World:
    """All engines, the journals, and what is counted."""

    def __init__(self, shards: Sequence[ShardEntry], engines: int, seed: int) -> None:
        self.clock, self.random = Clock(), random.Random(seed)
        self.journal = [bytearray(entry.objects) for entry in shards]
        self.commits: dict[int, int] = {}
        self.useful_s = self.first_up = self.last_commit = self.full_at = 0.0
        self.in_flight = self.capacity = self.asked = self.deaths = 0
        self.engines = [Engine(self, 0.5 if n % 8 == 3 else 2.0 if n % 8 == 5 else 1.0) for n in range(engines)]
        self.ray = FakeRay(self.clock, self.engines.__getitem__)

    def full(self) -> None:
        if self.in_flight >= FULL * self.capacity:
            self.full_at = self.clock.now


class Engine:
    """Takes requests from its pieces, one piece after the other, as ``capgen.pipeline.asking.worker`` does."""

    def __init__(self, world: World, speed: float) -> None:
        self.world, self.speed = world, speed
        self.life, self.up, self.ends = 0, False, False
        self.work: list[Work] = []
        self.flying = self.answered = self.done = 0
        self.ready_at = 0.0

    def start(self, ref: Ref) -> None:
        def ready(life: int = self.life) -> None:
            if life != self.life:
                return
            self.up, self.ready_at, self.answered = True, self.world.clock.now, 0
            self.world.first_up = self.world.first_up or self.ready_at
            self.world.capacity += AT_ONCE
            self.world.clock.after(self.world.random.uniform(0.5, 1.5) * RESTART_S, lambda: self.die(life))
            ref.give({"start_s": LOAD_S, "life": f"{id(self)}-{self.life}", "node": "here"})

        self.world.clock.after(LOAD_S, ready)

    def die(self, life: int) -> None:
        if life == self.life and self.up and not self.ends:
            self.world.deaths += 1
            lost, _ = self.work, self.reset(ends=False)
            for one in lost:
                one.ref.give(EngineDead("dead"))

    def reset(self, *, ends: bool) -> None:
        self.world.in_flight -= self.flying
        self.world.capacity -= AT_ONCE * self.up
        self.life += 1
        self.up, self.ends, self.flying, self.work = False, ends, 0, []

    def piece(self, ref: Ref, piece: Piece) -> None:
        if not self.up:
            ref.give(EngineDead("not up"))
            return
        self.work.append(Work(piece, ref, self.world.journal[piece.entry.index]))
        self.feed()

    def feed(self) -> None:
        for one in self.work:
            while self.flying < AT_ONCE and not one.fed:
                number = next(one.feed, None)
                if number is None:
                    one.fed = True
                    break
                one.flying += 1
                self.flying += 1
                self.world.in_flight += 1
                self.ask(one, number, 1)
        self.world.full()
        for one in [one for one in self.work if one.fed and not one.flying]:
            self.ended(one)

    def ask(self, one: Work, number: int, attempt: int) -> None:
        rng = self.world.random
        seconds = rng.lognormvariate(0.0, SIGMA) * MEAN_S / 1.1972  # exp(sigma^2 / 2)
        seconds *= TIMES if rng.random() < STRAGGLERS else 1.0
        fault = rng.random() < FAULTS and attempt < ATTEMPTS
        self.world.asked += 1
        life = self.life

        def answered() -> None:
            if life != self.life or one.dropped:
                return
            if fault:
                self.ask(one, number, attempt + 1)
                return
            journal = self.world.journal[one.piece.entry.index]
            if not journal[number]:
                journal[number] = 1
                self.world.useful_s += seconds
                self.done += 1
            self.answered += 1
            one.flying -= 1
            self.flying -= 1
            self.world.in_flight -= 1
            self.feed()

        self.world.clock.after(seconds / self.speed, answered)

    def ended(self, one: Work) -> None:
        self.work.remove(one)
        if not one.piece.commits:
            one.ref.give(None)
            return
        life, index = self.life, one.piece.entry.index

        def committed() -> None:
            if life != self.life:
                one.ref.give(EngineDead("died while it committed"))
                return
            self.world.commits[index] = self.world.commits.get(index, 0) + 1
            self.world.last_commit = self.world.clock.now
            rows = one.piece.entry.objects
            counts: dict[str, Any] = {"rows": rows, "kept": rows, "dropped": {}, "failed": {}, "reasons": {}}
            one.ref.give(Manifest(version="1", index=index, fingerprint="", file="", sha256="", bytes=0, **counts))

        self.world.clock.after(COMMIT_S, committed)

    def give(self, ref: Ref) -> None:
        works = sorted(self.work, key=lambda one: -one.left)
        begun = [one for one in works if one.taken > one.piece.first]
        for one in works:
            cut = one.taken + (-(-one.left // 2) if one in begun or not begun else 0)
            if not one.piece.final and cut < one.piece.last:
                given = Piece(one.piece.entry, cut, one.piece.last, commits=False)
                one.piece = one.piece.until(cut)
                ref.give(given)
                return
        ref.give(None)

    def share(self, ref: Ref, key: PieceKey) -> None:
        one = next((one for one in self.work if one.piece.key == key and not one.piece.final), None)
        if one is not None:
            one.piece = one.piece.until(one.piece.last)
        ref.give(None if one is None else one.piece)

    def drop(self, ref: Ref, key: PieceKey) -> None:
        one = next((one for one in self.work if one.piece.key == key), None)
        if one is not None:
            one.dropped = True
            self.work.remove(one)
            self.flying -= one.flying
            self.world.in_flight -= one.flying
            one.ref.give(Interrupted())
            self.feed()
        ref.give(None)

    def open_shards(self, ref: Ref) -> None:
        left = {one.piece.key: one.left for one in self.work}
        up_s = self.world.clock.now - self.ready_at if self.up else 0.0
        self_said = OpenShards(answered=self.answered, workers=1, in_flight=self.flying, up_s=up_s, left=left)
        self.world.clock.after(0.01, lambda: ref.give(self_said))

    def go_on(self, ref: Ref) -> None:
        ref.give(None)

    stop = go_on
