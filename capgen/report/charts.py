"""Plots as SVG elements: bars, columns and lines, in colours that the page's style gives them.

``ElementTree`` writes them, so that no label can be markup. matplotlib is not used: every run ends with a report, and
its import alone takes longer than reading a small run; its colours could not follow a dark page either.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from xml.etree import ElementTree as ET

from capgen.display import plain

_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 14, 44
_NAMES, _ROW = 190, 22
"""Pixels: the column of the bars' names, and the height of a bar with its gap."""
_SHORTENED, _LONGEST_TIP = 26, 200

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class BarChart:
    """A bar a name, from the left; ``parts`` are the values of stacked series, ``series`` their names."""

    title: str
    series: tuple[str, ...]
    bars: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True, slots=True)
class ColumnChart:
    """A histogram: a column from ``low`` to ``high`` with its height, in the order of the axis.

    ``marks`` are places on the x axis to be shown.
    """

    title: str
    x_label: str
    columns: tuple[tuple[float, float, float], ...]
    y_label: str = "captions"
    marks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One line, and where it has one the band around it: (x, low, high)."""

    name: str
    points: tuple[tuple[float, float], ...]
    band: tuple[tuple[float, float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class LineChart:
    """Lines over one pair of axes; ``log``: both are logarithmic."""

    title: str
    x_label: str
    y_label: str
    lines: tuple[PlotLine, ...]
    log: bool = False
    y_from_zero: bool = True


Chart = BarChart | ColumnChart | LineChart


def svg(chart: Chart) -> str:
    """The chart as one ``<svg>`` element."""
    draw: Callable[[], ET.Element]
    if isinstance(chart, BarChart):
        draw = _Bars(chart).draw
    elif isinstance(chart, ColumnChart):
        draw = _Columns(chart).draw
    else:
        draw = _Lines(chart).draw
    return ET.tostring(draw(), encoding="unicode")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, about so many: steps of 1, 2 or 5 times a power of ten."""
    if not high > low:
        return [low]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round((first + i) * step, 12) for i in range(int((high - first * step) / step + 1e-9) + 1)]


def number(value: float) -> str:
    """A number as a short label: ``1,200``, ``3.4M``, ``0.05``."""
    for limit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (limit if limit > 1e4 else 1e3):.3g}{letter}"
    return f"{value:,.0f}" if value == round(value) else f"{value:.3g}"


def _root(title: str, width: float, height: float) -> ET.Element:
    root = ET.Element("svg", {"role": "img", "viewBox": f"0 0 {width:g} {height:g}", "width": f"{width:g}"})
    root.set("height", f"{height:g}")
    ET.SubElement(root, "title").text = plain(title)
    return root


def _text(root: ET.Element, x: float, y: float, text: str, anchor: str = "middle", **more: str) -> None:
    attributes = {"x": f"{x:.1f}", "y": f"{y:.1f}", "text-anchor": anchor} | more
    ET.SubElement(root, "text", attributes).text = plain(text)


