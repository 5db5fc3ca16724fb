"""What second tries do where a fifth of the answers is faulty: coverage, and the truth of what is kept.

    python -m experiments.quality.second_tries FOLDER [--images 120] [--seed 101] [--engine transformers]

Sources of faults over one sample world, each without and with second tries: ``echo`` whose answers are garbage in a
fifth of the cases, and the embedded captioner at a temperature at which about a fifth of its captions is wrong, with
the checks of the pipeline file, with ``unsure`` among those that drop, and among those that advise. Where ``unsure``
drops, what is kept without second tries are the easy objects: compare its truth with that at temperature 0.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from capgen.dataset.reader import read_columns, read_plan, released_captions
from capgen.evaluation.sample_facts import WorldFacts, right_captions
from experiments.quality.worlds import caption_world, world

RESULTS = Path(__file__).resolve().parent / "results"
HOT = 1.85
THRESHOLD = -1.0
"""Hardly a caption at temperature 0 lies below it (``capgen calibrate``): what is lost, heat has spoilt."""

STEPS = [{"temperature": 0.0, "tell": False}, {"temperature": 0.5, "tell": False}, {"temperature": 0.5, "tell": False}]
UNSURE = {"checks.options": {"unsure": {"threshold": THRESHOLD}}}
DROPS = {"checks.names": ["empty", "not_stopped", "refusal", "format", "length", "repetition", "unsure"]} | UNSURE
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "embedded at temperature 0, the usual checks": ("", {}),
    "echo, garbage_rate 0.2": ("echo", {"engine.options": {"garbage_rate": 0.2, "seed": 5}}),
    f"embedded at temperature {HOT}, the usual checks": ("", {"sampling.temperature": HOT}),
    f"embedded at temperature {HOT}, unsure drops": ("", {"sampling.temperature": HOT} | DROPS),
    f"embedded at temperature {HOT}, unsure advises": (
        "",
        {"sampling.temperature": HOT, "checks.advisory": ["unsure"]} | UNSURE,
    ),
}


def measure(out: Path, facts: WorldFacts, engine: str) -> dict[str, Any]:
    """Coverage, truth of the kept captions, and answers asked for."""
    kept = dict(released_captions(out))
    rows = [row for e in read_plan(out).shards for row in read_columns(out, e.index, ("key", "tries")).to_pylist()]
    right = right_captions(kept.items(), facts)
    return {
        "objects": len(rows),
        "answers": sum(row["tries"] for row in rows),
        "coverage": round(len(kept) / len(rows), 4),
        "right": "-" if engine == "echo" else round(sum(right.values()) / max(1, len(right)), 4),
    }


def main() -> int:
    """Run all cases and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=120)
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--engine", default="transformers", help="vllm takes temperatures up to 2 alone")
    given = parser.parse_args()
    facts = world(given.folder / "world", given.images, given.seed)
    lines = []
    for number, (case, (own, settings)) in enumerate(CASES.items()):
        engine = own or given.engine
        for steps in ([], STEPS):
            out = given.folder / f"case-{number}-{len(steps)}"
            more = {"tries.again": steps, "distinct.enabled": False, "dedup.enabled": False}
            caption_world(given.folder / "world", out, engine, settings | more)
            lines.append({"answers of": case, "second tries": bool(steps)} | measure(out, facts, engine))
            sys.stdout.write(json.dumps(lines[-1]) + "\n")
            sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    record = {"world": {"images": given.images, "seed": given.seed}, "engine": given.engine, "rows": lines}
    (RESULTS / "second_tries.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
