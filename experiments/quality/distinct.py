"""How often two objects of one category in one image that truly differ are left with one caption.

    python -m experiments.quality.distinct FOLDER [--images 300] [--seed 202] [--engine transformers]

One sample world, in which twins that differ in a single attribute exist by design, is captioned without and with
``distinct``, at temperature 0 and at one at which the embedded captioner takes twins for each other. Counted are pairs
of one category in one image whose facts differ in colour, texture, size or motion and that both have a caption in
``captions``.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import defaultdict
from collections.abc import Mapping
from itertools import combinations, product
from pathlib import Path
from typing import Any

from capgen.dataset.reader import read_columns, read_plan, released_captions
from capgen.evaluation.sample_facts import WorldFacts, right_captions
from capgen.text import word_bag
from experiments.quality.second_tries import RESULTS
from experiments.quality.worlds import caption_world, world

HOT = 2.0
STEPS = [{"temperature": 0.0, "tell": False}, {"temperature": 0.7, "tell": False}, {"temperature": 1.0, "tell": False}]


def pairs(facts: WorldFacts) -> list[tuple[str, str]]:
    """Keys of all pairs of one category in one image whose facts differ."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key, fact in facts.objects.items():
        groups[key.rpartition("/")[0], fact.category].append(key)
    found = [pair for group in groups.values() for pair in combinations(group, 2)]
    return [(a, b) for a, b in found if _attributes(facts, a) != _attributes(facts, b)]


def _attributes(facts: WorldFacts, key: str) -> tuple[str | None, ...]:
    fact = facts.objects[key]
    return fact.colour, fact.texture, fact.size, fact.motion


def count(captions: Mapping[str, str], differing: list[tuple[str, str]]) -> dict[str, Any]:
    """Of the pairs that truly differ, those with two captions, and those of them with one."""
    both = [(a, b) for a, b in differing if a in captions and b in captions]
    same = sum(word_bag(captions[a]) == word_bag(captions[b]) for a, b in both)
    return {"pairs": len(both), "one caption": same, "share": round(same / max(1, len(both)), 5)}


def measure(out: Path, facts: WorldFacts, differing: list[tuple[str, str]]) -> dict[str, Any]:
    """The pairs with one caption, the captions marked, and the truth of what is released."""
    released = dict(released_captions(out))
    columns = ("key", "reasons", "tries", "answers")
    rows = [row for e in read_plan(out).shards for row in read_columns(out, e.index, columns).to_pylist()]
    right = right_captions(released.items(), facts)
    return {
        **count(released, differing),
        "asked again": sum(row["tries"] > 1 for row in rows),
        "not_distinct": sum("not_distinct" in row["reasons"] for row in rows),
        "coverage": round(len(released) / len(rows), 4),
        "right": round(sum(right.values()) / len(right), 4),
    }


def main() -> int:
    """Caption the world twice and save the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--images", type=int, default=300)
    parser.add_argument("--seed", type=int, default=202)
    parser.add_argument("--engine", default="transformers")
    given = parser.parse_args()
    facts = world(given.folder / "world", given.images, given.seed)
    differing, lines = pairs(facts), []
    for heat, enabled in product((0.0, HOT), (False, True)):
        more = {"distinct.enabled": enabled, "distinct.again": STEPS, "dedup.enabled": False, "tries.again": []}
        out = given.folder / f"distinct-{enabled}-{heat:g}"
        caption_world(given.folder / "world", out, given.engine, more | {"sampling.temperature": heat})
        line = {"temperature": heat, "distinct": enabled, "pairs that differ": len(differing)}
        lines.append(line | measure(out, facts, differing))
        sys.stdout.write(json.dumps(lines[-1]) + "\n")
        sys.stdout.flush()
    RESULTS.mkdir(exist_ok=True)
    record = {"world": {"images": given.images, "seed": given.seed}, "engine": given.engine, "rows": lines}
    (RESULTS / "distinct.json").write_text(json.dumps(record, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
