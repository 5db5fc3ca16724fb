"""What a further request says beside the prompt: what was wrong with an answer, or what its neighbours are called.

The texts are a file, ``prompts/remarks/<name>.toml``; captions and names are filled in as data, never as templates.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from jinja2 import TemplateError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from capgen.encoding import read_text
from capgen.errors import UserError
from capgen.pipeline.rendering.places import Place, told
from capgen.pipeline.rendering.prompt import compiled
from capgen.resources import resource

_LONGEST = 400  # characters of an earlier caption that are repeated
_MOST = 8  # neighbours that are named


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another object of the same category in the same picture or video: where it is, and what was said of it."""

    place: Place | None
    caption: str


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(min_length=1)]
    fault: str
    neighbours: str
    reasons: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Remarks:
    """A file of remarks.

    Args:
        fault_template: variables ``category``, ``caption`` (the refused answer), ``why`` (what to mind, in sentences)
            and ``reasons`` (codes).
        neighbours_template: variables ``category`` and ``neighbours``, each with ``place`` and ``caption``.
        reasons: a sentence to the model for each reason code.
        sha256: of the file's text.
    """

    name: str
    fault_template: str
    neighbours_template: str
    reasons: Mapping[str, str]
    sha256: str

    def fault(self, category: str | None, caption: str, why: Sequence[tuple[str, str]]) -> str:
        """The remark on an answer that was refused for ``why``: codes with their messages."""
        known = [self.reasons[code] for code, _ in why if code in self.reasons]
        said = {"category": told(category or ""), "caption": _quoted(caption), "why": " ".join(known)}
        return compiled(self.fault_template).render(**said, reasons=[code for code, _ in why]).strip()

    def neighbours(self, category: str | None, neighbours: Sequence[Neighbour]) -> str:
        """The remark on an answer that fits its neighbours as well."""
        shown = [Neighbour(one.place, _quoted(one.caption)) for one in neighbours[:_MOST]]
        return compiled(self.neighbours_template).render(category=told(category or ""), neighbours=shown).strip()


def load_remarks(name: str) -> Remarks:
    """The remarks of that name in ``prompts/remarks/``, or of that path, with everything in it tried.

    Raises:
        UserError: it does not exist, is not TOML, has unknown or missing keys, or a template does not render.
    """
    path = resource("prompts/remarks", name, ".toml")
    try:
        text = read_text(path)
        file = _File.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{path} is not a TOML file: {error}", "mend it") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise UserError(f"{path}: {key}: {first['msg']}", "see prompts/remarks/default_v1.toml") from None
    digest = hashlib.sha256(text.encode()).hexdigest()
    remarks = Remarks(file.name, file.fault, file.neighbours, file.reasons, digest)
    try:
        for category in ("a", None):
            remarks.fault(category, "b", (("empty", "c"),))
            remarks.neighbours(category, (Neighbour(None, "b"),))
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise UserError(f"{path}: {error}", "its variables: category, caption, why, reasons; neighbours") from None
    return remarks


def _quoted(caption: str) -> str:
    """A caption on one line, without what could pass for a chat's control token, and not longer than is useful."""
    plain = "".join(letter if letter.isprintable() else " " for letter in caption[: 2 * _LONGEST])
    return " ".join(plain.translate({ord("<"): " ", ord(">"): " ", ord('"'): "'"}).split())[:_LONGEST]
