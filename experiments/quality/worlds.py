"""Runs of capgen over a sample world, in this process, for measurements."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from capgen.dataset.plan import ModelName
from capgen.evaluation.sample_facts import WorldFacts, read_facts
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.session import Devices, RunRequest, run_session
from capgen.sample.embedded_model import model_dir
from capgen.sample.write import write_world


def world(folder: Path, images: int, seed: int) -> WorldFacts:
    """The facts of a sample world of images, which is written unless it is there."""
    if not (folder / "facts.json").is_file():
        write_world(folder, images=images, videos=0, seed=seed)
    return read_facts(folder / "facts.json")


def caption_world(folder: Path, out: Path, engine: str, settings: Mapping[str, Any]) -> Path:
    """Caption the images of a world without Ray; goes on where an earlier call was stopped."""
    flags = {"source.root": folder / "lvis", "engine.name": engine, "model.id": str(model_dir())}
    loaded = load_settings("sample-images", flags | dict(settings))
    name = ModelName("echo" if engine == "echo" else "embedded", None)
    return run_session(loaded, RunRequest(out, name, Devices(ray=False)), Console(file=io.StringIO()))[0]
