"""An engine whose first answers may be refusals and the same for twins, and whose further ones are better; it may die.

What it says depends on the key and the step alone. It writes no files, and after ``dies_after`` answers it is dead.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineDead
from capgen.pipeline.engines.scoring.base import Scored
from capgen.pipeline.view import Answer

REFUSAL = "I'm sorry, but I can't help with that."


class RunEnds(UserError):
    """What an engine that has answered enough raises."""


@dataclass(frozen=True, slots=True)
class Moody:
    """Options.

    ``refuses``: object numbers (the last digit of the key) that refuse at first. ``stubborn``: that always refuse.
    ``twins``: those that give one caption at first. ``differs``: those that say something else when asked to differ.
    ``revises``: those that say another thing when asked again.
    ``mistakes``: those that at first speak of the number of the object after the next one, of the same category.
    ``stops_after``: answers after which it ends the whole run.
    ``poison``: ``KEY STEP`` of a request that ends the engine; of a score the step is ``fit``.
    """

    dies_after: int = 0
    refuses: str = ""
    stubborn: str = ""
    twins: str = ""
    differs: str = ""
    revises: str = ""
    mistakes: str = ""
    stops_after: int = 0
    poison: str = ""
    latency_s: float = 0.0

    scores = True

    @property
    def in_flight(self):
        return 3

    async def start(self, context):
        return MoodySession(self)


@dataclass(slots=True)
class MoodySession:
    options: Moody
    answered: int = 0

    async def answer(self, view):
        await asyncio.sleep(self.options.latency_s)
        options, number = self.options, view.key[-1]
        self.live(f"{view.key} {view.step}".strip())
        own = f"A {view.category} with the number {view.key.rsplit('/', 1)[-1]} on it."
        if number in options.revises and view.step.startswith("again"):
            own = f"A shiny {view.category} that somebody has polished."
        if number in options.stubborn or (number in options.refuses and not view.step):
            own = REFUSAL
        elif number in options.twins and not (view.step.startswith("distinct") and number in options.differs):
            own = f"A small {view.category} on a table."
        elif number in options.mistakes and not (view.step.startswith("distinct") and number in options.differs):
            own = f"A {view.category} on which the number {int(view.key.rsplit('/', 1)[-1]) + 2} stands."
        return Answer(own, "stop", 10, 5, 4, -0.5 if view.step else -1.0, -0.25)

    def live(self, request):
        if self.options.poison == request:
            raise EngineDead("poison")
        if self.options.dies_after and self.answered >= self.options.dies_after:
            raise EngineDead("its time has come")
        if self.options.stops_after and self.answered >= self.options.stops_after:
            raise RunEnds("it has answered enough")
        self.answered += 1

    def scorer(self):
        return MoodyScorer(self)

    async def stop(self):
        pass


@dataclass(slots=True)
class MoodyScorer:
    """A sentence that speaks of a number fits the object with that number best, others fit all alike."""

    session: MoodySession

    async def sentence(self, view, sentence):
        await asyncio.sleep(self.session.options.latency_s)
        self.session.live(f"{view.key} fit")
        said = re.search(r"number (\d+)", sentence)
        fits = said is None or view.key.endswith(f"/{said[1]}")
        return Scored(logprobs=(-0.5, -0.1 if fits else -4.0), prompt_tokens=10, cached_tokens=6)

    async def first_word(self, view):
        return Scored(choices={"yes": 0.9, "no": 0.1}, prompt_tokens=10)
