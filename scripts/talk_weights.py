"""Fits the weights by which checks know talk of marks, pictures and tasks that no phrase knows, and measures them.

python scripts/talk_weights.py [MORE.jsonl ...]

Learns from tests/data/captions (wording.jsonl has good captions with a clause of talk or of the object added, to learn
from alone) and the files that are named: bad captions of the kinds that are talk against good ones
and such that are only of another category. First it learns from all files but one, for held_out.jsonl, hard.jsonl and
each named file, and says what that catches of this one without the phrases; then it learns from all and writes the
table. Needs scikit-learn.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.vocabulary.plain_form import plain
from capgen.pipeline.checks.wording.classes import CLASSES, HOT, readable
from capgen.pipeline.checks.wording.net import ENOUGH, TABLE, allowance, features, stem

ROOT = Path(__file__).resolve().parent.parent
TALK = {"marker_leak", "meta_talk", "refusal", "thinking", "empty", "not_visible", "prompt_echo"}
OTHER = {"good", "wrong_category"}
INVERSE_PENALTY = 2.0  # of the squared weights
LEAST = 0.02  # weights nearer to 0 are left out
FEW = 2  # captions that must have what gets a weight
USUAL = 0.005  # share of good captions; a word in more of them has to be more telling
MOST = 0.02  # a word in more good captions than that makes none suspicious
TELLING = 1.0  # how often a word has to be in talk for once in a good caption to make one suspicious; the same for
CLASSED = 0.4  # a word of a class, and
USUAL_CLASSED = 0.62  # a usual one
HEAVY_STEM = 0.3  # the least weight of a telling word of no class


class Rows(NamedTuple):
    """Captions that are talk or fine: words, features, why each is dropped, and what a long one may weigh more."""

    words: list[frozenset[str]]
    found: list[Counter[str]]
    reasons: list[str]
    allowances: list[int]


def joined(parts: Iterable[Rows]) -> Rows:
    """All rows in one."""
    found = Rows([], [], [], [])
    for part in parts:
        found.words.extend(part.words)
        found.found.extend(part.found)
        found.reasons.extend(part.reasons)
        found.allowances.extend(part.allowances)
    return found


def read(file: Path) -> Rows:
    """The captions of that file that are talk or fine; keys are told from stems by a blank at their start."""
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    rows = [row for row in rows if _reason(row) in TALK | OTHER]
    said = [CheckedCaption(row["caption"], "stop", row["category"], tuple(row.get("synonyms", ()))) for row in rows]
    found = []
    for one in said:
        stems, keys = features(one)
        found.append(Counter([*stems, *(f" {key}" for key in keys)]))
    return Rows(
        [plain(one.caption).words for one in said], found, [_reason(row) for row in rows], list(map(allowance, said))
    )


def _reason(row: dict[str, Any]) -> str:
    return "good" if row["label"] == "good" else row.get("reason") or row["kind"]


def fit(found: list[Counter[str]], wanted: list[bool]) -> dict[str, float]:
    """The weight of each feature that some captions have, and under "" the constant."""
    from sklearn.feature_extraction.text import CountVectorizer  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]

    counter = CountVectorizer(analyzer=lambda one: list(one.elements()), min_df=FEW)
    model: Any = LogisticRegression(C=INVERSE_PENALTY, max_iter=300, solver="liblinear")
    model.fit(counter.fit_transform(found), wanted)
    weights = zip(counter.get_feature_names_out(), model.coef_[0], strict=True)
    return {"": float(model.intercept_[0])} | {str(key): float(weight) for key, weight in weights}


def triggers(rows: Rows, weights: dict[str, float]) -> frozenset[str]:
    """Words one of which a caption must have to be weighed: of a class and rare in good captions, or telling."""
    talks = [reason in TALK for reason in rows.reasons]
    bad = Counter(word for words, is_bad in zip(rows.words, talks, strict=True) if is_bad for word in words)
    good = Counter(word for words, is_bad in zip(rows.words, talks, strict=True) if not is_bad for word in words)
    classed = {word for letter in HOT for word in CLASSES.get(letter, "").split()}
    known = {word for word, count in bad.items() if count >= FEW and weights.get(stem(word), 0.0) >= HEAVY_STEM}
    many = len(talks) - sum(talks)

    def least(word: str) -> float:
        if word not in classed:
            return TELLING
        return CLASSED if good[word] <= USUAL * many else USUAL_CLASSED

    return frozenset(
        word
        for word in classed | known
        if good[word] <= (MOST if word in classed else USUAL) * many and bad[word] >= least(word) * (good[word] - 1)
    )


def total(found: Counter[str], weights: dict[str, float]) -> float:
    """What a caption with these features weighs."""
    return weights[""] + sum(weights.get(key, 0.0) * count for key, count in found.items())


def table(rows: Rows) -> list[str]:
    """The lines of the table: weights for talk against the rest, and for talk of marks against other talk."""
    talks = [reason in TALK for reason in rows.reasons]
    weights = fit(rows.found, talks)
    bad = [(one, reason) for one, reason in zip(rows.found, rows.reasons, strict=True) if reason in TALK]
    lean = fit([one for one, _ in bad], [reason == "marker_leak" for _, reason in bad])
    lines = [
        "# Weights for talk, and for talk of marks among it; made by scripts/talk_weights.py.",
        f"trigger\t{' '.join(sorted(triggers(rows, weights)))}",
        f"constant\t\t{weights.pop(''):.2f}\t{lean.pop(''):.2f}",
    ]
    for key, weight in sorted(weights.items()):
        if abs(weight) < LEAST and abs(lean.get(key, 0.0)) < LEAST:
            continue
        numbers = f"{weight:.2f}\t{lean.get(key, 0.0):.2f}"
        if key.startswith(" "):
            tag = key[1 : _tag_length(key)]
            lines.append(f"{tag}\t{readable(key[len(tag) + 1 :])}\t{numbers}")
        else:
            lines.append(f"stem\t{key}\t{numbers}")
    return lines


def _tag_length(key: str) -> int:
    """Where the codes of a key begin: behind its letter, numbers and small letters for places and kinds."""
    kind = key[1]
    if kind == "g":
        return 3 if key[2] in "nfpou" else 2
    return {"s": 2, "b": 4, "k": 5}.get(kind) or next(
        place for place in range(2, len(key)) if not (key[place].isdigit() or key[place] in "fml")
    )


def measure(known: Rows, unseen: Rows) -> str:
    """What weights learned from ``known`` do with captions they have not seen."""
    weights = fit(known.found, [reason in TALK for reason in known.reasons])
    suspicious = triggers(known, weights)
    dropped = [
        100 * total(one, weights) >= ENOUGH + more and not suspicious.isdisjoint(words)
        for one, words, more in zip(unseen.found, unseen.words, unseen.allowances, strict=True)
    ]
    caught = [one for one, reason in zip(dropped, unseen.reasons, strict=True) if reason in TALK]
    lost = [one for one, reason in zip(dropped, unseen.reasons, strict=True) if reason == "good"]
    return f"caught {sum(caught)} of {len(caught)} captions that talk, dropped {sum(lost)} of {len(lost)} good ones"


def main() -> None:
    """Measure, then write the table."""
    folder = ROOT / "tests/data/captions"
    files = [folder / "held_out.jsonl", folder / "hard.jsonl", *map(Path, sys.argv[1:])]
    known = {file: read(file) for file in files}
    labelled = joined([read(folder / f"{name}.jsonl") for name in ("labelled", "wording")])
    for file in files:
        others = joined([labelled, *(rows for name, rows in known.items() if name != file)])
        sys.stdout.write(f"{file.name}, learned from all others: {measure(others, known[file])}\n")
    lines = table(joined([labelled, *known.values()]))
    TABLE.write_text("\n".join(lines) + "\n", "utf-8")
    sys.stdout.write(f"{len(lines)} weights, {TABLE.stat().st_size / 1024:.0f} KiB\n")


if __name__ == "__main__":
    main()
