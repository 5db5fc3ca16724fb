"""What decides a run's rows, as named parts and one sha256 over them: equal fingerprints may share an OUT."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from capgen.dataset.schema import SCHEMA_VERSION
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.rendering.prompt import Prompt
from capgen.pipeline.rendering.remarks import Remarks
from capgen.pipeline.rendering.render import RENDER_VERSION
from capgen.pipeline.settings import DistinctSettings, EngineSettings, Settings, Table, TriesSettings, TryAgain

_WHOLE_FILE = 64 * 2**20
_SHOWN, _LONG = 3, 60
_DIGEST = re.compile(r'"[0-9a-f]{64}"')
_BY_WEIGHT = ("dataset", "model", "engine", "engine_options", "prompt", "source", "sampling", "render", "checks")


def fingerprint_parts(settings: Settings, prompt: Prompt, source_hashes: Mapping[str, str]) -> dict[str, Any]:
    """The parts, each JSON-able, by a name that a person understands.

    Not among them: where the dataset is, and ``source.limit``, which a run that is resumed may raise.
    """
    parts = {
        "dataset": settings.dataset,
        "source": dict(source_hashes) | {"type": settings.source.type, "split": settings.source.split},
        "shard_objects": settings.run.shard_objects,
        "render": _unless_default(settings.render, "coordinates", "pieces", "system") | {"version": RENDER_VERSION},
        "prompt": {"name": prompt.name, "sha256": prompt.sha256, "category": settings.prompt.category}
        | settings.prompt.changes(),
        "engine": settings.engine.name,
        "model": _model(settings),
        "sampling": settings.sampling.model_dump(),
        "checks": settings.checks.model_dump(mode="json"),
        "dedup": _unless_default(settings.dedup, "near", "shingle", "scope", "per_sentence"),
        "schema": SCHEMA_VERSION,
    }
    if settings.source.min_area is not None:
        parts["min_area"] = settings.source.min_area
    if settings.source.options:
        parts["source_options"] = settings.source.options
    options = deciding_options(settings.engine)
    return parts | {"engine_options": options} if options else parts


def further_steps(settings: Settings) -> tuple[TryAgain, ...]:
    """All further requests that the settings know."""
    return (*settings.tries.again, *(settings.distinct.again if settings.distinct.enabled else ()))


def further_parts(settings: Settings, prompts: Mapping[str, Prompt], remarks: Remarks | None) -> dict[str, Any]:
    """The parts that further requests add; none where there are none, so that older runs can be gone on with."""
    parts: dict[str, Any] = {}
    if settings.tries.again:
        parts["tries"] = _steps_dumped(settings.tries)
    if settings.distinct.enabled:
        dumped = _steps_dumped(settings.distinct)
        parts["distinct"] = dumped if settings.distinct.fit else {n: v for n, v in dumped.items() if n != "fit"}
    texts = {f"prompt {name}": prompt.sha256 for name, prompt in prompts.items()}
    if remarks is not None:
        texts["remarks"] = remarks.sha256
    return parts | ({"further_texts": texts} if texts else {})


def _steps_dumped(table: TriesSettings | DistinctSettings) -> dict[str, Any]:
    """The table; of a step's keys, those that came later only where they are set."""
    steps = [_unless_default(step, "category") for step in table.again]
    return table.model_dump(mode="json") | {"again": steps}


def _model(settings: Settings) -> dict[str, Any]:
    """Which model, and what is said to it and taken from its answers where that is not as usual."""
    model = settings.model
    decides = ("template", "reasoning", "trust_remote_code")
    further = {name: value for name in decides if (value := getattr(model, name))}
    return {"id": model.id, "revision": model.revision, "files": model_files(settings)} | further


def _unless_default(table: Table, *names: str) -> dict[str, Any]:
    """The table without those of ``names`` that have their default value."""
    usual = {name: field.default for name, field in type(table).model_fields.items()}
    return {name: value for name, value in table.model_dump().items() if name not in names or value != usual[name]}


def deciding_options(settings: EngineSettings) -> dict[str, Any]:
    """The engine's options that decide what is asked or answered and differ from their defaults.

    An engine names them in ``decides``: ``option``, or ``option.key`` for a key of an option that is a table.
    """
    kind = ENGINES.load(settings.name)
    chosen = build_engine(settings)
    usual = {field.name: _default(field) for field in fields(kind)}
    found: dict[str, Any] = {}
    for name in getattr(kind, "decides", ()):
        option, _, key = name.partition(".")
        value, default = getattr(chosen, option), usual[option]
        if key:
            value, default = value.get(key), (default or {}).get(key)
        if value != default:
            found[name] = value
    return found


def _default(option: Field[Any]) -> Any:
    return option.default if option.default_factory is MISSING else option.default_factory()


def digest(parts: Mapping[str, Any]) -> str:
    """sha256 of the parts' canonical JSON."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def model_files(settings: Settings) -> str | None:
    """A digest of a model folder: contents of files up to 64 MiB, name and size of larger ones; None for a hub name."""
    folder = Path(settings.model.id)
    if not folder.is_dir():
        return None
    total = hashlib.sha256()
    for file in sorted(path for path in folder.iterdir() if path.is_file()):
        size = file.stat().st_size
        total.update(f"{file.name}\0{size}\0".encode())
        if size <= _WHOLE_FILE:
            total.update(hashlib.sha256(file.read_bytes()).digest())
    return total.hexdigest()


def same_run(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two runs' parts are those of one run; a plan of version 1 has the limit among them."""
    before, now = ({key: value for key, value in parts.items() if key != "limit"} for parts in (old, new))
    return digest(before) == digest(now)


def may_have_grown(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether two runs' parts differ in the contents of their source's files alone."""
    return same_run(*({**parts, "source": _kept_of_source(parts)} for parts in (old, new)))


def _kept_of_source(parts: Mapping[str, Any]) -> dict[str, Any]:
    source = parts.get("source", {})
    return {name: source.get(name) for name in ("type", "split")}


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """What differs between two runs' parts, in one short line, what a person most likely has changed first."""
    names = [*_BY_WEIGHT, *sorted({*old, *new} - {*_BY_WEIGHT, "limit"})]
    found = [line for name in names for line in _differing(old.get(name), new.get(name), name)]
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return "; ".join(found[:_SHOWN]) + more


def _differing(old: Any, new: Any, name: str) -> list[str]:
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        old, new = old or {}, new or {}
        keys = sorted({*old, *new})
        return [line for key in keys for line in _differing(old.get(key), new.get(key), f"{name}.{key}")]
    if json.dumps(old, default=str) == json.dumps(new, default=str):
        return []
    before, now = _short(old), _short(new)
    return [f"{name} has changed" if before == now else f"{name} is {before} there and {now} here"]


def _short(value: Any) -> str:
    text = "not set" if value is None else json.dumps(value, default=str, ensure_ascii=False)
    return "something else" if _DIGEST.fullmatch(text) or len(text) > _LONG else text
