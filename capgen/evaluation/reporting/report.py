"""The result for people and for programs: the table of the papers, and JSON."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from capgen.evaluation.evaluate import Evaluation
from capgen.evaluation.metrics.bootstrap import Interval, intervals
from capgen.evaluation.metrics.breakdown import Group, by_category, by_size
from capgen.evaluation.metrics.chota import Scores

_MAIN = ("CapA", "DetA", "AssA", "CHOTA", "LocA", "HOTA", "HOTA_mean")
_AP = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AP_base", "AP_novel", "AR1", "AR10", "AR100")
_GROUP = ("CapA", "DetA", "AssA", "CHOTA", "LocA", "HOTA")


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
        "iou": result.iou,
        "threshold": options.threshold,
        "metrics": list(options.metrics),
        "videos": result.videos,
        "notes": result.notes + scores.notes,
        "by_size": {group.name: _group_json(group) for group in by_size(scores)},
    }
    if categories:
        whole["by_category"] = {group.name: _group_json(group) for group in by_category(scores, result.categories)}
    if draws:
        found = intervals(scores.videos, options.metrics, draws=draws)
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
    for scores in result.scores:
        found.append(_breakdown(f"by size of object, {scores.protocol}", by_size(scores)))
        if categories:
            groups = by_category(scores, result.categories)[:categories]
            found.append(_breakdown(f"by category, {scores.protocol}", groups))
    return found


def _main(result: Evaluation, draws: int) -> Table:
    compared = "masks" if result.iou == "mask" else "boxes"
    table = Table(title=f"{result.videos:,} videos, {compared}, threshold {result.options.threshold:g}, alpha 0.5")
    table.add_column("")
    spans: list[dict[str, Interval]] = []
    for scores in result.scores:
        table.add_column(scores.protocol, justify="right")
        spans.append(intervals(scores.videos, result.options.metrics, draws=draws) if draws else {})
    extra = ("AP_M", "AP_detection") if result.iou == "box" else _AP
    for name in (*_MAIN[:1], *(f"CapA_{metric}" for metric in result.options.metrics), *_MAIN[1:], *extra):
        if any(name in scores.values for scores in result.scores):
            cells = [_cell(s.values.get(name), span.get(name)) for s, span in zip(result.scores, spans, strict=True)]
            table.add_row(name, *cells)
    return table


def _cell(value: float | None, interval: Interval | None) -> str:
    if value is None:
        return "-"
    span = f" [{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    return f"{100 * value:.2f}{span}"


def _breakdown(title: str, groups: list[Group]) -> Table:
    table = Table(title=title)
    table.add_column("")
    for name in ("tracks", *_GROUP):
        table.add_column(name, justify="right")
    for group in groups:
        table.add_row(group.name, f"{group.tracks:,}", *(_cell(group.values.get(name), None) for name in _GROUP))
    return table
