"""docs/checks.md names every check, and its examples are dropped and kept as it says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from capgen.pipeline.checks import CHECKS
from capgen.pipeline.checks.base import CheckedCaption, build_checks, judge

PAGE = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
ROWS = [line.strip("|").split(" | ") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
EXAMPLE = re.compile(r"^`(?P<caption>[^`]+|.*?)`(?: \((?P<reason>\w+)\)| \((?P<sure>-[\d.]+)\))?$")
OPTIONS = {"unsure": {"threshold": -1.0}}


def codes(row, cell):
    found = EXAMPLE.match(cell.strip())
    code = row[0].strip(" `")
    said = CheckedCaption(
        found["caption"],
        found["reason"] or "stop",
        "dog" if code == "wrong_category" else None,
        logprob_min=float(found["sure"]) if found["sure"] else None,
    )
    options = {code: OPTIONS[code]} if code in OPTIONS else {}
    return [name for name, _ in judge(build_checks([code], options), said)]


def test_every_check_has_a_row():
    assert len(ROWS) == len(CHECKS)
    assert {row[0].strip(" `") for row in ROWS} == set(CHECKS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0].strip(" `"))
def test_two_examples_are_dropped_and_two_are_kept(row):
    assert len(row) == 6
    assert codes(row, row[2])
    assert codes(row, row[3])
    assert codes(row, row[4]) == codes(row, row[5]) == []
