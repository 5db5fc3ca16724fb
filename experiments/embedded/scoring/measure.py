"""Measure the embedded captioner through the whole pipeline: `capgen sample`, `capgen run`, `capgen score`.

::

    python -m experiments.embedded.scoring.measure [--images 900] [--videos 250] [--seed 920000]

Each kind is asked three ways: as the sample pipelines ask (category untold), with the category told, and with mark,
close-up and place removed; the last is set against chance, which is what naming any object of the scene would score.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Any

from capgen.dataset.layout import RunLayout
from experiments.embedded.config import HERE

RESULTS = HERE / "results"
ATTRIBUTES = ("category", "colour", "texture", "size", "motion")
WAYS = {
    "as the pipeline asks": (),
    "category told": ("prompt.category=true",),
    "no mark, no close-up": (f"prompt.name={HERE / 'unmarked.toml'}",),
}


def capgen(*arguments: str | Path) -> str:
    """What a capgen command prints."""
    command = [sys.executable, "-m", "capgen.cli", *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def measured(world: Path, kind: str, out: Path, assignments: tuple[str, ...]) -> dict[str, Any]:
    """The score and the report of one run."""
    flags = [flag for assignment in assignments for flag in ("--set", assignment)]
    # one object's caption may rightly be another's: dedup would hide it from the count
    flags += ["--set", "dedup.enabled=false"]
    capgen("run", "--dataset", f"sample-{kind}", "--root", world, "--gpus", "0", "--out", out, *flags)
    score = json.loads(capgen("score", out, "--facts", world / "facts.json", "--json"))
    report = json.loads(RunLayout(out).report_json.read_text())
    ledger = json.loads(capgen("verify", out, "--json"))
    return {"score": score, "report": report, "ledger": ledger}


def chance(facts: dict[str, Any], kind: str) -> dict[str, float]:
    """What naming an object of the scene at random is right about, by attribute."""
    scenes: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for key, fact in facts["objects"].items():
        if key.startswith("lvis/" if kind == "images" else "lv-vis/"):
            scenes[key.rsplit("/", 1)[0]].append(fact)
    right: dict[str, list[float]] = defaultdict(list)
    for scene in scenes.values():
        for fact in scene:
            for name in ATTRIBUTES:
                if fact[name] is not None:
                    right[name].append(sum(fact[name] == other[name] for other in scene) / len(scene))
    return {name: round(sum(values) / len(values), 4) for name, values in right.items() if values}


def main() -> None:
    """Measure, and write results/measure.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=900)
    parser.add_argument("--videos", type=int, default=250)
    parser.add_argument("--seed", type=int, default=920_000)
    options = parser.parse_args()
    found: dict[str, Any] = {"seed": options.seed, "images": {}, "videos": {}}
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder) / "world"
        numbers = ("--images", str(options.images), "--videos", str(options.videos), "--seed", str(options.seed))
        capgen("sample", world, *numbers)
        facts = json.loads((world / "facts.json").read_text())
        for kind in ("images", "videos"):
            for number, (way, assignments) in enumerate(WAYS.items()):
                made = measured(world, kind, Path(folder) / f"{kind}{number}", assignments)
                found[kind][way] = made
                rates = {name: made["score"][name]["rate"] for name in ATTRIBUTES}
                print(kind, way, rates, f"{made['report']['requests_per_s']}/s", flush=True)
            found[kind]["chance"] = chance(facts, kind)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "measure.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
