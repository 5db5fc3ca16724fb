"""A breakdown as a dot plot: a line a group, a dot a number, to be drawn by the page's template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capgen.evaluation.metrics.breakdown import Group

LEFT, WIDTH, ROW, TOP = 190, 460, 24, 30
"""Pixels: the names' column, the scale, a line, and the head above the first line."""
_SHORTENED = 19


@dataclass(frozen=True, slots=True)
class PlotDot:
    """One number of one group: its place in pixels from the left, its series (0, 1, …) and words for its tip."""

    x: float
    series: int
    tip: str


@dataclass(frozen=True, slots=True)
class PlotRow:
    """One group: its name, shortened where it is long, and its place in pixels from the top."""

    y: int
    name: str
    dots: tuple[PlotDot, ...]


@dataclass(frozen=True, slots=True)
class DotPlot:
    """A plot of some groups, in pixels; the scale goes from ``left`` to ``right``.

    Args:
        ticks: places and labels of the scale, in per cent.
    """

    title: str
    left: int
    right: int
    width: int
    height: int
    series: tuple[str, ...]
    ticks: tuple[tuple[float, str], ...]
    rows: tuple[PlotRow, ...]


def dot_plot(title: str, groups: Sequence[Group], names: Sequence[tuple[str, str]]) -> DotPlot | None:
    """The plot, or None where no group has one of the numbers.

    The scale ends at 100 per cent, or beyond the largest number, as CIDEr under ``official`` passes 100.

    Args:
        names: key and label of the numbers to show.
    """
    known = [group for group in groups if any(group.values.get(name) is not None for name, _ in names)]
    if not known:
        return None
    largest = max(value for g in known for name, _ in names if (value := g.values.get(name)) is not None)
    end = max(100, 100 * -int(-largest // 1))
    rows = []
    for n, group in enumerate(known):
        dots = [
            PlotDot(round(LEFT + WIDTH * 100 * value / end, 1), series, f"{group.name}: {label} {100 * value:.1f}")
            for series, (name, label) in enumerate(names)
            if (value := group.values.get(name)) is not None
        ]
        tracks = "" if group.tracks is None else f" ({group.tracks:,})"
        name = group.name if len(group.name) <= _SHORTENED else f"{group.name[: _SHORTENED - 1]}…"
        rows.append(PlotRow(TOP + ROW * n, name + tracks, tuple(dots)))
    ticks = tuple((LEFT + WIDTH * part / 4, f"{end * part / 4:g}") for part in range(5))
    height = TOP + ROW * len(rows)
    return DotPlot(
        title, LEFT, LEFT + WIDTH, LEFT + WIDTH + 30, height, tuple(label for _, label in names), ticks, tuple(rows)
    )
