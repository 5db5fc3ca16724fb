"""Keeps what a model thinks apart from what it says: the caption is the rest of the answer."""

from __future__ import annotations

from collections.abc import Sequence

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
