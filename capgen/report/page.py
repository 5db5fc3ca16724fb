"""A report as one HTML file that loads nothing, as Markdown, and as JSON."""

from __future__ import annotations

from pathlib import Path

import msgspec
from jinja2 import Environment
from markupsafe import Markup

from capgen.dataset.card import table
from capgen.display import html_head, markdown, plain
from capgen.report.charts import BarChart, Chart, LineChart, svg
from capgen.report.sections.report import Report, summary, tiles


def as_html(report: Report) -> str:
    """The page, with plots inside it."""
    folder = Path(__file__).parent
    pages = Environment(autoescape=True, finalize=_shown, trim_blocks=True, lstrip_blocks=True)
    template = pages.from_string((folder / "page.html.jinja").read_text("utf-8"))
    title = f"Report: {report.figures.title}"
    body = template.render(
        title=title,
        found=report.figures,
        summary=summary(report.figures),
        tiles=tiles(report.figures),
        sections=report.sections,
        drawn=lambda chart: Markup(svg(chart)),  # ElementTree has escaped its texts
        legend=_legend,
        pieces=_pieces,
    )
    return html_head(title, style=(folder / "page.css").read_text("utf-8")) + body


def _shown(value: object) -> object:
    """What the template prints: text without terminal controls and marks that turn the direction of reading."""
    return plain(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def _legend(chart: Chart) -> tuple[str, ...]:
    if isinstance(chart, BarChart):
        return chart.series if len(chart.series) > 1 else ()
    return tuple(line.name for line in chart.lines) if isinstance(chart, LineChart) and len(chart.lines) > 1 else ()


def as_markdown(report: Report) -> str:
    """The same in Markdown, without the plots."""
    found = report.figures
    lines = [f"# {markdown(f'Report: {found.title}')}", ""]
    lines += [f"{markdown(line)}\n" for line in summary(found)]
    for section in report.sections:
        lines += [f"## {markdown(section.title)}", "", *(f"{_sentence(line)}\n" for line in section.lines)]
        for one in section.tables:
            lines += [table(one.header, one.shown, one.align), ""]
    lines.append(f"Made {markdown(found.made)} by `capgen report`; `report.html` beside it has the plots.")
    return "\n".join(lines) + "\n"


def _sentence(line: str) -> str:
    """Escaped, but what stands in back quotes stays code where it is a plain word of ours."""
    return "".join(f"`{text}`" if code else _escaped(text) for text, code in _pieces(line))


def _pieces(line: str) -> list[tuple[str, bool]]:
    """The line in pieces, each with whether it stands in back quotes and is a name or a command."""
    parts = line.split("`")
    if len(parts) % 2 == 0:
        return [(line, False)]
    return [
        (part if _is_code(part) or not i % 2 else f"`{part}`", bool(i % 2) and _is_code(part))
        for i, part in enumerate(parts)
    ]


def _is_code(part: str) -> bool:
    return part.isascii() and bool(part) and all(letter.isalnum() or letter in " _-./" for letter in part)


def _escaped(part: str) -> str:
    """Escaped Markdown that keeps a blank at either end."""
    inner = markdown(part)
    return f"{' ' * part.startswith(' ')}{inner}{' ' * (part.endswith(' ') and bool(inner))}"


def as_json(report: Report) -> bytes:
    """The figures."""
    return msgspec.json.format(msgspec.json.encode(report.figures)) + b"\n"
