"""What form an answer has: the JSON schema that an engine holds a judge to, and how a reply is read all the same."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

LETTERS = "ABCDEFGHIJ"
_LONGEST = 10_000  # characters of a reply that are read
Marks = Mapping[str, int]
"""Numbers by name: the place of the choice as ``answer``, or the mark of each aspect."""


class AnswerForm(Protocol):
    """The form of the answers to one question."""

    def schema(self) -> dict[str, Any]:
        """JSON schema of an object."""
        ...

    def read(self, text: str) -> Marks | None:
        """The answer in a reply, JSON or not; None where it cannot be told."""
        ...


@dataclass(frozen=True, slots=True)
class ChoiceForm:
    """One of a few choices, by its letter."""

    choices: tuple[str, ...]

    def __post_init__(self) -> None:
        if not 1 <= len(self.choices) <= len(LETTERS):
            raise ValueError(f"a question has 1 to {len(LETTERS)} choices, not {len(self.choices)}")

    def schema(self) -> dict[str, Any]:
        """The letter under ``answer``."""
        letters = list(LETTERS[: len(self.choices)])
        return _object({"answer": {"type": "string", "enum": letters}})

    def read(self, text: str) -> Marks | None:
        """The place of the choice that is named by letter, by letter and text, or by its text."""
        text = text[:_LONGEST]
        said = _json_object(text)
        given = str(said["answer"]) if said and "answer" in said else text
        place = self._place(given.strip())
        return None if place is None else {"answer": place}

    def _place(self, given: str) -> int | None:
        letter = re.match(r"\(?([A-J])(?:[.):\n]|$)", given)
        if letter and LETTERS.index(letter[1]) < len(self.choices):
            return LETTERS.index(letter[1])
        said = given.lower()
        texts = [choice.lower().rstrip(".") for choice in self.choices]
        named = [text for text in texts if re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)]
        # "not red" also names "red"
        whole = [text for text in named if not any(text != other and text in other for other in named)]
        return texts.index(whole[0]) if len(whole) == 1 else None


@dataclass(frozen=True, slots=True)
class MarksForm:
    """A whole number from ``low`` to ``high`` for each name."""

    names: tuple[str, ...]
    low: int
    high: int

    def schema(self) -> dict[str, Any]:
        """The numbers under their names."""
        return _object({name: {"type": "integer", "minimum": self.low, "maximum": self.high} for name in self.names})

    def read(self, text: str) -> Marks | None:
        """The numbers as JSON, or after their names, or in their order where the reply has as many and no more."""
        text = text[:_LONGEST]
        said: Mapping[str, Any] = _json_object(text) or {}
        if not all(name in said for name in self.names):
            named = {
                name: re.search(rf"{re.escape(name)}\w{{0,30}}[^\d\n]{{0,200}}?(\d{{1,9}})", text, re.IGNORECASE)
                for name in self.names
            }
            said = {name: found[1] for name, found in named.items() if found}
        if not said:
            numbers = re.findall(r"\d+", text)
            said = dict(zip(self.names, numbers, strict=True)) if len(numbers) == len(self.names) else {}
        marks = {name: _whole(said.get(name)) for name in self.names}
        if any(mark is None or not self.low <= mark <= self.high for mark in marks.values()):
            return None
        return {name: mark for name, mark in marks.items() if mark is not None}


def _object(properties: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def _json_object(text: str) -> Mapping[str, Any] | None:
    """The first JSON object in a reply, which may stand in a fence or beside words."""
    start, end = text.find("{"), text.rfind("}")
    try:
        found = json.loads(text[start : end + 1]) if 0 <= start < end else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _whole(value: Any) -> int | None:
    """A whole number, also as text or as a float without a fraction."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None
