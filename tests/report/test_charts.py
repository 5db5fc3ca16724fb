"""Plots show the values that they are given, on axes with round numbers."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest

from capgen.report.charts import BarChart, ColumnChart, LineChart, PlotLine, number, svg, ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]), (0, 97, [0, 20, 40, 60, 80]), (0.4, 1, [0.4, 0.6, 0.8, 1]), (3, 3, [3])],
)
def test_ticks_are_round_and_inside(low, high, expected):
    assert ticks(low, high) == pytest.approx(expected)


def test_numbers_are_short():
    assert [number(value) for value in (0, 7, 1234, 12_345, 3_400_000, 2.5e9, 0.0512)] == [
        "0", "7", "1,234", "12.3k", "3.4M", "2.5G", "0.0512",
    ]  # fmt: skip


def test_bars_are_as_long_as_their_values():
    drawn = ET.fromstring(svg(BarChart("by split", ("kept", "dropped"), (("train", (30, 10)), ("val", (20, 0))))))
    widths = [float(rect.get("width")) for rect in drawn.iter("rect")]
    assert widths[0] == pytest.approx(3 * widths[1], abs=0.1)
    assert widths[2] == pytest.approx(2 * widths[1], abs=0.1)
    assert widths[3] == 0
    assert [one.text for one in drawn.iter("text")] == ["train", "40", "val", "20"]


def test_a_label_cannot_be_markup():
    text = svg(BarChart("<b>", ("a",), (("</text><script>alert(1)</script>", (1.0,)),)))
    assert "<script" not in text
    assert "<b>" not in text


@pytest.mark.parametrize(
    "chart",
    [
        BarChart("nothing", (), ()),
        ColumnChart("nothing", "x", ()),
        ColumnChart("one", "x", ((0, 0, 0),)),
        LineChart("nothing", "x", "y", ()),
        LineChart("one", "x", "y", (PlotLine("a", ((0, 0),)),)),
        LineChart("one", "x", "y", (PlotLine("a", ((1, 1),)),), log=True),
    ],
)
def test_little_data_is_drawn_too(chart):
    assert ET.fromstring(svg(chart)).tag == "svg"
