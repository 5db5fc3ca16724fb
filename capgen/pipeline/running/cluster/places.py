"""Where the engines of a run have their places: each is an actor on a machine that is fit."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from capgen.pipeline.planning.job import Job
from capgen.pipeline.running.cluster.ray_actor import ShardActor
from capgen.pipeline.running.nodes.checks import NodeChecks

_UNPLACED = frozenset({"DEPENDENCIES_UNREADY", "PENDING_CREATION", "RESTARTING"})
_OVER = "DEAD"
_MEMORY_SHARE = 0.95  # Ray's own


def memory_pressure() -> str | None:
    """That Ray ends what it starts here because this machine has no memory left; None where it has some."""
    from ray._common.utils import get_system_memory
    from ray._private.utils import get_used_memory

    limit = float(os.environ.get("RAY_memory_usage_threshold", _MEMORY_SHARE))  # noqa: SIM112 - Ray's name for it
    share = get_used_memory() / get_system_memory()
    if share < limit:
        return None
    return (
        f"{share:.0%} of this machine's memory is in use, and Ray ends what it starts from {limit:.0%} on: free "
        "memory, or end the run"
    )


@dataclass(slots=True)
class EnginePlaces:
    """The actors by engine's number, made anew where they cannot have a place any more.

    Args:
        ray: the module, connected.
        gpus: of each engine.
        checks: which machines are fit; None where every machine is.
    """

    ray: Any
    job: Job
    gpus: int
    checks: NodeChecks | None
    actors: list[Any] = field(default_factory=list)
    _placements: list[dict[str, Any]] = field(default_factory=list)

    @property
    def room(self) -> int:
        """How many engines there is room for, at least one."""
        if self.checks is not None:
            return max(1, self.checks.room)
        there = self.ray.cluster_resources().get("GPU", 0)
        return max(1, int(there // max(1, self.gpus)))

    def add(self) -> int:
        """A further engine's actor, which waits for its place; its number."""
        self.actors.append(None)
        self._placements.append({})
        self._make(len(self.actors) - 1)
        return len(self.actors) - 1

    def anew(self, number: int) -> None:
        """End an engine's actor; a new one waits for room, not on a machine that goes."""
        self.ray.kill(self.actors[number])
        self._make(number)

    def revived(self, number: int) -> Any:
        """An engine's actor; a new one where Ray has given it up, as it does with the machines that it might use."""
        if self._state(number) == _OVER:
            self._make(number)
        return self.actors[number]

    def follow(self, up: Collection[int]) -> list[int]:
        """Have engines without a place wait for the machines that are fit now; those whose actors were made anew."""
        now = self._placement()
        late = [number for number in range(len(self.actors)) if number not in up and self._placements[number] != now]
        moved = [number for number in late if self._state(number) in (*_UNPLACED, _OVER)]
        for number in moved:
            self.anew(number)
        return moved

    def lacking(self, away: Iterable[int], *, alone: bool) -> str | None:
        """Why the first of some engines that are away has no place; None where it has one.

        Args:
            alone: no engine is up.
        """
        first = next(iter(away), None)
        if first is None or self._state(first) not in _UNPLACED:
            return None
        if self.checks and not self.checks.room:
            left_out = "".join(f"; {name} is left out" for name in self.checks.unfit)
            return f"no machine of the Ray cluster is fit for an engine{left_out}"
        free = self.ray.available_resources()
        short = [kind for kind, count in {"CPU": 1, "GPU": self.gpus}.items() if free.get(kind, 0) < count]
        if short and self.checks is not None:  # a cluster of the run's own has room for all of its engines
            return f"no {' and no '.join(short)} of the Ray cluster is free; end what holds it, or add a node"
        if not alone:
            return None
        return (memory_pressure() if self.checks is None else None) or "Ray starts a process for the engine"

    def _make(self, number: int) -> None:
        placement = self._placement()
        kind = self.ray.remote(ShardActor).options(
            num_cpus=1, num_gpus=self.gpus, max_restarts=-1, max_task_retries=0, max_concurrency=16, **placement
        )
        self.actors[number], self._placements[number] = kind.remote(self.job, number), placement

    def _placement(self) -> dict[str, Any]:
        return self.checks.placement if self.checks else {}

    def _state(self, number: int) -> str:
        from ray._private.state import actors

        return str(actors(self.actors[number]._actor_id.hex()).get("State"))
