"""How well a judge tells true captions from swapped and changed ones, on sample worlds that nothing was trained on.

    python -m benchmarks.releasing.judge [--images 60] [--seeds 990001 990011 990012 990013 ...]
    python -m benchmarks.releasing.judge --method yes_no --model FOLDER
    python -m benchmarks.releasing.judge --name judge_told --set 'tries.again=[{tell=false, category=true}]'

The embedded captioner captions the worlds through vLLM. Then a judge scores, through vLLM too: these captions, the same
with a fifth of them swapped within their pictures, the world's true sentences, and these with one attribute changed.
``fit`` scores the captioner's own captions a second time without being told the objects' categories.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from rich.console import Console

from benchmarks.common import auroc, machine, save
from capgen.ablation.engine import SharedDevices, SharedEngine
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_plan, read_rows
from capgen.dataset.shards import candidates_path
from capgen.evaluation.sample_facts import read_facts, right_captions
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeRules, JudgeSummary
from capgen.pipeline.judging.scores import THRESHOLD
from capgen.pipeline.planning.config import load_settings, with_model
from capgen.pipeline.running.session import RunRequest, run_session
from capgen.pipeline.settings import Settings
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
FALSE = 0.02
"""Share of the true captions that may be refused."""
KEPT = 0.93
"""Share of the objects that the strictest threshold of the last row keeps."""
UNTOLD = "own, category not told"
SEEDS = [990_001, 990_011, 990_012, 990_013, 992_201, 992_202, 992_203]
"""Of worlds that neither the captioner, nor a score, nor a threshold was made with."""


Key = tuple[int, str]
"""The seed of a world and the key of an object."""


@dataclass(slots=True)
class World:
    """A captioned world, and what is judged about it.

    Args:
        sentences: by what they are, by key.
        right: whether the captioner's own captions are.
        swapped: keys of swapped captions.
        attributes: which attribute of a true sentence was changed, by key.
        scores: by what was judged, by key.
    """

    seed: int
    out: Path
    settings: Settings
    sentences: dict[str, dict[str, str]]
    right: dict[str, bool]
    swapped: set[str]
    attributes: dict[str, str]
    scores: dict[str, dict[str, float | None]] = field(default_factory=dict)


def main() -> None:
    """Caption, judge, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60, help="of each world")
    parser.add_argument("--kind", choices=("images", "videos"), default="images", help="of which --images are drawn")
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--method", choices=("fit", "yes_no"), default="fit")
    parser.add_argument("--model", default="embedded", help="that judges: a folder, or embedded")
    parser.add_argument("--set", dest="changes", action="append", default=[], help="of the run that captions")
    parser.add_argument("--name", help="of the file of results; default: judge, or judge_yes_no")
    arguments = parser.parse_args()
    before, rows = machine(), []
    engine = SharedEngine()
    with tempfile.TemporaryDirectory() as folder, closing(_Finished(engine)):
        worlds = [
            captioned(Path(folder, str(seed)), seed, arguments.images, engine, arguments.changes, arguments.kind)
            for seed in arguments.seeds
        ]
        for world in worlds:
            rows += judged(world, engine, arguments.method, arguments.model)
    rows += [row for world in worlds for row in goals([world])] if len(worlds) > 1 else []
    rows += goals(worlds)
    note = (
        f"Method {arguments.method}, judge {arguments.model}, threshold {THRESHOLD:g}; "
        f"{arguments.images} {arguments.kind} a world, seeds {', '.join(map(str, arguments.seeds))}. "
        f"Goals: swapped caught >= .97 at <= .02 false alarms, AUROC of one changed attribute >= .95, "
        f"kept captions right in every word >= .975 with >= {KEPT} kept."
    )
    note += f" The run that captioned: {', '.join(arguments.changes)}." if arguments.changes else ""
    usual = "judge" if arguments.method == "fit" else f"judge_{arguments.method}"
    save(arguments.name or usual, rows, note, before)


@dataclass(frozen=True, slots=True)
class _Finished:
    engine: SharedEngine

    def close(self) -> None:
        self.engine.finish()


def captioned(
    folder: Path, seed: int, images: int, engine: SharedEngine, changes: Sequence[str] = (), kind: str = "images"
) -> World:
    """A world with the embedded captioner's captions, and sentences made from them and from the facts.

    Args:
        changes: assignments to the settings of the run.
        kind: what ``images`` are: ``images`` or ``videos``.
    """
    draw = random.Random(seed)
    of_images = kind == "images"
    write_world(folder / "world", images=images * of_images, videos=images * (not of_images), seed=seed)
    flags = {"source.root": folder / "world" / ("lvis" if of_images else "lv-vis"), "model.id": str(model_dir())}
    settings = load_settings(f"sample-{kind}", flags, changes)
    wanted = RunRequest(folder / "out", ModelName("embedded"), SharedDevices(ray=False, engine=engine))
    run_session(settings, wanted, Console(file=io.StringIO()))
    own = captions(folder / "out")
    facts = json.loads((folder / "world/facts.json").read_text())["objects"]
    swapped = swap(own, draw)
    true, changed, attributes = change({key: facts[key] for key in own}, draw)
    return World(
        seed,
        folder / "out",
        settings,
        {"own": own, "with swaps": own | swapped, "true": true, "changed": changed},
        right_captions(own.items(), read_facts(folder / "world/facts.json")),
        set(swapped),
        attributes,
    )


