"""Keeps what a model thinks apart from what it says: the caption is the rest of the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

USUAL = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("[THINK]", "[/THINK]"),
    ("◁think▷", "◁/think▷"),
    ("<|channel>thought", "<channel|>"),
)
"""Begin and end of reasoning in the text of models that are widely used. Source: their chat templates."""

Markers = Sequence[tuple[str, str]]


def split_reasoning(text: str, markers: Markers = USUAL) -> tuple[str, str]:
    """The answer without its reasoning, and the reasoning.

    Where the chat template has opened the reasoning, only its end stands in the text: all before it is reasoning. Where
    the answer was cut, only its beginning does: all after it is.
    """
    thoughts: list[str] = []
    for begin, end in markers:
        if begin not in text and end not in text:
            continue
        said: list[str] = []
        rest = text
        while rest:
            before, opened, after = rest.partition(begin)
            closed_first, closing, remainder = before.partition(end)
            if closing:
                thoughts.append(closed_first)
                rest = remainder + opened + after
                continue
            said.append(before)
            thought, _, rest = after.partition(end)
            thoughts.append(thought)
        text = "".join(said)
    return (text.strip() if thoughts else text), "\n".join(one.strip() for one in thoughts if one.strip())


def without_reasoning(text: str, markers: Markers = USUAL, specials: Sequence[str] = ()) -> str:
    """An answer without its reasoning, and without special tokens where it was decoded with them."""
    said, _ = split_reasoning(text, markers)
    if not specials:
        return said
    for token in specials:
        said = said.replace(token, "")
    return said.strip()


def how_to_switch_off(template: Mapping[str, Any], body: Mapping[str, Any]) -> str:
    """What is left to try with a server that reasons.

    vLLM, SGLang and llama.cpp take arguments of the chat template. Ollama and LM Studio ignore those and take the
    field ``reasoning_effort`` (ollama/ollama#14820, lmstudio-ai/lmstudio-bug-tracker#2057).

    Args:
        template: arguments of the chat template that were sent; ``body``: further fields of the request.
    """
    if {"reasoning_effort", "reasoning"} & set(body):
        return "it was asked not to, so raise sampling.max_tokens well above the caption's, or take another model"
    field = "--set 'engine.options.extra_body={reasoning_effort=\"none\"}'"
    if template:
        return f"it does not obey the chat template's arguments; try {field}, which Ollama and LM Studio take"
    return f"to switch it off try --set model.template.enable_thinking=false, with Ollama and LM Studio {field}"


def special_tokens(tokenizer: Any, markers: Markers) -> tuple[str, ...]:
    """A tokenizer's special tokens, the longest first, if a marker of reasoning holds one of them, otherwise none.

    An answer is usually decoded without special tokens. Where marks are special tokens (Gemma 4, Mistral) they would be
    lost, and the reasoning would read as a part of the answer: such answers must be decoded with special tokens.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    special = {str(token) for token in added.values() if getattr(token, "special", False)}
    special.update(getattr(tokenizer, "all_special_tokens", ()))
    texts = [text for pair in markers for text in pair]
    if not any(token in text for token in special if token for text in texts):
        return ()
    return tuple(sorted(special, key=lambda token: (-len(token), token)))
