"""Fits the weights by which ``meta_talk`` knows talk that no phrase knows, and measures them on captions left out.

python scripts/talk_weights.py

Learns from tests/data/captions: bad captions of the kinds that are talk against good ones and such that are only of
another category. First it learns from labelled.jsonl alone and says what that catches of held_out.jsonl without the
other checks; then it learns from both and writes the table. Needs scikit-learn.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.talk import ENOUGH, SUSPICIOUS, features

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "capgen/pipeline/checks/vocabulary/talk.tsv"
TALK = {"marker_leak", "meta_talk", "refusal", "thinking", "empty"}
OTHER = {"good", "wrong_category"}
INVERSE_PENALTY = 3.0  # of the squared weights
LEAST = 0.1  # weights nearer to 0 are left out


def read(name: str) -> tuple[list[list[str]], list[bool]]:
    """The features of each caption of that file that is talk or fine, and which it is."""
    rows = [json.loads(line) for line in (ROOT / f"tests/data/captions/{name}.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if (row.get("reason") or row["label"]) in TALK | OTHER]
    said = [CheckedCaption(row["caption"], "stop", row["category"], tuple(row.get("synonyms", ()))) for row in rows]
    found = [features(one) for one in said]
    return [[*words, *map(" ".join, pairs)] for words, pairs in found], [row.get("reason") in TALK for row in rows]


def fit(captions: list[list[str]], talks: list[bool]) -> dict[str, float]:
    """The weight of each word and pair of words that two captions have, and under "" the constant."""
    from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    counter = CountVectorizer(analyzer=list, min_df=2, binary=True)
    model: Any = LogisticRegression(C=INVERSE_PENALTY, max_iter=300).fit(counter.fit_transform(captions), talks)
    weights = zip(counter.get_feature_names_out(), model.coef_[0], strict=True)
    kept = {str(words): round(float(weight), 2) for words, weight in weights if abs(weight) >= LEAST}
    return {"": round(float(model.intercept_[0]), 2)} | kept


def reads_like_talk(caption: list[str], weights: dict[str, float]) -> bool:
    """Whether the check would drop a caption with these features, by the same two limits."""
    if not any(weights.get(words, 0.0) >= SUSPICIOUS for words in caption if " " not in words):
        return False
    return weights[""] + sum(weights.get(words, 0.0) for words in caption) >= ENOUGH


def main() -> None:
    """Measure, then write the table."""
    labelled, held_out = read("labelled"), read("held_out")
    weights = fit(*labelled)
    found = [reads_like_talk(caption, weights) for caption in held_out[0]]
    caught = [one for one, talks in zip(found, held_out[1], strict=True) if talks]
    dropped = [one for one, talks in zip(found, held_out[1], strict=True) if not talks]
    sys.stdout.write(
        f"learned from labelled.jsonl, of held_out.jsonl: caught {sum(caught)} of {len(caught)} captions that talk, "
        f"dropped {sum(dropped)} of {len(dropped)} others\n"
    )
    weights = fit(labelled[0] + held_out[0], labelled[1] + held_out[1])
    lines = ["# Weights of words and pairs of words, made by scripts/talk_weights.py; the first is the constant."]
    lines += [f"{words}\t{weight}" for words, weight in sorted(weights.items())]
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")
    sys.stdout.write(f"{len(weights)} weights, {TABLE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