def judged(world: World, engine: SharedEngine, method: Any, model: str) -> list[dict[str, Any]]:
    """Judge a world's sentences; what each of them cost."""
    settings, rows = with_model(world.settings, str(model_dir()) if model == "embedded" else model), []
    sets = world.sentences | ({UNTOLD: world.sentences["own"]} if method == "fit" else {})
    for name, sentences in sets.items():
        begun = time.perf_counter()
        table = world.out.parent / f"{name}.parquet"
        running = engine.running(settings, 0)
        rules = JudgeRules(method=method, category=name != UNTOLD)
        summary = judge_run(world.out, settings, rules, sentences=sentences, table=table, running=running)
        rows.append(cost(world, name, summary, time.perf_counter() - begun))
        world.scores[name] = {row["key"]: row["score"] for row in pq.read_table(table).to_pylist()}
    return rows


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


def cost(world: World, name: str, summary: JudgeSummary, seconds: float) -> dict[str, Any]:
    """A row on one table."""
    told = summary.as_json()
    return {
        "world": world.seed,
        "what": f"judged: {name}",
        "captions": told["judged"],
        "value": told["right_share"],
        "unknown": told["unknown"],
        "tokens_a_caption": told["tokens_a_caption"],
        "seconds": round(seconds, 1),
    }


def goals(worlds: list[World]) -> list[dict[str, Any]]:
    """The rows that the goals are about, over some worlds together."""
    of = _scores(worlds)
    where = worlds[0].seed if len(worlds) == 1 else "all"
    swapped = [(w.seed, key) for w in worlds for key in w.swapped]
    right = {(w.seed, key): value for w in worlds for key, value in w.right.items()}
    attributes = {(w.seed, key): name for w in worlds for key, name in w.attributes.items()}
    honest = [key for key in of["with swaps"] if key not in set(swapped) and right.get(key)]
    caught = [of["with swaps"][key] < THRESHOLD for key in swapped]
    false = [of["with swaps"][key] < THRESHOLD for key in honest]
    level = float(np.quantile([of["with swaps"][key] for key in honest], FALSE))
    at_level = [of["with swaps"][key] < level for key in swapped]
    rows: list[dict[str, Any]] = [
        {"what": "swapped captions caught", "captions": len(swapped), "value": float(np.mean(caught)), "goal": 0.97},
        {"what": "true captions refused", "captions": len(honest), "value": float(np.mean(false)), "goal": FALSE},
        {
            "what": f"swapped caught where {FALSE:g} of the true are refused (threshold {level:.3f})",
            "captions": len(swapped),
            "value": float(np.mean(at_level)),
            "goal": 0.97,
        },
    ]
    for name in ("any", *sorted(WORDS)):
        keys = [key for key, attribute in attributes.items() if name in ("any", attribute)]
        value = auroc([of["changed"][key] for key in keys], [of["true"][key] for key in keys])
        rows.append({"what": f"AUROC, {name} changed", "captions": len(keys), "value": value, "goal": 0.95})
    for name in (UNTOLD, "own"):
        if name in of:
            rows += of_own_captions(name, of[name], right)
    return [{"world": where} | row for row in rows]


def of_own_captions(name: str, own: dict[Key, float], right: dict[Key, bool]) -> list[dict[str, Any]]:
    """How well scores tell the captioner's own right captions from its wrong ones, and what is left of them."""
    good, bad = ([own[key] for key in own if right.get(key, False) is is_right] for is_right in (True, False))
    ranked = sorted(own, key=lambda key: own[key])
    at_share = ranked[int((1 - KEPT) * len(ranked)) :]
    at_default = [key for key in own if own[key] >= THRESHOLD]
    rows = [
        {"what": f"{name}: AUROC of the wrong in a word", "captions": len(bad), "value": auroc(bad, good)},
        {"what": f"{name}: right, all kept", "captions": len(own), "value": len(good) / len(own)},
    ]
    for kept, threshold in ((at_default, THRESHOLD), (at_share, own[at_share[0]])):
        share = len(kept) / len(own)
        row = {
            "what": f"{name}: right, {share:.3f} kept (threshold {threshold:.3f})",
            "captions": len(kept),
            "value": float(np.mean([right.get(key, False) for key in kept])),
        }
        rows.append(row if kept is at_default else row | {"goal": 0.975})
    return rows


def _scores(worlds: list[World]) -> dict[str, dict[Key, float]]:
    """By what was judged and by world and key; a sentence without a score counts as the worst."""
    found: dict[str, dict[Key, float]] = {}
    for world in worlds:
        for name, scores in world.scores.items():
            known = {(world.seed, key): -np.inf if value is None else value for key, value in scores.items()}
            found.setdefault(name, {}).update(known)
    return found


if __name__ == "__main__":
    main()
