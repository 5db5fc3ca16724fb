"""What decides a run's rows, as named parts and one sha256 over them: equal fingerprints may share an OUT."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from capgen.dataset.schema import SCHEMA_VERSION
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.rendering.prompt import Prompt
from capgen.pipeline.rendering.render import RENDER_VERSION
from capgen.pipeline.settings import EngineSettings, Settings

_WHOLE_FILE = 64 * 2**20


def fingerprint_parts(settings: Settings, prompt: Prompt, source_hashes: Mapping[str, str]) -> dict[str, Any]:
    """The parts, each JSON-able, by a name that a person understands."""
    parts = {
        "dataset": settings.dataset,
        "source": dict(source_hashes) | {"type": settings.source.type, "split": settings.source.split},
        "limit": settings.source.limit,
        "shard_objects": settings.run.shard_objects,
        "render": settings.render.model_dump() | {"version": RENDER_VERSION},
        "prompt": {"name": prompt.name, "sha256": prompt.sha256, "category": settings.prompt.category},
        "engine": settings.engine.name,
        "model": {"id": settings.model.id, "revision": settings.model.revision, "files": model_files(settings)},
        "sampling": settings.sampling.model_dump(),
        "checks": settings.checks.model_dump(mode="json"),
        "dedup": settings.dedup.model_dump(),
        "schema": SCHEMA_VERSION,
    }
    if settings.source.options:
        parts["source_options"] = settings.source.options
    options = deciding_options(settings.engine)
    return parts | {"engine_options": options} if options else parts


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


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: Sequence[str] = ()) -> list[str]:
    """What differs between two fingerprints' parts, as ``key: old -> new`` lines."""
    lines: list[str] = []
    for key in sorted({*old, *new}):
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += differences(before, after, (*path, key))
        elif before != after:
            lines.append(f"{'.'.join((*path, key))}: {_short(before)} -> {_short(after)}")
    return lines


def _short(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 48 else f"{text[:20]}…{text[-20:]}"
