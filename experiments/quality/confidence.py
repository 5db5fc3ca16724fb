"""How well the log-probabilities of a captioner's own words tell its wrong captions: AUROC on sample worlds.

    python -m experiments.quality.confidence FOLDER [--images 100] [--seeds 301 302 303] [--engine transformers]

A caption is right where every attribute that it says is true. AUROC is the probability that a wrong caption has less
confidence than a right one, ties counted half. The last row is over all worlds together.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.common import auroc
from capgen.dataset.reader import read_columns, read_plan
from capgen.evaluation.sample_facts import WorldFacts, right_captions
from experiments.quality.second_tries import RESULTS
from experiments.quality.worlds import caption_world, world

SCORES = ("logprob_min", "logprob_mean")
Scores = dict[str, dict[bool, list[float]]]


def scores(out: Path, facts: WorldFacts) -> Scores:
    """Each score of the kept captions of a run, apart for wrong and right ones."""
    found: Scores = {name: {True: [], False: []} for name in SCORES}
    for entry in read_plan(out).shards:
        rows = read_columns(out, entry.index, ["key", "caption", "status", *SCORES]).to_pylist()
        kept = [row for row in rows if row["status"] == "kept" and row[SCORES[0]] is not None]
        right = right_captions(((row["key"], row["caption"]) for row in kept), facts)
        for row in kept:
            for name in SCORES:
                found[name][right[row["key"]]].append(row[name])
    return found


def measured(found: Scores) -> dict[str, Any]:
    """The AUROC of each score."""
    first = found[SCORES[0]]
    told = {name: round(auroc(by[False], by[True]), 4) for name, by in found.items()}
    return {"right": len(first[True]), "wrong": len(first[False])} | told


def main() -> int:
    """Caption the worlds and save the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=100, help="of each world")
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303])
    parser.add_argument("--engine", default="transformers")
    given = parser.parse_args()
    lines: list[dict[str, Any]] = []
    every: Scores = {name: {True: [], False: []} for name in SCORES}
    more = {"dedup.enabled": False, "tries.again": [], "distinct.enabled": False}
    for seed in given.seeds:
        folder = given.folder / str(seed)
        facts = world(folder / "world", given.images, seed)
        found = scores(caption_world(folder / "world", folder / "out", given.engine, more), facts)
        for name, by in found.items():
            for is_right, values in by.items():
                every[name][is_right] += values
        lines.append({"world": seed} | measured(found))
        sys.stdout.write(json.dumps(lines[-1]) + "\n")
        sys.stdout.flush()
    lines.append({"world": "all"} | measured(every))
    sys.stdout.write(json.dumps(lines[-1]) + "\n")
    record = {"images": given.images, "engine": given.engine, "rows": lines}
    (RESULTS / "confidence.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
