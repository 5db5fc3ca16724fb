"""From a pipeline file, a model's own profile and flags to ``Settings``; every mistake is one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from capgen.errors import UserError
from capgen.layered_toml import merge, nested, read_toml, sentence
from capgen.pipeline.planning.model_profiles import (
    NO_PROFILE,
    find_profile,
    folder_file,
    profile_named,
)
from capgen.pipeline.settings import EngineSettings, ModelSettings, Settings
from capgen.resources import resource

__all__ = ["load_settings", "read_toml"]

_USUAL = EngineSettings().name
_AUTO = ModelSettings.model_fields["profile"].default
_REMOTE_CODE = "model.trust_remote_code"
_ALLOW = f"give --set {_REMOTE_CODE}=true if you trust the code in the model's folder"


def load_settings(pipeline: str, overrides: Mapping[str, Any], assignments: Iterable[str] = ()) -> Settings:
    """The settings of ``pipelines/<pipeline>.toml`` (or a path), of the model's profile, then of flags and ``--set``.

    Args:
        overrides: dotted keys with values, from flags; None values are left out.
        assignments: ``table.key=value`` as typed; values are read as TOML, and as text where that fails.

    Raises:
        UnknownName: no such pipeline, or no such model profile.
        UserError: a file is no TOML, a key is unknown or a value is of the wrong kind.
    """
    file = resource("pipelines", pipeline, ".toml")
    tables = read_toml(file)
    if tables.get("model", {}).get("trust_remote_code"):
        raise UserError(f"{file.name}: {_REMOTE_CODE} is allowed on the command line alone", _ALLOW)
    wanted = nested(overrides, assignments)
    tables = _with_profile(tables, wanted)
    try:
        settings = Settings.model_validate(_layer(tables, wanted))
    except ValidationError as error:
        raise UserError(f"{file.name}: {sentence(error, Settings)}", "correct it in the file or with --set") from error
    return settings.model_copy(update={"model": settings.model.model_copy(update=_profile_of(tables))})


def with_model(settings: Settings, model: str, assignments: Iterable[str] = ()) -> Settings:
    """Settings of a run for another model: its profile and its folder's own file decide what they decide.

    Permission to run the code of the run's own model does not extend to this one.

    Args:
        assignments: as for ``load_settings``; they go over the profile.

    Raises:
        UserError: the model's folder says what it may not.
    """
    wanted = nested({}, assignments)
    tables = settings.model_dump(mode="json")
    tables["model"] |= {"id": model, "revision": None, "profile": _AUTO, "trust_remote_code": False}
    tables = merge(_with_profile(tables, wanted), wanted)
    return Settings.model_validate(tables)


def _with_profile(tables: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """A pipeline file's tables with the model's profile and its folder's own file laid over them.

    Raises:
        UnknownName: there is no such profile.
        UserError: the folder's file sets what it may not.
    """
    chosen = _layer(tables, wanted)
    model, engine = chosen.get("model", {}), chosen.get("engine", {}).get("name", _USUAL)
    if not isinstance(model, Mapping) or not isinstance(engine, str):
        return dict(tables)  # the types say what is wrong
    name, asked = str(model.get("id", "")), str(model.get("profile", _AUTO))
    if not name:
        return dict(tables)
    folder = folder_file(name)
    asked = folder.profile if asked == _AUTO and folder.profile else asked
    profile = profile_named(asked) if asked != _AUTO else find_profile(name, model.get("revision"))[0]
    # The engine's name comes first: another engine starts without the options of the file's.
    base = _layer(tables, {"engine": {"name": engine}, "model": {"id": name}})
    if profile is not None:
        base = merge(base, profile.tables(engine))
    base = merge(base, folder.model_dump(exclude_none=True, include={"render", "model"}))
    return merge(base, {"model": {"profile": profile.name if profile else NO_PROFILE}})


def _profile_of(tables: Mapping[str, Any]) -> dict[str, Any]:
    return {"profile": tables.get("model", {}).get("profile", NO_PROFILE)}


def _layer(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """``above`` laid over ``below``; another engine starts without the options, another model without the revision."""
    for table, name, follower, usual in (("engine", "name", "options", _USUAL), ("model", "id", "revision", None)):
        old, new = below.get(table, {}), above.get(table, {})
        before = old.get(name, usual)
        if isinstance(new, Mapping) and new.get(name, before) != before:
            below = {**below, table: {key: value for key, value in old.items() if key != follower}}
    return merge(below, above)
