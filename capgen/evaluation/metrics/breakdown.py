"""The same numbers for each category and for each size of object.

The matching is that of the whole result. A group's truths are its tracks; of the predictions, those that match nothing
and are of the group themselves count against it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from capgen.evaluation.metrics.chota import Scores, Values, caption_values
from capgen.evaluation.metrics.mask_ap import SIZES
from capgen.evaluation.metrics.rows import CaptionSums, PredictionRow, TruthRow
from capgen.evaluation.reading.tracks import Id, TruthCategory

PARTITIONS = {0: "base", 1: "base", 2: "novel", 3: "novel"}
"""What LV-VIS calls its partitions of categories."""


@dataclass(frozen=True, slots=True)
class Group:
    """One line of a breakdown; ``tracks`` are those of the ground truth, None where they are not told apart."""

    name: str
    tracks: int | None
    values: Values


def by_category(scores: Scores, categories: Mapping[Id, TruthCategory]) -> list[Group]:
    """A group for each category that has a track in the ground truth, the one with most tracks first."""

    def name(category: Id | None) -> str:
        known = categories.get(category) if category is not None else None
        return known.name if known else str(category)

    groups = _groups(scores, lambda row: row.category)
    found = [_group(scores, name(key), *rows) for key, rows in groups.items() if rows[0]]
    return sorted(found, key=lambda group: (-(group.tracks or 0), group.name))


def by_partition(scores: Scores, categories: Mapping[Id, TruthCategory]) -> list[Group]:
    """Base and novel categories, as LV-VIS splits them; empty where the ground truth does not."""
    if not categories or any(category.partition is None for category in categories.values()):
        return []

    def name(row: TruthRow | PredictionRow) -> Id | None:
        known = categories.get(row.category) if row.category is not None else None
        return None if known is None else PARTITIONS.get(known.partition or 0)

    groups = _groups(scores, name)
    return [_group(scores, one, *groups.get(one, ([], []))) for one in ("base", "novel")]


def by_size(scores: Scores) -> list[Group]:
    """Small, medium and large objects: mean area below 128², below 256², and above, in pixels."""
    groups = _groups(scores, lambda row: size_of(row.area))
    return [_group(scores, name, *groups.get(name, ([], []))) for name in ("small", "medium", "large")]


def size_of(area: float) -> str:
    """The range that an area of so many pixels is in."""
    if area < SIZES["_small"][1]:
        return "small"
    return "medium" if area < SIZES["_medium"][1] else "large"


def _groups(
    scores: Scores, key: Callable[[TruthRow | PredictionRow], Id | None]
) -> dict[Id | None, tuple[list[TruthRow], list[PredictionRow]]]:
    groups: dict[Id | None, tuple[list[TruthRow], list[PredictionRow]]] = {}
    for truth in scores.truths:
        groups.setdefault(key(truth), ([], []))[0].append(truth)
    for prediction in scores.predictions:
        groups.setdefault(key(prediction), ([], []))[1].append(prediction)
    return groups


def _group(scores: Scores, name: str, truths: Sequence[TruthRow], predictions: Sequence[PredictionRow]) -> Group:
    tp = sum(row.tp for row in truths)
    total = sum(row.frames for row in truths) + sum(row.fp for row in predictions)
    deta: float | None = tp / total if total else None
    assa = sum(row.associated for row in truths) / tp if tp else None
    values: Values = {"DetA": deta, "AssA": assa, "LocA": sum(row.located for row in truths) / tp if tp else None}
    values["HOTA"] = _root(2, deta, assa if tp else 0.0)
    whole = CaptionSums()
    whole.add(row.captions for row in truths)
    accuracy = {metric: whole.accuracy(metric) for metric in scores.metrics if metric in whole.scores}
    tracking = None if deta is None else deta * (assa or 0.0)
    values |= caption_values(accuracy, scores.metrics, tracking, combined=scores.combined, uncompared=whole.uncompared)
    return Group(name, len(truths), values)


def _root(degree: int, *factors: float | None) -> float | None:
    product = 1.0
    for factor in factors:
        if factor is None:
            return None
        product *= factor
    return float(product ** (1 / degree))
