"""How many bad captions the checks catch and how many good ones they keep, on the labelled captions of the tests.

    python -m benchmarks.checks.shares

All default checks, those that only advise too; ``dropping`` is the same by those that drop by themselves. The last rows
are of `wrong_category` alone: good captions under their own category, and each under two others taken at random, which
is to be caught.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.common import machine, save
from capgen.pipeline.checks.base import CheckedCaption, NamedChecks, build_checks, judge
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.settings import CheckSettings

CORPUS = Path(__file__).resolve().parent.parent.parent / "tests/data/captions"
FILES = {"all kinds": ("labelled", "held_out"), "held out": ("held_out",), "the hardest kinds": ("hard",)}
OTHERS = 2  # categories under which each caption is tried that is not about them


def captions(*names: str) -> list[dict[str, Any]]:
    """The lines of these corpora."""
    return [json.loads(line) for name in names for line in (CORPUS / f"{name}.jsonl").read_text("utf-8").splitlines()]


def said(row: dict[str, Any], category: str | None = None) -> CheckedCaption:
    """A line as the checks take it; with another category it has no synonyms."""
    names = tuple(row.get("synonyms", ())) if category is None else ()
    return CheckedCaption(row["caption"], row.get("finish_reason", "stop"), category or row.get("category"), names)


def share(flags: list[bool]) -> float:
    """How many are true."""
    return round(sum(flags) / len(flags), 4)


def corpus_row(name: str, rows: list[dict[str, Any]], every: NamedChecks, dropping: NamedChecks) -> dict[str, Any]:
    """Both shares by all checks and by those that drop."""
    found: dict[str, Any] = {"captions": name}
    for label, kind in (("bad", "caught"), ("good", "kept")):
        of_label = [said(row) for row in rows if row["label"] == label]
        found[label] = len(of_label)
        for checks, suffix in ((every, ""), (dropping, ", dropping")):
            found[kind + suffix] = share([bool(judge(checks, one)) == (label == "bad") for one in of_label])
    return found


def under_others(rows: list[dict[str, Any]]) -> Iterator[CheckedCaption]:
    """Each caption under categories that are not its own."""
    chosen, names = random.Random(0), sorted(nouns().categories)
    for row in rows:
        for category in chosen.sample(names, OTHERS):
            if category != row["category"]:
                yield said(row, category)


def main() -> None:
    """Measure, print and save."""
    before = machine()
    settings = CheckSettings()
    every, dropping = build_checks(settings.all_names, {}), build_checks(settings.names, {})
    table = [corpus_row(name, captions(*files), every, dropping) for name, files in FILES.items()]
    subject = build_checks(["wrong_category"], {})
    known = nouns().categories
    good = [row for row in captions("labelled", "held_out") if row["label"] == "good" and row.get("category") in known]
    others = list(under_others(good))
    own = share([not judge(subject, said(row)) for row in good])
    caught = share([bool(judge(subject, one)) for one in others])
    table += [
        {"captions": "under their own category", "good": len(good), "kept": own},
        {"captions": "under another category", "bad": len(others), "caught": caught},
    ]
    save("check_shares", table, "shares of captions; wrong_category alone in the last two rows", before)


if __name__ == "__main__":
    main()
