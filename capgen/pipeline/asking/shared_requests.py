"""Requests about several objects: asked once for all of them, and each gets its own caption out of the answer."""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from capgen.pipeline.confidence import confidence
from capgen.pipeline.engines.base import NotInAnswer, Session
from capgen.pipeline.view import Answer, Numbered, View, request_digest

_KEPT = 1024
"""Answers that are kept until every object of theirs has fetched its caption."""

_PAIR = re.compile(r'"(\d{1,6})"\s*:\s*("(?:[^"\\]|\\.)*")', re.DOTALL)
_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")


@dataclass(frozen=True, slots=True)
class SaidCaption:
    """A caption of an answer, and the text in the answer that it was read from."""

    text: str
    source: str


class SharedRequests:
    """Asks a session; views of one request that is about several objects become one request.

    A request that failed is asked anew when one of its objects is asked for again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._tasks: OrderedDict[str, asyncio.Task[Answer]] = OrderedDict()

    async def answer(self, view: View) -> Answer:
        """The answer for one object; see ``Session.answer``.

        Raises:
            NotInAnswer: the answer has no caption for this object.
        """
        if view.numbered is None:
            return await self._session.answer(view)
        name = request_digest(view, view.step)
        task = self._tasks.get(name)
        if task is None or (task.done() and (task.cancelled() or task.exception() is not None)):
            task = asyncio.ensure_future(self._session.answer(replace(view, key=view.numbered.first)))
            task.add_done_callback(_retrieve)
            self._tasks[name] = task
            while len(self._tasks) > _KEPT and next(iter(self._tasks.values())).done():
                self._tasks.popitem(last=False)
        return own_answer(await asyncio.shield(task), view.numbered)

    async def stop(self) -> None:
        """Stop the session."""
        await self._session.stop()


def _retrieve(task: asyncio.Task[Answer]) -> None:
    """Look at a task's error, which asyncio would otherwise report where every object of it was cancelled."""
    if not task.cancelled():
        task.exception()


def own_answer(answer: Answer, numbered: Numbered) -> Answer:
    """One object's part of an answer about several: its caption, its confidence and its share of the tokens.

    Shares add up to the whole. A caption that stands whole in an answer that was cut off has ended by itself.

    Raises:
        NotInAnswer: the answer has none for this object.
    """
    captions = read_captions(answer.text)
    invented = sum(not 1 <= number <= numbered.count for number in captions) if numbered.number == 1 else 0
    part = Answer(
        text="",
        finish_reason=answer.finish_reason,
        prompt_tokens=_share(answer.prompt_tokens, numbered),
        cached_tokens=_share(answer.cached_tokens, numbered),
        output_tokens=_share(answer.output_tokens, numbered),
        invented=invented,
    )
    said = captions.get(numbered.number)
    if said is None:
        shown = " ".join(answer.text.split())[:120]
        told = f"the answer about {numbered.count} objects has no caption for number {numbered.number}: {shown}"
        raise NotInAnswer(told, part)
    sure = confidence(answer.tokens, answer.text, said.source) if answer.tokens else None
    return replace(
        part,
        text=said.text,
        finish_reason="stop",
        logprob_min=sure.least if sure else None,
        logprob_mean=sure.mean if sure else None,
    )


def _share(total: int, numbered: Numbered) -> int:
    whole, rest = divmod(total, numbered.count)
    return whole + (numbered.number <= rest)


def read_captions(text: str) -> dict[int, SaidCaption]:
    """The captions of an answer by number; the first of two with one number counts.

    Read are an object with numbers as keys, whose values are texts or objects with a text named ``caption``, and a list
    of objects with ``number`` and ``caption``, also between marks of code. Of an answer that is no whole JSON, because
    it was cut off for example, the captions that are whole.
    """
    bare = _FENCE.sub("", text)
    try:
        read: Any = json.loads(bare)
    except (ValueError, RecursionError):
        pairs: Iterator[tuple[Any, Any]] = ((found[1], _string(found[2])) for found in _PAIR.finditer(bare))
    else:
        pairs = _pairs(read)
    captions: dict[int, SaidCaption] = {}
    for number, said in pairs:
        caption = said.get("caption") if isinstance(said, Mapping) else said
        where = int(number) if re.fullmatch(r"\d{1,6}", str(number).strip()) else None
        if where is not None and isinstance(caption, str) and caption.strip():
            captions.setdefault(where, SaidCaption(caption, _source(text, caption)))
    return captions


def _pairs(read: Any) -> Iterator[tuple[Any, Any]]:
    """Numbers and what is said of them, in JSON of either form."""
    if isinstance(read, Mapping):
        inner = read.get("captions", read)
        yield from inner.items() if isinstance(inner, Mapping) else _pairs(inner)
    elif isinstance(read, list):
        yield from ((one.get("number"), one.get("caption")) for one in read if isinstance(one, Mapping))


def _string(literal: str) -> str | None:
    try:
        return str(json.loads(literal, strict=False))
    except ValueError:
        return None


def _source(text: str, caption: str) -> str:
    """How a caption stands in the answer's JSON: as it is, or with its escapes."""
    for form in (caption, json.dumps(caption)[1:-1], json.dumps(caption, ensure_ascii=False)[1:-1]):
        if form in text:
            return form
    return caption
