"""From a pipeline file, a model's own profile and flags to ``Settings``; every mistake is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from capgen.errors import UserError
from capgen.pipeline.settings import Settings
from capgen.resources import resource

PROFILE = "capgen.toml"
"""A model directory may hold this file: the tables of a pipeline file that the model needs to be otherwise."""


def load_settings(pipeline: str, overrides: Mapping[str, Any], assignments: Iterable[str] = ()) -> Settings:
    """The settings of ``pipelines/<pipeline>.toml`` (or a path), of the model's profile, then of flags and ``--set``.

    Args:
        overrides: dotted keys with values, from flags; None values are left out.
        assignments: ``table.key=value`` as typed; values are read as TOML, and as text where that fails.

    Raises:
        UnknownName: no such pipeline.
        UserError: a file is no TOML, a key is unknown or a value is of the wrong kind.
    """
    file = resource("pipelines", pipeline, ".toml")
    tables = read_toml(file)
    wanted: dict[str, Any] = {}
    for key, value in overrides.items():
        if value is not None:
            _assign(wanted, key, value)
    for assignment in assignments:
        _assign(wanted, *_parse(assignment))
    model = Path(str(_layer(tables, wanted).get("model", {}).get("id", "")))
    if (model / PROFILE).is_file():
        tables = _layer(tables, read_toml(model / PROFILE))
    try:
        return Settings.model_validate(_layer(tables, wanted))
    except ValidationError as error:
        raise UserError(f"{file.name}: {_sentence(error)}", "correct it in the file or with --set") from error


def read_toml(file: Path) -> dict[str, Any]:
    """The tables of a TOML file.

    Raises:
        UserError: it cannot be read or is no TOML.
    """
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UserError(f"{file}: {error}", "correct the file") from error


def _layer(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``; another engine starts without the options, another model without the revision."""
    for table, name, follower in (("engine", "name", "options"), ("model", "id", "revision")):
        old, new = below.get(table, {}), above.get(table, {})
        if isinstance(new, Mapping) and new.get(name, old.get(name)) != old.get(name):
            below = {**below, table: {key: value for key, value in old.items() if key != follower}}
    return _merge(below, above)


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``, table by table."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


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


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return f"unknown key {where!r}"
    return f"{where}: {first['msg']}"
