"""``echo``: answers without a model, deterministically, with faults on request; for tests, dry runs and load."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import ClassVar

from capgen.pipeline.engines.base import EngineContext, EngineFault
from capgen.pipeline.view import Answer, View

_GARBAGE = (
    "",
    "%%%% \x00 ####",
    "the the the the the the the the the the the the",
    "I'm sorry, but I cannot help with that.",
)


@dataclass(frozen=True, slots=True)
class Echo:
    """Options: seconds an answer takes, and how often it is an error, a stall or garbage.

    Args:
        latency_s: mean of the time an answer takes; drawn from a log-normal distribution (sigma 0.5), 0 is at once.
        error_rate: share of attempts that raise a fault that may pass; drawn anew for each attempt.
        stall_rate: share of requests that never answer.
        garbage_rate: share of requests whose answer is no caption (empty, repeated, a refusal, cut off).
        seed: of all of these draws, which depend on nothing but it, the key, the attempt and, of garbage, the seed that
            a further request has.
        concurrency: requests in flight.
    """

    needs_model: ClassVar[bool] = False

    latency_s: float = 0.0
    error_rate: float = 0.0
    stall_rate: float = 0.0
    garbage_rate: float = 0.0
    seed: int = 0
    concurrency: int = 64

    def __post_init__(self) -> None:
        for name in ("error_rate", "stall_rate", "garbage_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must lie in 0..1")
        if self.latency_s < 0 or self.concurrency < 1:
            raise ValueError("latency_s must be at least 0 and concurrency at least 1")

    @property
    def in_flight(self) -> int:
        """Requests that may wait at once."""
        return self.concurrency

    async def start(self, context: EngineContext) -> EchoSession:  # noqa: ARG002 - the same for every model
        """There is nothing to load."""
        return EchoSession(self)


@dataclass(slots=True)
class EchoSession:
    """Counts the attempts of each key that failed, so that a retry draws anew."""

    options: Echo
    failures: dict[str, int] = field(default_factory=dict)

    async def answer(self, view: View) -> Answer:
        """A sentence made from the category and the key, or the fault that the draw says."""
        draw = self._draw
        attempt = self.failures.get(view.key, 0)
        if self.options.latency_s:
            await asyncio.sleep(self.options.latency_s * _lognormal(draw(view.key, f"latency{attempt}")))
        if draw(view.key, "stall") < self.options.stall_rate:
            await asyncio.Event().wait()
        if draw(view.key, f"error{attempt}") < self.options.error_rate:
            self.failures[view.key] = attempt + 1
            raise EngineFault(f"echo: an error on purpose (error_rate={self.options.error_rate})")
        self.failures.pop(view.key, None)
        if draw(view.key, _drawn("garbage", view)) < self.options.garbage_rate:
            return self._garbage(view)
        text = sentence(view) if view.schema is None else self._filled_in(view)
        return Answer(text, "stop", prompt_tokens=_count(view), output_tokens=len(text.split()))

    async def stop(self) -> None:
        """There is nothing to release."""

    def _filled_in(self, view: View) -> str:
        """An object that follows the schema: of a list of values one that is drawn, of a range of integers too."""
        said: dict[str, object] = {}
        for name, kind in (view.schema or {}).get("properties", {}).items():
            drawn = self._draw(view.key, f"schema {name}")
            if "enum" in kind:
                said[name] = kind["enum"][int(drawn * len(kind["enum"]))]
            elif kind.get("type") == "integer":
                said[name] = kind["minimum"] + int(drawn * (kind["maximum"] - kind["minimum"] + 1))
            else:
                said[name] = sentence(view)
        return json.dumps(said)

    def _garbage(self, view: View) -> Answer:
        choice = int(self._draw(view.key, _drawn("kind", view)) * (len(_GARBAGE) + 1))
        if choice == len(_GARBAGE):
            return Answer(
                f"A {view.category or 'thing'} that is", "length", prompt_tokens=_count(view), output_tokens=4
            )
        return Answer(_GARBAGE[choice], "stop", prompt_tokens=_count(view), output_tokens=len(_GARBAGE[choice].split()))

    def _draw(self, key: str, what: str) -> float:
        """A number in [0, 1) that only seed, key and ``what`` decide."""
        digest = hashlib.blake2b(f"{self.options.seed}\0{key}\0{what}".encode(), digest_size=8).digest()
        return int.from_bytes(digest) / 2**64


def sentence(view: View) -> str:
    """The caption that echo gives: it names the category and the key, so that every object's is its own."""
    return f"A {(view.category or 'thing').replace('_', ' ')} with the number {view.key.rsplit('/', 1)[-1]}."


def _drawn(what: str, view: View) -> str:
    """The name of a draw: a request with a seed of its own draws anew."""
    return what if view.seed is None else f"{what} {view.seed}"


def _count(view: View) -> int:
    return sum(1 if not isinstance(part, str) else len(part.split()) for part in view.parts)


def _lognormal(uniform: float) -> float:
    """A factor of mean 1 with sigma 0.5."""
    normal = NormalDist().inv_cdf(min(max(uniform, 1e-9), 1 - 1e-9))
    return float(2.718281828459045 ** (0.5 * normal - 0.125))
