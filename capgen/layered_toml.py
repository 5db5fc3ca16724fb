"""TOML files laid in layers: a file, another file, flags, ``--set table.key=value``; every mistake is one line."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, Field, ValidationError

from capgen.encoding import read_text
from capgen.errors import UserError, did_you_mean

_QUOTED = re.compile(r"'([^']*)'")

Positive = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: it cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(read_text(file))
    except (ValueError, RecursionError) as error:  # no TOML, a number of thousands of digits, brackets without end
        raise UserError(f"{file}: {error}", "correct the file") from error


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, table by table."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


def nested(overrides: Mapping[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Dotted keys with values (None is left out), then ``table.key=value`` as typed, as tables.

    Values as typed are read as TOML, and as text where that fails.

    Raises:
        UserError: an assignment is malformed, or a value is taken for a table.
    """
    tables: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is not None:
            _assign(tables, key, value)
    for assignment in assignments:
        _assign(tables, *_parse(assignment))
    return tables


def sentence(error: ValidationError, model: type[BaseModel]) -> str:
    """The first mistake that pydantic found in the tables of ``model``, as people say it."""
    first = error.errors()[0]
    *path, last = [str(part) for part in first["loc"]] or [""]
    where = ".".join((*path, last))
    if first["type"] == "extra_forbidden":
        known = known_keys(model, path)
        hint = did_you_mean(last, known) or "".join(
            f" (did you mean {name!r}?)" for name in _elsewhere(model, last)[:1]
        )
        return f"unknown key {where!r}{hint or _listed(known)}"
    if first["type"] in ("literal_error", "enum"):
        return f"{where}: {first['msg']}{did_you_mean(str(first['input']), _QUOTED.findall(first['ctx']['expected']))}"
    return f"{where}: {first['msg']}"


def _elsewhere(model: type[BaseModel], key: str) -> list[str]:
    """Where else the tables of a model have a key: ``render.patch`` for ``patch``, also under a wrong table."""
    found = []
    for name, field in model.model_fields.items():
        inner = _model_in(field.annotation)
        if inner is not None and key in inner.model_fields:
            found.append(f"{name}.{key}")
    return found


def known_keys(model: type[BaseModel], path: Iterable[str]) -> tuple[str, ...]:
    """The keys of the table at ``path`` below the tables of ``model``; none where it has keys of the user's own."""
    at: Any = model
    for key in path:
        fields = getattr(at, "model_fields", {})
        # a table of tables of the user's own names (``stages``) is a mapping to one model
        at = _model_in(fields[key].annotation) if key in fields else at
    return tuple(getattr(at, "model_fields", ()))


def _model_in(annotation: Any) -> Any:
    """The model in an annotation: itself, or within ``X | None`` or ``dict[str, X]``; None if there is none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for part in get_args(annotation) if (found := _model_in(part))), None)


def _listed(known: Iterable[str]) -> str:
    names = ", ".join(known)
    return f" (known: {names})" if names else ""


def _assign(tables: dict[str, Any], dotted: str, value: Any) -> None:
    *path, last = dotted.split(".")
    for name in path:
        tables = tables.setdefault(name, {})
        if not isinstance(tables, dict):
            raise UserError(f"--set {dotted}: {name!r} is a value, not a table", "name a key of a table")
    tables[last] = value


def _parse(assignment: str) -> tuple[str, Any]:
    key, equals, text = assignment.partition("=")
    if not equals or not key.strip() or not all(key.strip().split(".")):
        raise UserError(f"--set {assignment!r} is not of the form table.key=value", "for example --set render.patch=28")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    return key.strip(), value
