"""How well the log-probabilities of a captioner's own words tell its wrong captions: AUROC on captioned sample worlds.

``python -m experiments.quality.confidence OUT [OUT ...]`` after ``capgen run --dataset sample-images --out OUT``.
A caption is right where every attribute that it says is true. AUROC is the probability that a wrong caption has less
confidence than a right one, ties counted half.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_columns, read_plan
from capgen.evaluation.sample_facts import read_facts, right_captions

SCORES = ("logprob_min", "logprob_mean")


def auroc(wrong: Sequence[float], right: Sequence[float]) -> float:
    """The probability that a score of ``wrong`` is below one of ``right``, ties counted half."""
    low, high = np.asarray(wrong)[:, None], np.asarray(right)[None, :]
    return float(((low < high) + 0.5 * (low == high)).mean())


def measure(outs: Sequence[Path]) -> dict[str, object]:
    """AUROC of each score over the kept captions of several runs."""
    scores: dict[str, dict[bool, list[float]]] = {name: {True: [], False: []} for name in SCORES}
    for out in outs:
        facts = read_facts(RunLayout(out).world / "facts.json")
        for entry in read_plan(out).shards:
            rows = read_columns(out, entry.index, ["key", "caption", "status", *SCORES]).to_pylist()
            kept = [row for row in rows if row["status"] == "kept" and row[SCORES[0]] is not None]
            right = right_captions(((row["key"], row["caption"]) for row in kept), facts)
            for row in kept:
                for name in SCORES:
                    scores[name][right[row["key"]]].append(row[name])
    first = scores[SCORES[0]]
    found = {name: round(auroc(by[False], by[True]), 4) for name, by in scores.items()}
    return {"right": len(first[True]), "wrong": len(first[False]), "auroc": found}


def main() -> int:
    """Print the measurement as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", nargs="+", type=Path)
    sys.stdout.write(json.dumps(measure(parser.parse_args().out), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
