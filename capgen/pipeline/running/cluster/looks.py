"""Where the engines of a cluster stand, asked once a second."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from capgen.pipeline.asking.handed.open_shards import OpenShards

_LOOK_S = 1.0


@dataclass(slots=True)
class EngineLooks:
    """What engines said last; one that is slow to answer keeps nobody waiting.

    Args:
        latest: by the engine's number; ``sent`` has when it was asked for that.
        most: requests that it ever had in flight.
    """

    ray: Any
    latest: dict[int, OpenShards] = field(default_factory=dict)
    sent: dict[int, float] = field(default_factory=dict)
    most: dict[int, int] = field(default_factory=dict)
    asked: dict[int, tuple[Any, float]] = field(default_factory=dict)
    next: float = 0.0

    @property
    def total(self) -> OpenShards:
        """What was heard last."""
        return sum(self.latest.values(), OpenShards())

    def look(self, actors: Mapping[int, Any]) -> OpenShards | None:
        """The sum over the actors; None where it was asked for less than a second ago."""
        now = time.monotonic()
        if now < self.next:
            return None
        self.next = now + _LOOK_S
        self.asked |= {
            number: (actor.open_shards.remote(), now) for number, actor in actors.items() if number not in self.asked
        }
        if self.asked:
            numbers = {ref: number for number, (ref, _) in self.asked.items()}
            ready, _ = self.ray.wait(list(numbers), num_returns=len(numbers), timeout=_LOOK_S / 5)
            for ref in ready:
                self._heard(numbers[ref], ref)
        return self.total

    def _heard(self, number: int, ref: Any) -> None:
        _, sent = self.asked.pop(number)
        try:
            said: OpenShards = self.ray.get(ref)
            self.latest[number], self.sent[number] = said, sent
            self.most[number] = max(self.most.get(number, 0), said.in_flight)
        except self.ray.exceptions.RayError:  # it is being lost; its shards will tell
            self.latest.pop(number, None)

    def forget(self, number: int) -> None:
        """An actor's life is over."""
        self.latest.pop(number, None)
        self.asked.pop(number, None)
