"""An engine that answers once in its life and then dies; registered by its colon name."""

from dataclasses import dataclass

from capgen.pipeline.engines.base import EngineDead
from capgen.pipeline.engines.echo import Echo, EchoSession

_answered: set[str] = set()


@dataclass(frozen=True, slots=True)
class Deadly:
    in_flight: int = 1

    async def start(self, context):
        return DeadlySession(EchoSession(Echo()))


@dataclass(slots=True)
class DeadlySession:
    inner: EchoSession

    async def answer(self, view):
        if _answered:
            raise EngineDead("it died on purpose")
        _answered.add(view.key)
        return await self.inner.answer(view)

    async def stop(self):
        pass
