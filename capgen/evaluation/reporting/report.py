"""The result for people and for programs: the table of the papers, and JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.table import Table

from capgen.evaluation.evaluate import Evaluation
from capgen.evaluation.metrics.breakdown import Group, by_category, by_partition, by_size
from capgen.evaluation.metrics.chota import Scores
from capgen.evaluation.metrics.clean.chota import CLEAN_VERSION
from capgen.evaluation.metrics.mask_ap import SIZES
from capgen.evaluation.metrics.per_class.scoring import PerClassScores
from capgen.evaluation.metrics.resampling.bootstrap import FEWEST_VIDEOS, Interval
from capgen.evaluation.metrics.resampling.sums import intervals

_AP = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AP_base", "AP_novel", "AR1", "AR10", "AR100")

_GROUPS = {"all": "all classes", "detections": "by detections"}

IDENTITY = ("MOTA", "IDF1", "caption_switches")
"""Numbers about identities that are shares; IDSW is a count."""


def caption_names(part: str, metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Keys and labels of CapA or CHOTA: one for each caption metric, and one for all of them.

    Args:
        part: ``CapA`` or ``CHOTA``.
    """
    each = [(f"{part}_{metric}", f"{part} ({metric})") for metric in metrics]
    whole = [(f"{part}_{'_'.join(metrics)}", f"{part} ({', '.join(metrics)})")] if len(metrics) > 1 else []
    return [*each, *whole]


def main_names(metrics: Sequence[str]) -> list[tuple[str, str]]:
    """Keys and labels of the main numbers, in the order of the papers' tables."""
    parts = [(name, name) for name in ("DetA", "AssA")]
    rest = [(name, name) for name in ("LocA", "HOTA", "HOTA_mean")]
    return [*caption_names("CapA", metrics), *parts, *caption_names("CHOTA", metrics), *rest]


def as_json(result: Evaluation, *, draws: int = 0, categories: bool = False) -> dict[str, Any]:
    """The numbers of one protocol, or of each under its name where there are several.

    Args:
        draws: bootstrap draws for the 95 % intervals; 0 for none.
        categories: add the breakdown by category.
    """
    if len(result.options.protocols) == 1:
        return _protocol_json(result, result.scores[0], draws, categories)
    found: dict[str, Any] = {s.protocol: _protocol_json(result, s, draws, categories) for s in result.scores}
    return found | {protocol: {"error": why} for protocol, why in result.refused.items()}


def _protocol_json(result: Evaluation, scores: Scores, draws: int, categories: bool) -> dict[str, Any]:
    options = result.options
    whole: dict[str, Any] = dict(scores.values)
    whole |= {
        "protocol": scores.protocol,
        **({"protocol_version": CLEAN_VERSION} if scores.protocol == "clean" else {}),
        "iou": result.iou,
        "threshold": options.threshold,
        "metrics": list(options.metrics),
        "videos": result.videos,
        "notes": result.notes + scores.notes,
        "by_size": {group.name: _group_json(group) for group in by_size(scores)},
    }
    if result.public_sizes and scores.protocol == "official":
        whole["by_public_size"] = result.public_sizes
    if partitions := by_partition(scores, result.categories):
        whole["by_partition"] = {group.name: _group_json(group) for group in partitions}
    if categories:
        whole["by_category"] = {group.name: _group_json(group) for group in by_category(scores, result.categories)}
    if result.per_class:
        whole["per_class"] = {"rules": result.per_class.rules, **result.per_class.groups}
        if categories:
            whole["per_class"]["by_category"] = result.per_class.classes
    if draws and result.videos < FEWEST_VIDEOS:
        whole["notes"].append(f"no confidence intervals: they need {FEWEST_VIDEOS} videos")
    if draws:
        found = intervals(scores, draws=draws)
        whole["intervals"] = {name: [interval.low, interval.high] for name, interval in found.items()}
    return whole


def _group_json(group: Group) -> dict[str, Any]:
    return {"tracks": group.tracks, **group.values}


