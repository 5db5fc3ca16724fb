"""Single values of an annotation: what the formats allow, and one sentence for whatever else a file has there."""

from __future__ import annotations

import math
from collections.abc import Container
from typing import Any

from capgen.errors import CapgenError
from capgen.evaluation.reading.tracks import Id

_SHOWN = 60


class FieldError(CapgenError):
    """A value is not what its field may hold: ``what`` goes on from the annotation's name, ``remedy`` says what to do.

    The reader that knows file and annotation makes a ``UserError`` of it.
    """

    def __init__(self, what: str, remedy: str) -> None:
        self.what, self.remedy = what, remedy
        super().__init__(what, remedy)


def shown(value: Any) -> str:
    """A value as a message shows it: text in quotes, short, and printable everywhere."""
    text = f'"{value}"' if isinstance(value, str) else str(value)
    if value is None or isinstance(value, bool):
        text = {None: "null", True: "true", False: "false"}[value]
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def as_id(value: Any, name: str) -> Id:
    """An id: a whole number or text.

    Raises:
        FieldError: it is neither.
    """
    if isinstance(value, str):
        return as_text(value, name)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise FieldError(f"has the {name} {shown(value)}, which is neither a whole number nor text", "write an id")
    return value


def as_number(value: Any, name: str) -> float:
    """A finite number.

    Raises:
        FieldError: it is text, or beyond what a number can be.
    """
    if isinstance(value, str):
        raise FieldError(f"has the {name} {shown(value)}, which is text", "write a number, without quotes")
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise FieldError(f"has the {name} {shown(value)}, which is not a number", "write a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise FieldError(f"has the {name} {shown(value)}, which is not a finite number", "write a number")
    return number


def as_size(value: Any, name: str) -> int:
    """A whole number from 0 on; 0 for null, which the formats allow.

    Raises:
        FieldError: it is something else.
    """
    if value is None:
        return 0
    number = as_number(value, name)
    if number < 0 or not number.is_integer():
        raise FieldError(f"has the {name} {shown(value)}, which is not a whole number from 0 on", "write pixels")
    return int(number)


def as_flag(value: Any, name: str) -> bool:
    """A yes or no: 0, 1, true, false, or null for no.

    Raises:
        FieldError: it is something else, text included.
    """
    if value is None or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    kind = "text" if isinstance(value, str) else "neither 0 nor 1"
    raise FieldError(f"has the {name} {shown(value)}, which is {kind}", "write 0 or 1, without quotes")


def as_text(value: Any, name: str) -> str:
    """Text, empty for null.

    Raises:
        FieldError: it is something else, or holds half of a surrogate pair, which no file can hold.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise FieldError(f"has the {name} {shown(value)}, which is not text", "write a sentence, or null")
    if not value.isascii():
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            what = f"has the {name} {shown(value)}, which holds half of a surrogate pair (\\ud800 to \\udfff)"
            raise FieldError(what, "write the text again as UTF-8") from None
    return value


def as_list(value: Any, name: str) -> list[Any] | None:
    """A list, or None for null.

    Raises:
        FieldError: it is something else.
    """
    if value is not None and not isinstance(value, list):
        raise FieldError(f"has the {name} {shown(value)}, which is not a list", "write one entry for every frame")
    return value


def other_kind(key: Id, known: Container[Id]) -> str:
    """Where ``known`` has the same id in the other kind, number or text: a clause that says so; else empty."""
    if isinstance(key, str):
        digits = key.strip().removeprefix("-")
        if digits.isascii() and digits.isdigit() and len(digits) < 20 and int(key) in known:
            return f" (text; it has the number {int(key)})"
        return ""
    return f' (a number; it has the text "{key}")' if str(key) in known else ""
