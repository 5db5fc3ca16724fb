"""Writes the report of a run: ``report.html``, ``report.md`` and ``figures.json``."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from capgen.dataset.files import remove_parts, telling_disk_trouble, write_whole
from capgen.dataset.layout import RunLayout, refuse_links
from capgen.dataset.lock import exclusive_file
from capgen.dataset.reader import read_plan
from capgen.encoding import check_name
from capgen.errors import UserError
from capgen.report.collect import ReportRequest, run_figures
from capgen.report.figures import RunFigures
from capgen.report.page import as_html, as_json, as_markdown
from capgen.report.sections.report import Report

PAGE = "report.html"


def write_report(
    out: Path,
    wanted: ReportRequest | None = None,
    *,
    folder: Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[Path, RunFigures]:
    """Write the report of a run, finished or not; its page and its figures. Each file is written whole or not at all.

    Args:
        folder: where to write; None is ``OUT/report``.
        progress: see ``run_figures``.

    Raises:
        InUse: another process writes a report there.
        UserError: OUT is no run, something in it is a link that would lead the write elsewhere, or the folder cannot
            be written.
        LedgerError: a file of the run is damaged.
    """
    if folder is None:
        refuse_links(out)
    read_plan(out)  # before a folder is made in what is no run
    place = folder or RunLayout(out).report_dir
    check_name(place)
    try:
        with telling_disk_trouble(place):
            place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"cannot write {place}: {error.strerror or error}", "give another place with --to") from None
    with exclusive_file(place / PAGE):
        figures = run_figures(out, wanted, progress)
        report = Report.of(figures)
        files = {
            "figures.json": as_json(report),
            "report.md": as_markdown(report).encode("utf-8", "replace"),
            PAGE: as_html(report).encode("utf-8", "replace"),
        }
        remove_parts(place, re.compile("|".join(map(re.escape, files))))
        for name, data in files.items():
            write_whole(place / name, data)
    return place / PAGE, figures
