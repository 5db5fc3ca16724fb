"""What a section of a report is made of; all text in it is text, which whoever writes it out escapes."""

from __future__ import annotations

from dataclasses import dataclass

from capgen.report.charts import Chart

_LONGEST = 300  # characters of a cell


@dataclass(frozen=True, slots=True)
class ReportTable:
    """A table; ``align`` has one of ``l`` and ``r`` a column."""

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    align: str

    @property
    def shown(self) -> tuple[tuple[str, ...], ...]:
        """The rows with long texts cut off: names and keys of data have no limit."""
        return tuple(
            tuple(cell if len(cell) <= _LONGEST else f"{cell[:_LONGEST]}…" for cell in row) for row in self.rows
        )


@dataclass(frozen=True, slots=True)
class ReportSection:
    """A heading with sentences, tables and plots."""

    title: str
    lines: tuple[str, ...] = ()
    tables: tuple[ReportTable, ...] = ()
    charts: tuple[Chart, ...] = ()

    @property
    def anchor(self) -> str:
        """The heading as a name in a URL."""
        return "".join(letter if letter.isalnum() else "-" for letter in self.title.lower())


def count(number: float) -> str:
    """A whole number with separators."""
    return f"{number:,.0f}"


def share(number: float) -> str:
    """A share as per cent: with a decimal, or two where it is small."""
    return f"{number:.1%}" if number >= 0.1 else f"{number:.2%}" if number else "0%"
