"""Keeps what a model thinks apart from what it says: the caption is the rest of the answer."""

from __future__ import annotations

from collections.abc import Sequence
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
