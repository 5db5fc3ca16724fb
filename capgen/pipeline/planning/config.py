"""From a pipeline file, a model's own profile and flags to ``Settings``; every mistake is one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from capgen.errors import UserError
from capgen.layered_toml import merge, nested, read_toml, sentence
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.settings import EngineSettings, Settings
from capgen.resources import resource

__all__ = ["PROFILE", "load_settings", "read_toml"]

_USUAL = EngineSettings().name
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
    wanted = nested(overrides, assignments)
    model = Path(str(_layer(tables, wanted).get("model", {}).get("id", "")))
    if (model / PROFILE).is_file():
        profile = read_toml(model / PROFILE)
        name = _layer(_layer(tables, profile), wanted).get("engine", {}).get("name", _USUAL)
        tables = _layer(_layer(tables, {"engine": {"name": name}}), _for_engine(profile, name))
    try:
        return Settings.model_validate(_layer(tables, wanted))
    except ValidationError as error:
        raise UserError(f"{file.name}: {sentence(error, Settings)}", "correct it in the file or with --set") from error


def _for_engine(profile: Mapping[str, Any], name: Any) -> dict[str, Any]:
    """A model's profile for a run with this engine: of its ``[engine.options]``, those that the engine knows."""
    engine = profile.get("engine", {})
    options = engine.get("options") if isinstance(engine, Mapping) else None
    if not isinstance(options, Mapping) or not isinstance(name, str):
        return dict(profile)
    known = ENGINES.options(name)
    mine = {key: value for key, value in options.items() if key in known}
    return {**profile, "engine": {**engine, "name": name, "options": mine}}


def _layer(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``; another engine starts without the options, another model without the revision."""
    for table, name, follower, usual in (("engine", "name", "options", _USUAL), ("model", "id", "revision", None)):
        old, new = below.get(table, {}), above.get(table, {})
        before = old.get(name, usual)
        if isinstance(new, Mapping) and new.get(name, before) != before:
            below = {**below, table: {key: value for key, value in old.items() if key != follower}}
    return merge(below, above)