def tables(result: Evaluation, *, draws: int = 0, categories: int = 0) -> list[Table]:
    """The main table with a column a protocol, mask or dense AP where it was counted, and the breakdowns.

    Args:
        draws: bootstrap draws for the 95 % intervals; 0 for none.
        categories: how many of the commonest categories to list.
    """
    found = [_main(result, draws)]
    if result.per_class:
        found.append(_per_class(result.per_class, categories))
    for scores in result.scores:
        small, large = (round(SIZES[name][1] ** 0.5) for name in ("_small", "_medium"))
        names = _breakdown_names(result.options.metrics, combined=scores.combined)
        title = f"by size of object, {scores.protocol} ({small}², {large}² px)"
        found.append(_breakdown(title, by_size(scores), names))
        if result.public_sizes and scores.protocol == "official":
            groups = [Group(name, None, values) for name, values in result.public_sizes.items()]
            title = "by size of detection, matched anew, official (30,000 and 200,000 px)"
            found.append(_breakdown(title, groups, names))
        if partitions := by_partition(scores, result.categories):
            found.append(_breakdown(f"base and novel categories, {scores.protocol}", partitions, names))
        if categories:
            groups = by_category(scores, result.categories)[:categories]
            found.append(_breakdown(f"by category, {scores.protocol}", groups, names))
    return found


def _per_class(scores: PerClassScores, categories: int) -> Table:
    """The means over classes, a column each, and with ``categories`` the first classes."""
    title, names, rows = class_means(scores, categories)
    table = Table(title=title)
    table.add_column("")
    for name in names:
        table.add_column(name, justify="right")
    for label, values in rows:
        table.add_row(label, *(_cell(value, None) for value in values))
    return table


def class_means(
    scores: PerClassScores, categories: int = 0
) -> tuple[str, list[str], list[tuple[str, list[float | None]]]]:
    """Title, columns and rows of the means over classes, and of the first ``categories`` classes."""
    columns = dict(scores.groups)
    columns |= dict(list(scores.classes.items())[:categories])
    number = len(scores.classes)
    many = f"{number:,} {'class' if number == 1 else 'classes'}"
    title = f"Means over {many}, all scores, as TrackEval for {scores.rules}"
    labels = dict.fromkeys(label for values in columns.values() for label in values)
    rows = [(label, [values.get(label) for values in columns.values()]) for label in labels]
    return title, [_GROUPS.get(name, name) for name in columns], rows


def _main(result: Evaluation, draws: int) -> Table:
    compared = "masks" if result.iou == "mask" else "boxes"
    title = f"{result.videos:,} videos, {compared}, threshold {result.options.threshold:g}, alpha 0.5"
    few = f"; no intervals below {FEWEST_VIDEOS} videos" if draws and result.videos < FEWEST_VIDEOS else ""
    table = Table(title=title, caption=f"docs/evaluation.md explains every number{few}")
    table.add_column("")
    spans: list[dict[str, Interval]] = []
    for scores in result.scores:
        table.add_column(scores.protocol, justify="right")
        spans.append(intervals(scores, draws=draws) if draws else {})
    extra = (*IDENTITY, *(("AP_M", "AP_detection") if result.iou == "box" else _AP))
    for name, label in (*main_names(result.options.metrics), *((name, name) for name in extra)):
        if any(name in scores.values for scores in result.scores):
            cells = [_cell(s.values.get(name), span.get(name)) for s, span in zip(result.scores, spans, strict=True)]
            table.add_row(label, *cells)
    if any(scores.values.get("IDSW") is not None for scores in result.scores):
        switches = [scores.values.get("IDSW") for scores in result.scores]
        table.add_row("IDSW (number)", *("-" if one is None else f"{one:,.0f}" for one in switches))
    return table


def _cell(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    span = f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    return f"{100 * value:.2f}{span}"


def _breakdown_names(metrics: Sequence[str], *, combined: bool) -> list[tuple[str, str]]:
    """The columns of a breakdown: with several caption metrics their mean, where the protocol has one."""
    names = [(name, label) for name, label in main_names(metrics) if name != "HOTA_mean"]
    if len(metrics) < 2:
        return names
    whole = "_".join(metrics)
    each = [name for name, _ in names if name.partition("_")[2] in metrics]
    both = [name for name, _ in names if name.partition("_")[2] == whole]
    unwanted = each if combined else both
    return [(name, label) for name, label in names if name not in unwanted]


def _breakdown(title: str, groups: list[Group], names: Sequence[tuple[str, str]]) -> Table:
    table = Table(title=title)
    for label in ("", "tracks", *(label for _, label in names)):
        table.add_column(label, justify="right" if label else "left")
    for group in groups:
        tracks = "" if group.tracks is None else f"{group.tracks:,}"
        table.add_row(group.name, tracks, *(_cell(group.values.get(name), None) for name, _ in names))
    return table
