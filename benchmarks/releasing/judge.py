"""How well `fit` tells true captions from swapped and changed ones, on a sample world that nothing was trained on.

    python -m benchmarks.releasing.judge [--images 60] [--seed 990001]

The embedded captioner captions the world through vLLM and then judges, in the same engine's kind: its own captions, the
same with a fifth of them swapped within their pictures, and the world's true sentences with one attribute changed.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.common import machine, save
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_plan, read_rows
from capgen.dataset.shards import candidates_path
from capgen.evaluation.sample_facts import read_facts, right_captions
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeRules, JudgeSummary
from capgen.pipeline.judging.scores import THRESHOLD
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.session import Devices, RunRequest, run_session
from capgen.sample.embedded_model import model_dir
from capgen.sample.words import CATEGORIES, COLOURS, SIZES, TEXTURES
from capgen.sample.words import caption as sentence
from capgen.sample.write import write_world

WORDS = {
    "category": [one.name for one in CATEGORIES],
    "colour": [one.name for one in COLOURS],
    "texture": [one.name for one in TEXTURES],
    "size": [one.name for one in SIZES],
}
KEPT = 0.93
"""Share of the objects that the strictest threshold of the last row keeps."""


def main() -> None:
    """Caption, judge three times, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--seed", type=int, default=990_001)
    arguments = parser.parse_args()
    before, draw = machine(), random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        world, out = Path(folder, "world"), Path(folder, "out")
        write_world(world, images=arguments.images, videos=0, seed=arguments.seed)
        flags = {"source.root": world / "lvis", "model.id": str(model_dir())}
        settings = load_settings("sample-images", flags)
        run_session(settings, RunRequest(out, ModelName("embedded"), Devices(ray=False)), Console(file=io.StringIO()))
        own = captions(out)
        facts = json.loads((world / "facts.json").read_text())["objects"]
        right = right_captions(own.items(), read_facts(world / "facts.json"))
        swapped = swap(own, draw)
        true, changed, attributes = change({key: facts[key] for key in own}, draw)
        runs = {"own": own, "with swaps": own | swapped, "true": true, "changed": changed}
        scores, rows = {}, []
        for name, sentences in runs.items():
            begun = time.perf_counter()
            table = Path(folder, f"{name}.parquet")
            summary = judge_run(out, settings, JudgeRules(), sentences=sentences, table=table)
            rows.append(cost(name, summary, time.perf_counter() - begun))
            scores[name] = {row["key"]: row["score"] for row in pq.read_table(table).to_pylist()}
    goals(scores, own, swapped, right, attributes, rows)
    note = (
        f"Seed {arguments.seed}, {len(own)} objects, {len(swapped)} captions swapped. Default threshold "
        f"{THRESHOLD:.3f}. Goals: swapped caught >= .97 at <= .02 false alarms, AUROC of one changed attribute >= .95, "
        f"kept captions right in every word >= .975 with >= {KEPT} kept."
    )
    save("judge", rows, note, before)


def captions(out: Path) -> dict[str, str]:
    """The kept captions of a run by key."""
    rows = (row for entry in read_plan(out).shards for row in read_rows(candidates_path(out, entry.index)))
    return {row.key: row.caption for row in rows if row.status == "kept" and row.caption}


def swap(own: dict[str, str], draw: random.Random) -> dict[str, str]:
    """A fifth of the captions, each another object's of its picture that says something else."""
    scenes: dict[str, list[str]] = {}
    for key in own:
        scenes.setdefault(key.rpartition("/")[0], []).append(key)
    found: dict[str, str] = {}
    for key in draw.sample(sorted(own), len(own)):
        others = [other for other in scenes[key.rpartition("/")[0]] if own[other] != own[key]]
        if others and len(found) < len(own) // 5:
            found[key] = own[draw.choice(others)]
    return found


def change(facts: dict[str, Any], draw: random.Random) -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """By key the true sentence, the same with one attribute changed, and which that is."""
    true, changed, attributes = {}, {}, {}
    for key, fact in facts.items():
        attributes[key] = name = draw.choice(sorted(WORDS))
        another = draw.choice([word for word in WORDS[name] if word != fact[name]])
        plain = {"motion": None} | fact
        true[key] = sentence(SimpleNamespace(**plain))
        changed[key] = sentence(SimpleNamespace(**(plain | {name: another})))
    return true, changed, attributes


def cost(name: str, summary: JudgeSummary, seconds: float) -> dict[str, Any]:
    """A row on one table."""
    told = summary.as_json()
    return {
        "what": f"judged: {name}",
        "captions": told["judged"],
        "value": told["right_share"],
        "tokens_a_caption": told["tokens_a_caption"],
        "seconds": round(seconds, 1),
    }


def goals(
    scores: dict[str, dict[str, float]],
    own: dict[str, str],
    swapped: dict[str, str],
    right: dict[str, bool],
    attributes: dict[str, str],
    rows: list[dict[str, Any]],
) -> None:
    """The rows that the goals are about."""
    mixed = scores["with swaps"]
    honest = [key for key in own if key not in swapped and right.get(key)]
    caught = np.mean([mixed[key] < THRESHOLD for key in swapped])
    false = np.mean([mixed[key] < THRESHOLD for key in honest])
    rows += [
        {"what": "swapped captions caught", "captions": len(swapped), "value": float(caught), "goal": 0.97},
        {"what": "true captions refused", "captions": len(honest), "value": float(false), "goal": 0.02},
    ]
    for name in ("any", *sorted(WORDS)):
        keys = [key for key, attribute in attributes.items() if name in ("any", attribute)]
        a, b = (np.array([scores[which][key] for key in keys]) for which in ("true", "changed"))
        value = np.mean((a[:, None] > b[None]) + 0.5 * (a[:, None] == b[None]))
        rows.append({"what": f"AUROC, {name} changed", "captions": len(keys), "value": float(value), "goal": 0.95})
    ranked = sorted(own, key=lambda key: scores["own"][key])
    kept = ranked[int((1 - KEPT) * len(ranked)) :]
    everything = float(np.mean([right.get(key, False) for key in own]))
    rows += [
        {"what": "right, all kept", "captions": len(own), "value": everything},
        {
            "what": f"right, {len(kept) / len(own):.3f} kept (threshold {scores['own'][kept[0]]:.3f})",
            "captions": len(kept),
            "value": float(np.mean([right.get(key, False) for key in kept])),
            "goal": 0.975,
        },
    ]


if __name__ == "__main__":
    main()
