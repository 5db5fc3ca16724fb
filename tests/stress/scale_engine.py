"""An engine that only takes time, as a busy vLLM does: log-normal latencies, stragglers, faults, and lives that end.

Every draw depends on the seed, the key and the attempt alone, so that the work that a run had to do can be summed up
afterwards without having watched it.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import math
import os
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from statistics import NormalDist

from capgen.pipeline.engines.base import EngineContext, EngineFault
from capgen.pipeline.engines.echo import sentence
from capgen.pipeline.view import Answer, View

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Simulated:
    """Options of the simulation.

    Args:
        latency_s: mean of the time an answer takes, stragglers aside; ``sigma`` is that of its logarithm.
        straggler_rate: share of attempts that take ``straggler_times`` as long.
        error_rate: share of attempts that end in a fault that may pass, after their whole time.
        restart_every_s: after half to one and a half times as long the process dies, as of a crash; 0 is never.
        load_s: what an engine takes to load its model.
    """

    latency_s: float = 0.4
    sigma: float = 0.6
    straggler_rate: float = 0.0
    straggler_times: float = 20.0
    error_rate: float = 0.0
    restart_every_s: float = 0.0
    load_s: float = 0.0
    seed: int = 0
    concurrency: int = 64

    @property
    def in_flight(self) -> int:
        """Requests that may wait at once."""
        return self.concurrency

    async def start(self, context: EngineContext) -> SimulatedSession:
        """Take the time of a model's loading, and note when that was over."""
        assert context.out is not None
        await asyncio.sleep(self.load_s)
        file = context.out / "logs" / "simulated.jsonl"
        with file.open("a") as lines:  # one short line in one write: engines that start together do not mix
            lines.write(json.dumps({"up": time.time()}) + "\n")
        if self.restart_every_s:
            life = random.Random(f"{self.seed}/{len(starts(context.out))}").uniform(0.5, 1.5) * self.restart_every_s
            asyncio.get_running_loop().call_later(life, os._exit, 1)
        return SimulatedSession(self)

    def attempt(self, key: str, number: int) -> tuple[float, bool]:
        """How long an attempt takes, and whether it is answered."""
        digest = hashlib.blake2b(f"{self.seed}\0{key}\0{number}".encode(), digest_size=24).digest()
        uniform = [(int.from_bytes(digest[i : i + 8]) + 0.5) / 2**64 for i in (0, 8, 16)]
        seconds = self.latency_s * math.exp(self.sigma * _NORMAL.inv_cdf(uniform[0]) - self.sigma**2 / 2)
        if uniform[1] < self.straggler_rate:
            seconds *= self.straggler_times
        return seconds, uniform[2] >= self.error_rate

    def attempts(self, key: str, most: int) -> Iterator[tuple[float, bool]]:
        """All attempts at a key until it is answered, at most so many."""
        for number in range(most):
            seconds, answered = self.attempt(key, number)
            yield seconds, answered
            if answered:
                return


@dataclass(slots=True)
class SimulatedSession:
    """Knows which attempt it is at for keys that failed."""

    options: Simulated
    failures: dict[str, int] = field(default_factory=dict)

    async def answer(self, view: View) -> Answer:
        """The sentence of ``echo``, when its time has come."""
        number = self.failures.get(view.key, 0)
        seconds, answered = self.options.attempt(view.key, number)
        await asyncio.sleep(seconds)
        if not answered:
            self.failures[view.key] = number + 1
            raise EngineFault("a fault on purpose")
        self.failures.pop(view.key, None)
        text = sentence(view)
        return Answer(text, "stop", output_tokens=len(text.split()))

    async def stop(self) -> None:
        """There is nothing to release."""


def starts(out: Path) -> list[float]:
    """When the engines of a run came up, in seconds since 1970."""
    return [json.loads(line)["up"] for line in (out / "logs" / "simulated.jsonl").read_text().splitlines()]
