"""All that is counted of a run's rows, in one pass: for the data card while it is packed, for a report at any time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

from capgen.dataset.quality.counts import COLUMNS as QUALITY_COLUMNS
from capgen.dataset.quality.counts import QualityCounts
from capgen.dataset.stats import Origin, RowOutcome, Stats

_TOKENS = ("prompt_tokens", "cached_tokens", "output_tokens")
COLUMNS = tuple(dict.fromkeys([*QUALITY_COLUMNS, "status", *Origin._fields, *_TOKENS, "attempts"]))
"""The columns of the candidates that are counted; none of them holds masks."""


@dataclass(slots=True)
class CategoryCounts:
    """The objects of one category: how many, how many are released, and the others by their first reason."""

    objects: int = 0
    kept: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class ReleaseCounts:
    """The counts of a run's rows, in memory that grows with categories, words and codes, and by 8 bytes a caption.

    Args:
        by_category: ``(none)`` is that of objects without one.
        attempts: how often objects were asked for, tries included: more than the answers where an engine failed.
        output_tokens: of the answers that the rows have.
    """

    stats: Stats = field(default_factory=Stats)
    quality: QualityCounts = field(default_factory=QualityCounts)
    by_category: dict[str, CategoryCounts] = field(default_factory=dict)
    attempts: int = 0
    output_tokens: int = 0

    def add(self, split: str, media: int, rows: pa.Table, outcomes: Sequence[RowOutcome]) -> None:
        """Count a shard.

        Args:
            media: images or videos of the shard, with and without objects.
            rows: its candidates, at least ``COLUMNS``.
            outcomes: what becomes of each row, in the same order.
        """
        by_medium = pc.value_counts(rows.column("media_id").combine_chunks()).field("counts").to_pylist()
        self.stats.add_media(split, by_medium + [0] * (media - len(by_medium)))
        self.stats.add_objects(split, outcomes)
        self.quality.add(rows.select(QUALITY_COLUMNS).to_pylist(), outcomes)
        self._add_categories(outcomes)
        self._add_origins(rows, outcomes)

    def merge(self, later: ReleaseCounts) -> None:
        """Add the counts of what comes behind: the same as if one had counted both."""
        self.stats.merge(later.stats)
        self.quality.merge(later.quality)
        for category, counts in later.by_category.items():
            mine = self.by_category.setdefault(category, CategoryCounts())
            mine.objects += counts.objects
            mine.kept += counts.kept
            mine.reasons.update(counts.reasons)
        self.attempts += later.attempts
        self.output_tokens += later.output_tokens

    def _add_categories(self, outcomes: Iterable[RowOutcome]) -> None:
        for one in outcomes:
            counts = self.by_category.setdefault(one.category or "(none)", CategoryCounts())
            counts.objects += 1
            if one.status == "kept":
                counts.kept += 1
            elif one.reason is not None:
                counts.reasons[one.reason] += 1

    def _add_origins(self, rows: pa.Table, outcomes: Sequence[RowOutcome]) -> None:
        names = list(Origin._fields)
        kept = rows.select(names).filter(pa.array([one.status == "kept" for one in outcomes], pa.bool_()))
        for group in kept.group_by(names, use_threads=False).aggregate([([], "count_all")]).to_pylist():
            self.stats.origins[Origin(*(group[name] for name in names))] += group["count_all"]
        prompt, cached, output, attempts = (pc.sum(rows.column(name)).as_py() or 0 for name in (*_TOKENS, "attempts"))
        self.stats.prompt_tokens += prompt
        self.stats.cached_tokens += cached
        self.output_tokens += output
        self.attempts += attempts