def _line(root: ET.Element, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
    ends = {name: f"{value:.1f}" for name, value in (("x1", x1), ("y1", y1), ("x2", x2), ("y2", y2))}
    ET.SubElement(root, "line", ends | {"class": kind})


def _rect(root: ET.Element, x: float, y: float, width: float, height: float, kind: str, tip: str) -> None:
    sides = {name: f"{value:.1f}" for name, value in (("x", x), ("y", y), ("width", width), ("height", height))}
    ET.SubElement(ET.SubElement(root, "rect", sides | {"class": kind}), "title").text = plain(tip[-_LONGEST_TIP:])


@dataclass(slots=True)
class _Bars:
    chart: BarChart

    def draw(self) -> ET.Element:
        bars = self.chart.bars
        root = _root(self.chart.title, _WIDTH, _ROW * len(bars) + 8)
        largest = max((sum(parts) for _, parts in bars), default=0) or 1
        room = _WIDTH - _NAMES - 80
        for row, (name, parts) in enumerate(bars):
            y, x = _ROW * row + 4, float(_NAMES)
            short = name if len(name) <= _SHORTENED else f"{name[: _SHORTENED - 1]}…"
            _text(root, _NAMES - 8, y + 14, short, "end")
            for kind, value in enumerate(parts):
                width = room * value / largest
                _rect(root, x, y + 2, width, _ROW - 6, f"s{kind}", f"{name}: {self._label(kind)}{value:,g}")
                x += width
            _text(root, x + 6, y + 14, number(sum(parts)), "start")
        return root

    def _label(self, kind: int) -> str:
        return f"{self.chart.series[kind]} " if len(self.chart.series) > 1 else ""


@dataclass(slots=True)
class _Frame:
    """Axes: from values to pixels."""

    x: tuple[float, float]
    y: tuple[float, float]
    log: bool = False

    def place(self, x: float, y: float) -> tuple[float, float]:
        across, up = self._share(x, *self.x), self._share(y, *self.y)
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    def _share(self, value: float, low: float, high: float) -> float:
        if self.log:
            value, low, high = math.log10(max(value, low)), math.log10(low), math.log10(high)
        return (value - low) / (high - low) if high > low else 0.5

    def draw(self, root: ET.Element, x_label: str, y_label: str) -> None:
        left, bottom = self.place(self.x[0], self.y[0])
        for value in self._ticks(*self.y):
            y = self.place(self.x[0], value)[1]
            _line(root, left, y, _WIDTH - _RIGHT, y, "grid")
            _text(root, left - 7, y + 4, number(value), "end")
        for value in self._ticks(*self.x):
            x = self.place(value, self.y[0])[0]
            _line(root, x, bottom, x, bottom + 4, "axis")
            _text(root, x, bottom + 17, number(value))
        _line(root, left, bottom, _WIDTH - _RIGHT, bottom, "axis")
        _text(root, (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 6, x_label)
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        _text(root, 13, middle, y_label, transform=f"rotate(-90 13 {middle:g})")

    def _ticks(self, low: float, high: float) -> list[float]:
        if not self.log:
            return ticks(low, high)
        return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]


@dataclass(slots=True)
class _Columns:
    chart: ColumnChart

    def draw(self) -> ET.Element:
        root, columns = _root(self.chart.title, _WIDTH, _HEIGHT), self.chart.columns
        top = max((height for _, _, height in columns), default=0) or 1
        frame = _Frame((columns[0][0], columns[-1][1]) if columns else (0, 1), (0, top))
        frame.draw(root, self.chart.x_label, self.chart.y_label)
        for low, high, height in columns:
            left, upper = frame.place(low, height)
            right, bottom = frame.place(high, 0)
            tip = f"{low:.4g} to {high:.4g}: {number(height)}"
            gap = min(0.5, (right - left) / 8)
            _rect(root, left + gap, upper, right - left - 2 * gap, bottom - upper, "s0", tip)
        for mark in self.chart.marks:
            x, bottom = frame.place(mark, 0)
            _line(root, x, _TOP, x, bottom, "mark")
        return root


@dataclass(slots=True)
class _Lines:
    chart: LineChart

    def draw(self) -> ET.Element:
        root = _root(self.chart.title, _WIDTH, _HEIGHT)
        frame = self._frame()
        frame.draw(root, self.chart.x_label, self.chart.y_label)
        for kind, line in enumerate(self.chart.lines):
            if line.band:
                outline = [(x, high) for x, _, high in line.band] + [(x, low) for x, low, _ in reversed(line.band)]
                ET.SubElement(root, "polygon", {"points": self._points(frame, outline), "class": f"band s{kind}"})
            points = self._points(frame, line.points)
            drawn = ET.SubElement(root, "polyline", {"points": points, "class": f"line l{kind}"})
            ET.SubElement(drawn, "title").text = plain(line.name)
        return root

    def _frame(self) -> _Frame:
        points = [point for line in self.chart.lines for point in line.points]
        edges = [(x, y) for line in self.chart.lines for x, low, high in line.band for y in (low, high)]
        xs = [x for x, _ in points] or [0.0, 1.0]
        ys = [y for _, y in points + edges] or [0.0, 1.0]
        if self.chart.log:
            return _Frame((1, max(10.0, *xs)), (1, max(10.0, *ys)), log=True)
        low = 0.0 if self.chart.y_from_zero else min(ys)
        return _Frame((min(0.0, *xs), max(xs)), (low, max(ys) if max(ys) > low else low + 1))

    @staticmethod
    def _points(frame: _Frame, points: Points) -> str:
        placed = (frame.place(x, y) for x, y in points)
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in placed)
