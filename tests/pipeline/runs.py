"""What the tests of a run share: settings over a tiny dataset, a session without Ray, and a release's bytes."""

from __future__ import annotations

import io
import json
from pathlib import Path

from rich.console import Console

from capgen.dataset.plan import ModelName
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.session import Devices, RunRequest, run_session


def echo_settings(root: Path, *assignments: str, dataset: str = "lvis"):
    flags = {"source.root": root, "engine.name": "echo", "model.id": "none", "run.shard_objects": 5}
    return load_settings(dataset, flags, assignments)


def asked_once(root: Path, *assignments: str):
    """As ``echo_settings``, without second tries: what a check drops stays dropped."""
    return echo_settings(root, "tries.again=[]", *assignments)


def session(settings, out: Path, devices: Devices | None = None, **wanted):
    """Run to the end; OUT and the report."""
    engine = settings.engine.name
    name = ModelName("none" if getattr(ENGINES.load(engine), "needs_model", True) else engine, None)
    console = Console(file=io.StringIO())
    return run_session(settings, RunRequest(out, name, devices or Devices(ray=False), **wanted), console)


def released(out: Path) -> dict[str, bytes]:
    """Every released file and every shard's Parquet, by name."""
    files = [
        *sorted((out / "data").rglob("*.parquet")),
        *sorted((out / "candidates").glob("*.parquet")),
        out / "README.md",
    ]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def manifests(out: Path) -> list[dict]:
    return [json.loads(file.read_text()) for file in sorted((out / "candidates").glob("*.json"))]
