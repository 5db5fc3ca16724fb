"""Counts of a release's quality, taken while it is packed, in memory that grows with codes, not with objects."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from capgen.dataset.stats import NOT_DISTINCT, RowOutcome
from capgen.text import tidy, word_bag

BINS = 10
COLUMNS = (
    *("key", "media_id", "category", "caption", "reasons", "message", "advice", "tries", "logprob_min", "answers"),
    "fits",
)
"""The columns of the candidates that are counted."""

_SHOWN = 160  # characters of an example
_EXAMPLES = 3
_SUMS = (
    *("answers", "asked_again", "mended", "asked_to_differ", "differing", "neighbours", "alike", "no_confidence"),
    *("scored", "unscored", "preferring", "still_preferring"),
)
CONTRASTS = (0.0, 1.0, 3.0, 10.0)
"""Between which the contrasts of captions are counted."""


@dataclass(slots=True)
class CodeCount:
    """How many objects have a code, and the first of them: the key, and the caption or what is said of it."""

    objects: int = 0
    examples: list[tuple[str, str]] = field(default_factory=list)

    def add(self, key: str, caption: str | None, message: str | None) -> None:
        """Count one."""
        if self.objects < _EXAMPLES:
            said = tidy(caption or "")
            self.examples.append((key, (said if len(said) <= _SHOWN else f"{said[: _SHOWN - 1]}…") or message or ""))
        self.objects += 1

    @property
    def key(self) -> str:
        """The key of the first; empty where there is none."""
        return self.examples[0][0] if self.examples else ""

    @property
    def example(self) -> str:
        """The caption of the first, or what is said of it; empty where there is none."""
        return self.examples[0][1] if self.examples else ""


@dataclass(slots=True)
class QualityCounts:
    """What is counted.

    Args:
        dropped: by code, of the objects that have it among their reasons.
        advised: by code, of released captions that a check only advises against.
        answers: that were asked for, over all objects.
        asked_again: objects asked again because a check refused their first answer; ``mended``: those of them that are
            released.
        asked_to_differ: objects asked again because a neighbour had the same caption; ``differing``: those of them that
            were given another caption.
        neighbours: objects with a caption that have another one of their category in their image or video; ``alike``:
            those whose caption has the words of such a neighbour's.
        confidence: released captions by the probability of their least probable content word, in tenths;
            ``no_confidence``: those for which it is not known.
        scored: objects whose caption was held against the pictures of neighbours; ``unscored``: for which that gave
            nothing; ``preferring``: whose first caption was more probable for a neighbour; ``still_preferring``: whose
            last one is.
        contrasts: the last captions by how many of ``CONTRASTS`` their contrast reaches.
    """

    dropped: dict[str, CodeCount] = field(default_factory=lambda: defaultdict(CodeCount))
    advised: dict[str, CodeCount] = field(default_factory=lambda: defaultdict(CodeCount))
    answers: int = 0
    asked_again: int = 0
    mended: int = 0
    asked_to_differ: int = 0
    differing: int = 0
    neighbours: int = 0
    alike: int = 0
    confidence: Counter[int] = field(default_factory=Counter)
    no_confidence: int = 0
    scored: int = 0
    unscored: int = 0
    preferring: int = 0
    still_preferring: int = 0
    contrasts: Counter[int] = field(default_factory=Counter)

    def add(self, rows: Iterable[Mapping[str, Any]], outcomes: Sequence[RowOutcome]) -> None:
        """Count the rows of a shard, in the order of their outcomes."""
        groups: dict[tuple[str, str | None], list[str]] = defaultdict(list)
        for row, outcome in zip(rows, outcomes, strict=True):
            self._add_row(row, outcome)
            if outcome.status == "kept" or outcome.dup_of is not None or outcome.reason == NOT_DISTINCT:
                groups[row["media_id"], row["category"]].append(row["caption"] or "")
        for captions in groups.values():
            if len(captions) > 1:
                times = Counter(map(word_bag, captions))
                self.neighbours += len(captions)
                self.alike += sum(count for count in times.values() if count > 1)

    def merge(self, later: QualityCounts) -> None:
        """Add the counts of what comes behind: the same as if one had counted both."""
        for mine, others in ((self.dropped, later.dropped), (self.advised, later.advised)):
            for code, count in others.items():
                known = mine[code]
                known.examples = [*known.examples, *count.examples][:_EXAMPLES]
                known.objects += count.objects
        self.confidence.update(later.confidence)
        self.contrasts.update(later.contrasts)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(later, name))

    def _add_row(self, row: Mapping[str, Any], outcome: RowOutcome) -> None:
        self.answers += row["tries"] or 1
        codes = row["reasons"] or ((outcome.reason,) if outcome.status == "dropped" and outcome.reason else ())
        for code in codes:
            self.dropped[code].add(row["key"], row["caption"], row["message"])
        steps = [answer["step"] or "" for answer in row["answers"] or ()]
        again = any(step.startswith("again") for step in steps)
        differ = any(step.startswith("distinct") for step in steps)
        self.asked_again += again
        self.asked_to_differ += differ
        self.differing += differ and any(a["released"] and a["step"].startswith("distinct") for a in row["answers"][1:])
        self._add_fits(row)
        if outcome.status != "kept":
            return
        self.mended += again
        for code in row["advice"] or ():
            self.advised[code].add(row["key"], row["caption"], row["message"])
        if row["logprob_min"] is None:
            self.no_confidence += 1
        else:
            self.confidence[min(BINS - 1, int(BINS * math.exp(row["logprob_min"])))] += 1

    def _add_fits(self, row: Mapping[str, Any]) -> None:
        """Count the scores of an object against its neighbours: the first one, and that of its caption."""
        fits: Sequence[Mapping[str, Any]] = row["fits"] or ()
        last = next((fit for fit in fits if fit["caption"] == row["caption"]), None)
        if last is None:
            return
        self.preferring += fits[0]["prefers"] is not None
        if last["contrast"] is None:
            self.unscored += 1
            return
        self.scored += 1
        self.still_preferring += last["prefers"] is not None
        self.contrasts[sum(last["contrast"] >= edge for edge in CONTRASTS)] += 1
