"""The scores of ``OUT/judge.parquet``: a histogram a method, and its curve where truth is known."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.judge_scores import caption_digest, judge_batches
from capgen.report.figures import JudgeFigures
from capgen.report.truth import KnownTruth

_ROWS = 10_000
_BINS = 20
_LARGEST = 1e30
"""Of a score; a log-probability is a few hundred at most, and a histogram cannot span all numbers."""
_METHODS = 12
"""So many have a section of their own; the table may be anybody's."""
_COLUMNS = ("key", "caption", "method", "score", "verdict")


@dataclass(slots=True)
class CurrentCaptions:
    """Digests of keys with their captions, 8 bytes each, by which a score is known to be of a caption as it is now."""

    digests: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, key: str, caption: str) -> None:
        """A caption of the run."""
        self.digests.append(caption_digest(key, caption))

    def ordered(self) -> Any:
        """The digests as an ascending array, uint64 [N]."""
        return np.sort(np.frombuffer(self.digests, np.uint64))


@dataclass(slots=True)
class _Method:
    scores: array[float] = field(default_factory=lambda: array("d"))
    verdicts: Counter[str] = field(default_factory=Counter)
    stale: int = 0
    labelled: dict[str, float] = field(default_factory=dict)


def judge_figures(out: Path, current: CurrentCaptions, truth: KnownTruth) -> tuple[JudgeFigures, ...]:
    """The figures of each method in the table, by name; none where there is no table.

    Raises:
        LedgerError: the table cannot be read.
    """
    path = RunLayout(out).judge
    if not path.is_file():
        return ()
    methods: dict[str, _Method] = {}
    digests = current.ordered()
    for batch in judge_batches(path, _COLUMNS, _ROWS):
        _add(methods, batch.to_pylist(), digests, truth)
    return tuple(_figures(name, one, truth) for name, one in sorted(methods.items()))


def _add(methods: dict[str, _Method], rows: list[dict[str, Any]], current: Any, truth: KnownTruth) -> None:
    found = np.array([caption_digest(row["key"], row.get("caption")) for row in rows], np.uint64)
    places = np.searchsorted(current, found)
    fresh = (places < len(current)) & (current[np.minimum(places, len(current) - 1)] == found) if len(current) else []
    for row, is_fresh in zip(rows, fresh, strict=False):
        name = str(row.get("method") or "judge")
        one = methods.setdefault(name if name in methods or len(methods) < _METHODS else "others", _Method())
        if not is_fresh:
            one.stale += 1
            continue
        one.verdicts[str(row.get("verdict") or "none")] += 1
        value = row["score"]
        if value is not None and abs(value) <= _LARGEST:
            one.scores.append(value)
            if row["key"] in truth.right:
                one.labelled[row["key"]] = value


def _figures(name: str, one: _Method, truth: KnownTruth) -> JudgeFigures:
    scores = np.frombuffer(one.scores, np.float64)
    within = len(scores) and scores.min() >= 0 and scores.max() <= 1
    counts, edges = np.histogram(scores, _BINS, (0.0, 1.0) if within or not len(scores) else None)
    return JudgeFigures(
        method=name,
        rows=one.verdicts.total(),
        stale=one.stale,
        verdicts=dict(one.verdicts.most_common(8)),
        edges=tuple(edges.tolist()),
        counts=tuple(counts.tolist()),
        curve=truth.curve(one.labelled.items(), f"judge: {name}"),
    )
