"""Second tries: which answers an object has, whether it is to be asked again, and which answer is released.

Everything here is a function of the answers alone, in the order in which they were asked for. A run that was killed
finds them in the journal and goes on where it was; when the shard is committed the same decisions come out again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from capgen.dataset.types import Fault, Media, MediaObject
from capgen.pipeline.planning.job import CheckFindings, Job
from capgen.pipeline.rendering.prompt import Prompt
from capgen.pipeline.rendering.remarks import Neighbour
from capgen.pipeline.rendering.render import render_media
from capgen.pipeline.settings import Criterion, TryAgain
from capgen.pipeline.view import Settled, View
from capgen.text import tidy


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer with what the checks say of it: the ``findings`` that drop it, and the ``advice``."""

    settled: Settled
    findings: CheckFindings = ()
    advice: CheckFindings = ()

    @property
    def passes(self) -> bool:
        """Whether it may be released."""
        return self.settled.fault is None and not self.findings

    @property
    def caption(self) -> str:
        """The answer as a row has it."""
        return tidy(self.settled.text)


@dataclass(slots=True)
class Tries:
    """The answers of one object: the first and its further tries, and those asked for because of its neighbours.

    A list has an entry for each step of the settings that was taken, in their order.
    """

    first: JudgedAnswer
    again: list[JudgedAnswer] = field(default_factory=list)
    distinct: dict[int, JudgedAnswer] = field(default_factory=dict)

    @property
    def own(self) -> list[JudgedAnswer]:
        """The answers that were asked for without regard to neighbours."""
        return [self.first, *self.again]

    @property
    def all(self) -> list[JudgedAnswer]:
        """Every answer, in the order of asking."""
        return [*self.own, *(self.distinct[number] for number in sorted(self.distinct))]


def refused(answer: JudgedAnswer, reasons: Sequence[str]) -> CheckFindings:
    """What is a reason to ask again.

    Args:
        reasons: the codes that are; none is all of them.
    """
    if answer.settled.fault is not None:
        return ((answer.settled.fault, answer.settled.message or answer.settled.fault),)
    found = (*answer.findings, *answer.advice)
    return tuple(one for one in found if not reasons or one[0] in reasons)


def next_try(tries: Tries, steps: Sequence[TryAgain], reasons: Sequence[str]) -> int | None:
    """The step that is due, counted from 0; None where an answer is good enough or there is no further step."""
    if tries.first.settled.fault is not None or len(tries.again) >= len(steps):
        return None
    return len(tries.again) if all(refused(answer, reasons) for answer in tries.own) else None


def best(answers: Sequence[JudgedAnswer], prefer: Sequence[Criterion]) -> JudgedAnswer:
    """The answer to release: the first of those that are best by the first criterion, then by the next, and so on.

    Args:
        answers: of one object, at least one; those that ended in a fault are no candidates beside others.
    """
    given = [answer for answer in answers if answer.settled.fault is None] or list(answers)
    numbered = list(enumerate(given))
    return max(numbered, key=lambda one: (*(_rank(name, *one) for name in prefer), -one[0]))[1]


def _rank(name: Criterion, number: int, answer: JudgedAnswer) -> float:
    """How good an answer is by one criterion: the larger, the better."""
    if name == "passes":
        return answer.passes
    if name == "no_advice":
        return not answer.advice
    if name == "last":
        return number
    if name == "first":
        return -number
    value = answer.settled.logprob_min if name == "logprob_min" else answer.settled.logprob_mean
    return float("-inf") if value is None else value


@dataclass(frozen=True, slots=True)
class FurtherRequest:
    """One further request: of which object, at which step of which list, and what it says of earlier answers.

    Args:
        number: of the step, from 0.
        distinct: whether it is asked because of its neighbours.
        refused: the answer that is not good enough, and why.
    """

    media: Media
    item: MediaObject
    number: int
    distinct: bool = False
    refused: tuple[JudgedAnswer, CheckFindings] | None = None
    neighbours: tuple[Neighbour, ...] = ()

    @property
    def key(self) -> str:
        """The object's key."""
        return self.item.key

    @property
    def name(self) -> str:
        """What tells this request from the object's others, in any order of asking."""
        return step_name(self.number, distinct=self.distinct)


def step_name(number: int, *, distinct: bool = False) -> str:
    """What a journal line and a view call a step."""
    return f"{'distinct' if distinct else 'again'}-{number}"


@dataclass(frozen=True, slots=True)
class TakenStep:
    """A step of the settings that was taken: the ``number``-th of its list, from 0."""

    number: int
    settings: TryAgain


def taken_step(job: Job, name: str) -> TakenStep | None:
    """The step of that ``step_name``; None for a first answer, which has none."""
    kind, _, number = name.partition("-")
    if not number:
        return None
    steps = job.settings.distinct.again if kind == "distinct" else job.settings.tries.again
    return TakenStep(int(number), steps[int(number)])


def prompt_of(job: Job, step: TakenStep | None) -> Prompt:
    """The prompt of a request."""
    return job.prompt if step is None else job.renderer_of(step.settings).prompt


def seed_of(job: Job, step: TakenStep | None) -> int:
    """The seed of a request: that of the settings, and where its step names none, another one for every step."""
    if step is None:
        return job.settings.sampling.seed
    return job.settings.sampling.seed + step.number + 1 if step.settings.seed is None else step.settings.seed


def temperature_of(job: Job, step: TakenStep | None) -> float:
    """The temperature of a request."""
    own = None if step is None else step.settings.temperature
    return job.settings.sampling.temperature if own is None else own


def view_of(job: Job, request: FurtherRequest) -> tuple[View, str | None] | Fault:
    """The request as the engine gets it, and what it says beside the prompt; slow, as the object is rendered anew."""
    steps = job.settings.distinct.again if request.distinct else job.settings.tries.again
    step = TakenStep(request.number, steps[request.number])
    others = frozenset(item.key for item in request.media.objects if item.key != request.item.key)
    (shown,) = render_media(request.media, job.renderer_of(step.settings), skip=others)
    if not isinstance(shown, View):
        return shown[1]
    told = _remark(job, request, category=prompt_of(job, step).category) if step.settings.tell else None
    return further_view(job, shown, step, request.name, told), told


def further_view(job: Job, shown: View, step: TakenStep, name: str, told: str | None) -> View:
    """The view of a further request.

    Args:
        shown: the object as the step's renderer shows it.
        name: see ``step_name``.
        told: what it says beside the prompt.
    """
    parts = (*shown.parts[:-1], told, shown.parts[-1]) if told else shown.parts
    seed, temperature = seed_of(job, step), temperature_of(job, step)
    return replace(shown, parts=parts, step=name, seed=seed, temperature=temperature)


def _remark(job: Job, request: FurtherRequest, *, category: bool) -> str | None:
    """What the request says beside the prompt; ``category``: whether it may tell the object's category."""
    name = request.item.category if category else None
    if job.remarks is None:
        return None
    if request.distinct:
        return job.remarks.neighbours(name, request.neighbours)
    if request.refused is None:
        return None
    answer, why = request.refused
    return job.remarks.fault(name, answer.caption, why)


def totals(answers: Iterable[Tries]) -> dict[str, int]:
    """For a shard's manifest: further answers, and the objects that have some, by what they were asked for."""
    asked = [tries for tries in answers if len(tries.all) > 1]
    return {
        "further_answers": sum(len(tries.all) - 1 for tries in asked),
        "asked_again": sum(bool(tries.again) for tries in asked),
        "asked_to_differ": sum(bool(tries.distinct) for tries in asked),
    }
