"""An engine that refuses politely, whatever it is asked."""

from dataclasses import dataclass

from capgen.pipeline.view import Answer


@dataclass(frozen=True, slots=True)
class Refusals:
    in_flight: int = 4

    async def start(self, context):
        return RefusalsSession()


class RefusalsSession:
    async def answer(self, view):
        return Answer("I'm sorry, but I cannot help with that.", "stop")

    async def stop(self):
        pass
