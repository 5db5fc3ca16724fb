"""The sections on how far captions can be believed: confidence, judges, truth."""

from __future__ import annotations

from capgen.dataset.quality.calibration import Calibration
from capgen.report.charts import BarChart, Chart, ColumnChart, LineChart, PlotLine
from capgen.report.figures import JudgeFigures, RunFigures
from capgen.report.sections.section import ReportSection, ReportTable, count, share


def confidence(found: RunFigures) -> ReportSection | None:
    """How sure the model was, and what that is worth where truth is known."""
    one = found.confidence
    known = sum(one.tenths)
    if not known:
        return None
    lines = [
        f"The engine tells how probable the model found each word. The confidence of a caption is that of its least "
        f"probable content word (`logprob_min`); it is known for {count(known)} released captions"
        f"{f' and not for {count(one.unknown)}' if one.unknown else ''}."
    ]
    size = len(one.tenths)
    columns = tuple((i / size, (i + 1) / size, n) for i, n in enumerate(one.tenths))
    above = [sum(one.tenths[i:]) / known for i in range(size + 1)]
    passing = PlotLine("kept", tuple((i / size, value) for i, value in enumerate(above)))
    charts: list[Chart] = [
        ColumnChart("Captions by confidence", "probability of the least probable content word", columns),
        LineChart("Captions kept by a threshold", "threshold", "share kept", (passing,)),
    ]
    tables = []
    for name, curve in (("OUT/calibration.json", one.curve), ("this report", one.here)):
        if curve is not None:
            lines.append(_told(curve, name))
            charts.append(_curve(curve))
            tables.append(_table(curve))
    if not tables:
        lines.append("Nobody has counted here how many captions are right at which confidence: see `capgen calibrate`.")
    return ReportSection("Confidence", tuple(lines), tuple(tables), tuple(charts))


def judges(found: RunFigures) -> list[ReportSection]:
    """A section for each method that `capgen judge` has scored captions with."""
    return [_judge(one) for one in found.judges]


def _judge(one: JudgeFigures) -> ReportSection:
    lines = [f"`capgen judge` has scored {count(one.rows)} captions with the method {one.method}."]
    if one.stale:
        lines.append(f"{count(one.stale)} scores are of captions that have changed or are gone, and are not counted.")
    verdicts = tuple((name, count(number), share(number / max(1, one.rows))) for name, number in one.verdicts.items())
    tables = [ReportTable(("verdict", "captions", "share"), verdicts, "lrr")] if verdicts else []
    columns = tuple(zip(one.edges[:-1], one.edges[1:], map(float, one.counts), strict=True))
    charts: list[Chart] = [ColumnChart(f"Scores of {one.method}", "score", columns)] if sum(one.counts) else []
    if one.curve is not None:
        lines.append(_told(one.curve, "this report"))
        charts.append(_curve(one.curve))
        tables.append(_table(one.curve))
    return ReportSection(f"Judge {one.method}", tuple(lines), tuple(tables), tuple(charts))


def _told(curve: Calibration, where: str) -> str:
    told = (
        f"Of {count(curve.captions)} captions whose truth is known ({curve.truth}; {where}), {count(curve.right)} are "
        f"right ({share(curve.right / curve.captions)})."
    )
    if curve.auroc is not None:
        told += f" A right one has a higher {curve.score} than a wrong one with probability {curve.auroc:.2f} (AUROC)."
    if curve.chosen is not None:
        told += (
            f" The threshold {curve.chosen.threshold:.4f} keeps {share(curve.chosen.kept_share)}, of which "
            f"{share(curve.chosen.precision)} are right."
        )
    return told


def _curve(curve: Calibration) -> LineChart:
    points = tuple((point.kept_share, point.precision) for point in curve.curve)
    band = tuple((point.kept_share, point.low, point.high) for point in curve.curve)
    line = PlotLine(curve.score, points, band)
    title = f"Right captions among those kept by {curve.score}, with 95 % intervals"
    return LineChart(title, "share of the captions that is kept", "share right", (line,), y_from_zero=False)


def _table(curve: Calibration) -> ReportTable:
    """About a line a tenth of the kept share."""
    shown = {min(curve.curve, key=lambda point: abs(point.kept_share - tenth / 10)) for tenth in range(1, 11)}
    rows = tuple(
        (share(one.kept_share), share(one.precision), f"{one.low:.1%} to {one.high:.1%}", f"{one.threshold:.4f}")
        for one in sorted(shown, key=lambda point: point.kept_share)
    )
    return ReportTable((f"kept by {curve.score}", "right", "95 % interval", "threshold"), rows, "rrlr")


def reviews(found: RunFigures) -> ReportSection | None:
    """What people's judgements in the gallery did."""
    one = found.reviews
    if one is None:
        return None
    line = (
        f"People found {count(one.good)} captions right ({count(one.restored)} of them are kept although a check had "
        f"dropped them) and {count(one.bad)} wrong (left out, `flagged`), and wrote {count(one.edited)} anew. "
        f"{count(one.outdated)} judgements are of captions that were replaced since."
    )
    return ReportSection("People's judgements", (line,))


def truth(found: RunFigures) -> ReportSection | None:
    """How many captions are right, where that is known."""
    one = found.truth
    if one is None:
        return None
    what = "say nothing wrong" if one.attributes else "are right"
    lines = [
        f"By {one.source}, {count(one.right)} of {count(one.labelled)} captions {what}: "
        f"{share(one.right / one.labelled)} (95 % interval {one.low:.1%} to {one.high:.1%})."
    ]
    if not one.attributes:
        return ReportSection("Truth", tuple(lines))
    lines.append("Each attribute of an object counts as right, wrong or unsaid in its caption.")
    rows = tuple(
        (name, count(told["right"]), count(told["wrong"]), count(told["unsaid"]), _rate(told["rate"]))
        for name, told in one.attributes.items()
    )
    bars = tuple((name, (told["right"], told["wrong"], told["unsaid"])) for name, told in one.attributes.items())
    return ReportSection(
        "Truth",
        tuple(lines),
        (ReportTable(("attribute", "right", "wrong", "unsaid", "rate"), rows, "lrrrr"),),
        (BarChart("Captions by what they say of each attribute", ("right", "wrong", "unsaid"), bars),),
    )


def _rate(rate: float | None) -> str:
    return "-" if rate is None else f"{rate:.3f}"
