"""Templates of conversations: which questions are asked of an object, in a TOML file.

``conversation = "object"`` starts a conversation for each object, ``"media"`` one for each picture or video with up to
``max_objects`` objects (0: all). Every ``[[turns]]`` has ``question``, one or several of which one is chosen by the
object's key, and ``answer``. In both, ``{region}`` is how the form points at the object, ``{box}`` its box in numbers,
``{category}`` its category with blanks for underscores, ``{caption}`` its caption. A turn that needs what an object
does not have is left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import xxhash
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from capgen.errors import UnknownName, UserError
from capgen.layered_toml import read_toml, sentence

FIELDS = ("region", "box", "category", "caption")
_FIELD = re.compile(r"\{([^{}]*)\}")
_SHIPPED = Path(__file__).with_name("questions")

FieldValues = Callable[[str], str | None]
"""The value of a field for an object; None where it has none."""


class AskedTurn(BaseModel):
    """A question, or several of which one is asked, and its answer."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    question: str | tuple[str, ...]
    answer: str

    @field_validator("question", "answer")
    @classmethod
    def _known_fields(cls, value: str | tuple[str, ...]) -> str | tuple[str, ...]:
        texts = (value,) if isinstance(value, str) else value
        if not texts or not all(text.strip() for text in texts):
            raise ValueError("is empty")
        for name in (name for text in texts for name in _FIELD.findall(text)):
            if name not in FIELDS:
                raise ValueError(f"{{{name}}} is none of {', '.join(f'{{{known}}}' for known in FIELDS)}")
        return value

    @property
    def questions(self) -> tuple[str, ...]:
        """The questions of which one is asked."""
        return (self.question,) if isinstance(self.question, str) else self.question


class Questions(BaseModel):
    """A template; see the module."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    conversation: Literal["object", "media"] = "object"
    max_objects: Annotated[int, Field(ge=0)] = 0
    turns: Annotated[tuple[AskedTurn, ...], Field(min_length=1)]

    def ask(self, key: str, values: FieldValues) -> list[tuple[str, str]]:
        """The questions of an object with their answers; those that need what it does not have are left out."""
        asked = []
        for number, turn in enumerate(self.turns):
            digest = xxhash.xxh3_64_intdigest(f"{key}/{number}".encode())
            answer = _filled(turn.answer, values)
            if answer is None:
                continue
            question = _filled(turn.questions[digest % len(turn.questions)], values)
            if question is not None:
                asked.append((question, answer))
        return asked


def load_questions(name: str) -> Questions:
    """A shipped template by name, or a file.

    Raises:
        UnknownName: there is neither.
        UserError: the file is no TOML, or has an unknown key or field.
    """
    file = next((path for path in (_SHIPPED / f"{name}.toml", Path(name)) if path.is_file()), None)
    if file is None:
        raise UnknownName("template of questions", name, shipped_questions())
    try:
        return Questions.model_validate(read_toml(file))
    except ValidationError as error:
        raise UserError(f"{file}: {sentence(error, Questions)}", "docs/export.md shows a template") from error


def shipped_questions() -> Sequence[str]:
    """The names of the templates that capgen has."""
    return sorted(path.stem for path in _SHIPPED.glob("*.toml"))


def _filled(text: str, values: FieldValues) -> str | None:
    """The text with its fields filled in; None where the object lacks one of them."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(_FIELD.findall(text)):
        value = values(name)
        if value is None:
            return None
        found[name] = value
    return _FIELD.sub(lambda match: found[match[1]], text)
