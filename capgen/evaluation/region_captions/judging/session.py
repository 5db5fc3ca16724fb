"""All questions of a benchmark put to a judge, as often as wanted: what was asked before comes from the cache."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from capgen.errors import UserError
from capgen.evaluation.region_captions.judging.cache import JudgementCache
from capgen.evaluation.region_captions.judging.forms import Marks
from capgen.evaluation.region_captions.judging.judge import Judge, JudgeQuestion, JudgeReply, JudgeRequest
from capgen.evaluation.region_captions.judging.prompts import JudgePrompt

Answers = Mapping[str, Marks | None]
"""By the key of the question; None where the reply could not be read."""


@dataclass(slots=True)
class Judgements:
    """The replies of one judge.

    Args:
        answers: one mapping for each repeated judgement.
        asked, kept: requests put to the judge, and those whose answer was in the cache.
        tokens: of prompts and of answers, of all replies.
    """

    answers: list[dict[str, Marks | None]]
    asked: int = 0
    kept: int = 0
    tokens: tuple[int, int] = (0, 0)
    faults: list[str] = field(default_factory=list)

    @property
    def unreadable(self) -> int:
        """Replies in which no answer could be found."""
        return sum(marks is None for one in self.answers for marks in one.values())

    @property
    def disputed(self) -> int:
        """Questions that the repeated judgements did not answer alike."""
        first, *others = self.answers
        return sum(any(one[key] != marks for one in others) for key, marks in first.items())


def put_questions(
    questions: Sequence[JudgeQuestion],
    prompt: JudgePrompt,
    judge: Judge,
    cache: JudgementCache,
    *,
    repeat: int = 1,
    structured: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Judgements:
    """Every question ``repeat`` times.

    Args:
        structured: hold the judge to the JSON schema of each answer.
        progress: called with the requests done and all of them.

    Raises:
        UserError: the judge gave no answer to some; the others are kept, so that the same call goes on.
    """
    forms = {question.key: question.form for question in questions}
    found = Judgements([{} for _ in range(repeat)])
    total = repeat * len(questions)

    def take(request: JudgeRequest, reply: JudgeReply) -> None:
        if reply.fault is not None:
            found.faults.append(reply.fault)
            return
        cache.put(request.digest(), reply)
        settle(request, reply)

    def settle(request: JudgeRequest, reply: JudgeReply) -> None:
        marks = forms[request.key].read(reply.text) if reply.finish_reason == "stop" else None
        found.answers[request.repetition][request.key] = marks
        found.tokens = (found.tokens[0] + reply.prompt_tokens, found.tokens[1] + reply.output_tokens)
        if progress is not None:
            progress(sum(map(len, found.answers)), total)

    def unknown() -> Iterator[JudgeRequest]:
        for request in _requests(questions, prompt, repeat, structured=structured):
            reply = cache.get(request.digest())
            if reply is None:
                found.asked += 1
                yield request
            else:
                found.kept += 1
                settle(request, reply)

    judge.ask(unknown(), take)
    if found.faults:
        what = f"the judge gave no answer to {len(found.faults):,} of {total:,} requests; the first: {found.faults[0]}"
        raise UserError(what, "the answers that came are kept; run the same command again")
    return found


def _requests(
    questions: Sequence[JudgeQuestion], prompt: JudgePrompt, repeat: int, *, structured: bool
) -> Iterator[JudgeRequest]:
    """Repeated judgements of a question follow each other, so that an engine reuses its work for the prompt."""
    for question in questions:
        pictures = question.pictures() if question.pictures else ()
        system, user = prompt.fill({**question.variables, "pictures": bool(pictures)})
        schema = question.form.schema() if structured else None
        for repetition in range(repeat):
            yield JudgeRequest(question.key, system, (*pictures, user), schema, repetition)
