"""What the plan of an OUT may decide when it is taken up again: somebody else may have written it.

Nearly all settings are harmless, or the fingerprint covers them. Those that decide which code is run, which server gets
pictures and which key, and which folders and files are used, must come from the command.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlanRecord
from capgen.display import plain
from capgen.errors import LedgerError, UserError
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.planning.fingerprint import digest
from capgen.pipeline.planning.model_profiles import model_profiles
from capgen.redaction import message
from capgen.resources import resource_names

_REACHING = frozenset({"base_url", "base_urls", "server", "servers", "api_key_env", "folder", "args"})
"""Options of capgen's own engines that decide where data and keys go, or that a library may take code from."""


def check_fingerprint(out: Path, plan: PlanRecord) -> None:
    """Refuse a plan whose fingerprint is not that of its parts; ``prepare`` compares the parts with the settings.

    Raises:
        LedgerError: somebody changed it by hand.
    """
    if digest(plan.parts) != plan.fingerprint:
        raise LedgerError(
            f"{RunLayout(out).plan_json} was changed: its settings do not give its fingerprint; "
            "restore it, or start anew in another --out"
        )


def refuse_unconfirmed(
    out: Path, settings: Mapping[str, Any], given: Mapping[str, Any], known: Mapping[str, Any] | None = None
) -> None:
    """Refuse settings of a plan that reach beyond OUT and are not given on the command line.

    Args:
        settings: what ``plan.json`` says.
        given: tables of the command line.
        known: the settings in this user's own record of the run: what they say too was given once.

    Raises:
        UserError: says which values OUT asks for, and how to give them.
    """
    before = list(reaching(known or {}))
    asked = [one for one in reaching(settings) if not _has(given, one[0]) and one not in before]
    if not asked:
        return
    values = ", ".join(f"{key}={_shown(value)}" for key, value in asked)
    flags = " ".join("--engine NAME" if key == "engine.name" else f"--set {key}=..." for key, _ in asked)
    raise UserError(
        f"{plain(str(out))} asks for {values}",
        f"give it again if you want it ({flags}), or --trust-out if OUT is yours",
    )


def without_links(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings without permission to follow links, which only the command line gives."""
    source = _table(settings, "source")
    return {**settings, "source": {key: value for key, value in source.items() if key != "follow_links"}}


def reaching(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Dotted keys and values of the settings that reach beyond OUT, as far as nothing is said of them elsewhere.

    These are: code that is imported, files that are read, and addresses, keys and options of engines.
    """
    engine, checks = _table(settings, "engine"), _table(settings, "checks")
    name = str(engine.get("name"))
    yield from _modules("engine.name", [name])
    shipped = _shipped(name, _table(settings, "model").get("profile"))
    for option, value in _table(engine, "options").items():
        if value and value != shipped.get(option) and (option in _REACHING or name not in ENGINES.own):
            yield f"engine.options.{option}", value
    yield from _modules("source.type", [_table(settings, "source").get("type")])
    for table in ("names", "advisory"):
        yield from _modules(f"checks.{table}", checks.get(table) or ())
    for table in ("tries", "distinct"):
        steps = [step for step in _table(settings, table).get("again") or () if isinstance(step, Mapping)]
        names = [name for step in steps for name in str(step.get("highlight") or "").split("+")]
        yield from _modules(f"{table}.again", names)
        yield from _files(f"{table}.again", "prompts", ".toml", [step.get("prompt") for step in steps])
    if _table(settings, "model").get("trust_remote_code"):
        yield "model.trust_remote_code", True
    yield from _files("card.template", "data_cards", ".md", [_table(settings, "card").get("template")])
    yield from _modules("prompt.marks", str(_table(settings, "prompt").get("marks") or "").split("+"))
    yield from _files("prompt.name", "prompts", ".toml", [_table(settings, "prompt").get("name")])
    yield from _files("tries.remarks", "prompts/remarks", ".toml", [_table(settings, "tries").get("remarks")])


def _files(key: str, kind: str, suffix: str, names: Sequence[Any]) -> Iterator[tuple[str, Any]]:
    """The names that are none of shipped files: paths, which would be read."""
    found = [name for name in names if name is not None and name not in resource_names(kind, suffix)]
    if found:
        yield key, found[0] if len(found) == 1 else found


def _shipped(engine: str, profile: Any) -> Mapping[str, Any]:
    """The options that capgen's own profile of the model has for the engine."""
    found = model_profiles().get(profile) if isinstance(profile, str) else None
    return {} if found is None else _table(found.tables(engine)["engine"], "options")


def _modules(key: str, names: Any) -> Iterator[tuple[str, Any]]:
    """The names that are imported as ``module:attribute``."""
    found = [name for name in names if ":" in str(name)]
    if found:
        yield key, found[0] if len(found) == 1 else found


def _table(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = settings.get(name)
    return table if isinstance(table, Mapping) else {}


def _has(given: Mapping[str, Any], key: str) -> bool:
    """Whether the command line gives the value of a dotted key."""
    value: Any = given
    for part in key.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return False
        value = value[part]
    return True


def _shown(value: Any) -> str:
    return plain(message(json.dumps(value, ensure_ascii=False, default=str)))
