"""``results.json``: everything that the plots and the page are made of, and nothing of the machine's paths."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks.common import machine
from experiments.maskcaptioner.fit import progress
from experiments.maskcaptioner.sizes import TEST_SEED, TRAIN_SEED, Size
from experiments.maskcaptioner.variants import VARIANTS, steps_of

_POINTS = 120
_CURVES = ("loss", "loss/lm", "loss/dice", "loss/bce", "loss/obj", "loss/cls")
_SCORES = ("CHOTA", "DetA", "AssA", "CapA")


def write(path: Path, body: Mapping[str, Any]) -> None:
    """Write JSON in one step."""
    part = path.with_name(path.name + ".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    part.write_text(json.dumps(body, indent=1) + "\n", encoding="utf-8")
    part.replace(path)


def header(name: str, size_name: str, size: Size, captions: Mapping[str, Any], command: str) -> dict[str, Any]:
    """What is the same for all variants."""
    return {
        "name": name,
        "size": size_name,
        "date": datetime.now(UTC).date().isoformat(),
        "command": command,
        "machine": machine() | device(),
        "settings": asdict(size),
        "world_seeds": {"train": TRAIN_SEED, "test": TEST_SEED},
        "learnt_captions": dict(captions),
    }


def device() -> dict[str, str]:
    """The GPU's name, if there is one."""
    import torch

    return {"gpu": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}


def collect(out: Path, head: Mapping[str, Any]) -> dict[str, Any]:
    """The header with the backbone's record and every measurement that is there: by variant, by seed."""
    runs: dict[str, dict[str, Any]] = {}
    for name in VARIANTS:
        for file in sorted((out / "results").glob(f"{name}-seed*.json")):
            runs.setdefault(name, {})[file.stem.removeprefix(f"{name}-seed")] = json.loads(file.read_bytes())
    trained = out / "backbone" / "backbone.json"
    backbone = {"backbone": json.loads(trained.read_bytes())} if trained.is_file() else {}
    return {**head, **backbone, "variants": runs, "unfinished": _unfinished(out, head["settings"]["steps"])}


def _unfinished(out: Path, steps: tuple[int, int]) -> dict[str, dict[str, list[int]]]:
    """Trainings that were begun: steps done and steps in all, by variant and seed."""
    begun: dict[str, dict[str, list[int]]] = {}
    for folder in sorted((out / "runs").glob("*-seed*")):
        name, _, seed = folder.name.rpartition("-seed")
        done = progress(folder, sum(steps_of(VARIANTS[name], steps)))
        if not done.finished:
            begun.setdefault(name, {})[seed] = [done.step, done.steps]
    return begun


def curves(run: Path) -> dict[str, Any]:
    """The learning curves of a training, averaged to at most so many points."""
    steps = _columns(run / "logs" / "steps.csv", _CURVES)
    scores = _columns(run / "logs" / "validation.csv", _SCORES)
    return {"steps": _thinned(steps), "validation": scores}


def _columns(path: Path, names: Sequence[str]) -> dict[str, list[float | None]]:
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if (row.get("step") or "").isdigit()]
    there = [name for name in ("step", *names) if any(row.get(name) for row in rows)]
    return {name: [float(row[name]) if row.get(name) else None for row in rows] for name in there}


def _thinned(columns: Mapping[str, Sequence[float | None]]) -> dict[str, list[float | None]]:
    width = -(-len(columns.get("step", ())) // _POINTS) or 1
    thin: dict[str, list[float | None]] = {}
    for name, values in columns.items():
        groups = [[v for v in values[i : i + width] if v is not None] for i in range(0, len(values), width)]
        thin[name] = [round(mean(group), 5) if group else None for group in groups]
    return thin


def value_at(measured: Mapping[str, Any], path: str) -> float | None:
    """A score by its dotted path, None where it was not measured."""
    value: Any = measured
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = value[key]
    return None if value is None else float(value)


def values(results: Mapping[str, Any], variant: str, path: str, *, finished: bool = True) -> list[float]:
    """A score of a variant, one a seed; of finished trainings only."""
    runs = results["variants"].get(variant, {})
    found = [value_at(run, path) for run in runs.values() if run["finished"] or not finished]
    return [value for value in found if value is not None]
