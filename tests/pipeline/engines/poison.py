"""An engine with requests that kill it, or its whole process, or make it stall; named by its colon name."""

import asyncio
import os
from dataclasses import dataclass, field

from capgen.pipeline.engines.base import EngineDead
from capgen.pipeline.engines.echo import Echo, EchoSession


@dataclass(frozen=True, slots=True)
class Poison:
    """`keys`: ends of the keys that do it. `how`: `dies`, `exits` (the process) or `hangs` (everything)."""

    keys: tuple[str, ...] = ()
    how: str = "dies"
    concurrency: int = 8
    latency_s: float = 0.02

    @property
    def in_flight(self):
        return self.concurrency

    async def start(self, context):
        return PoisonSession(self, EchoSession(Echo(latency_s=self.latency_s)))


@dataclass(slots=True)
class PoisonSession:
    options: Poison
    inner: EchoSession
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, view):
        if any(view.key.endswith(end) for end in self.options.keys):
            await asyncio.sleep(self.options.latency_s / 2)
            if self.options.how == "exits":
                os._exit(11)
            self.over.set()
        answering = asyncio.create_task(self.inner.answer(view))
        ending = asyncio.create_task(self.over.wait())
        await asyncio.wait({answering, ending}, return_when=asyncio.FIRST_COMPLETED)
        if not self.over.is_set():
            ending.cancel()
            return answering.result()
        answering.cancel()
        if self.options.how == "hangs":
            await asyncio.Event().wait()
        raise EngineDead("it died of a request on purpose")

    async def stop(self):
        pass
