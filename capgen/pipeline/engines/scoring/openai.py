"""Scores sentences with a server of the OpenAI API.

Sentences need vLLM's server, which tells log-probabilities of prompts (``prompt_logprobs``). The sentence is sent as
the beginning of the assistant's message, which the server is told to go on with (``continue_final_message``). Such
requests do not read the server's prefix cache, and there is no field that allows it (vLLM 0.32): each is computed anew.
The sentence has to stand where the model's own answer would: a chat template that puts a blank before what an assistant
has said, and asks for an answer without one, is found out at the first sentence.

First words need ``logprobs`` and ``top_logprobs``, which most servers know.

Source: vLLM's documentation of its OpenAI-compatible server; the OpenAI API reference, chat completions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineFault, RequestRefused
from capgen.pipeline.engines.completion import Completion
from capgen.pipeline.engines.openai import OpenaiSession
from capgen.pipeline.engines.scoring.base import FIRST_TOKENS, Scored
from capgen.pipeline.view import View

_SLACK = 8  # characters by which the text of tokens may be longer than the sentence before the search ends


@dataclass(slots=True)
class OpenaiScorer:
    """The scorer over a session; ``looked``: the server's chat template was looked at."""

    session: OpenaiSession
    looked: bool = False

    async def sentence(self, view: View, sentence: str) -> Scored:
        """See ``SentenceScorer.sentence``."""
        if not sentence.strip():
            raise EngineFault("the sentence has no token")
        body = await self._body(view)
        body["messages"] = [*body["messages"], {"role": "assistant", "content": sentence}]
        body |= {"prompt_logprobs": 0, "continue_final_message": True, "add_generation_prompt": False}
        completion = await self._told(body, view, "prompt_logprobs", "fit")
        values = _by_text(completion.prompt_logprobs, sentence)
        if values is not None and not self.looked:
            await self._look(view, _text(completion.prompt_logprobs[-len(values)]))
        if values is None:  # the tokenizer knows no such character, or a token holds a piece of one
            before = await self.session.ask(await self._body(view), view.key, lambda one: one.tokens("prompt_tokens"))
            values = _values(completion.prompt_logprobs[before:]) if before else None
        if not values:
            raise EngineFault("the server's last log-probabilities of the prompt are not those of the sentence")
        return Scored(values, {}, completion.tokens("prompt_tokens"), completion.tokens("cached_tokens"))

    async def first_word(self, view: View) -> Scored:
        """See ``SentenceScorer.first_word``."""
        body = await self._body(view) | {"logprobs": True, "top_logprobs": FIRST_TOKENS}
        completion = await self._told(body, view, "top_logprobs", "yes_no")
        choices = _first_choices(completion) or {}
        return Scored((), choices, completion.tokens("prompt_tokens"), completion.tokens("cached_tokens"))

    async def _look(self, view: View, first: str) -> None:
        """See whether answers begin as sentences do that are put into an assistant's mouth: with a blank or without.

        Raises:
            UserError: they do not.
        """
        choices = (await self.first_word(view)).choices
        own = max(choices, key=lambda text: choices[text])
        if own[:1].isspace() != first[:1].isspace() and own.strip():
            raise UserError(
                f"the server's chat template makes {first!r} of a sentence's beginning, and answers begin as {own!r}",
                "start the server with a --chat-template that puts nothing else before an assistant's words than "
                "before an answer; or judge with --engine vllm or transformers",
            )
        self.looked = True

    async def _body(self, view: View) -> dict[str, Any]:
        options = self.session.options
        own = {name: value for name, value in {"temperature": 0.0}.items() if name not in options.omit}
        return await self.session.writer.body(view) | {options.token_limit: 1} | own

    async def _told(self, body: Mapping[str, Any], view: View, field: str, method: str) -> Completion:
        """The completion, with what was asked for.

        Raises:
            UserError: the server refuses the field, or does not know it.
        """
        unknown = UserError(
            f"the server tells no log-probabilities ({field}), which the method {method} needs",
            "judge with --engine vllm or transformers, or through the server of vLLM"
            + (", or with --method yes_no" if method == "fit" else ""),
        )

        def read(completion: Completion) -> Completion:
            told = completion.prompt_logprobs if method == "fit" else _first_choices(completion)
            if not told or not isinstance(told, list | dict):
                raise unknown
            return completion

        try:
            return await self.session.ask(body, view.key, read)
        except RequestRefused as refusal:
            if "logprobs" in str(refusal):
                raise unknown from refusal
            raise


def _first_choices(completion: Completion) -> dict[str, float] | None:
    """Probabilities of the most probable first tokens by their text; None where there are none."""
    given = completion.choices[0].logprobs if completion.choices else None
    content = given.get("content") if isinstance(given, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    top = first.get("top_logprobs") if isinstance(first, Mapping) else None
    choices: dict[str, float] = {}
    for one in top if isinstance(top, list) else ():
        token, value = (one.get("token"), _number(one.get("logprob"))) if isinstance(one, Mapping) else (None, None)
        if isinstance(token, str) and value is not None:
            choices[token] = choices.get(token, 0.0) + math.exp(min(0.0, value))
    return choices or None


def _by_text(told: Sequence[Any], sentence: str) -> tuple[float, ...] | None:
    """The values of the last tokens, those whose text is the sentence; None where no last tokens are.

    Args:
        told: for each token of the prompt a table with its log-probability and its text under its number.
    """
    text, wanted = "", "".join(sentence.split())
    for count, one in enumerate(reversed(told), 1):
        text = "".join(_text(one).split()) + text
        if text == wanted:
            return _values(told[-count:])
        if len(text) > len(wanted) + _SLACK:
            return None
    return None


def _values(told: Sequence[Any]) -> tuple[float, ...] | None:
    """The log-probabilities of tokens; None where one of them has none."""
    values: list[float] = []
    for one in told:
        value = _number(_chosen(one).get("logprob"))
        if value is None:
            return None
        values.append(min(0.0, value))
    return tuple(values)


def _chosen(one: Any) -> Mapping[str, Any]:
    """What is told of a token of the prompt."""
    chosen = next(iter(one.values()), None) if isinstance(one, Mapping) else None
    return chosen if isinstance(chosen, Mapping) else {}


def _text(one: Any) -> str:
    return str(_chosen(one).get("decoded_token") or "")


def _number(value: Any) -> float | None:
    """A server's number; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return float(value)
