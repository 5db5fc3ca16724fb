"""The verb ``report``, and what ``run`` and ``retry`` say of the release that they have made."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from capgen.cli import options
from capgen.cli.runs.output import long_work
from capgen.display import echo, json_text, note, plain, progress_terminal
from capgen.text import tidy

app = typer.Typer(rich_markup_mode=None)

_SHOWN = 160  # characters of a caption


@app.command()
@long_work("the page's path")
def report(
    out: options.RunFolder,
    price: Annotated[float | None, typer.Option(help="Price of an hour of one GPU, in any currency.")] = None,
    facts: Annotated[
        Path | None,
        typer.Option(
            help="facts.json of the sample world that was captioned. Default: OUT/world's, where there is one."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Captions found right or wrong: JSON Lines with key and right, from anybody.")
    ] = None,
    to: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Where to write. Default: OUT/report.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON too.")] = False,
) -> None:
    """Write a run's numbers and plots: HTML, Markdown and JSON.

    Counts, reasons, lengths, long tail, repetition, confidence, truth, tokens, speed and cost. It works while the run
    goes on.
    """
    from capgen.pipeline.running.progress import ProgressDisplay
    from capgen.report.collect import ReportRequest
    from capgen.report.write import write_report

    wanted = ReportRequest(price, facts, labels)
    with ProgressDisplay(progress_terminal()) as display:
        page, _ = write_report(out, wanted, folder=to, progress=display.steps("reading"))
    if as_json:
        typer.echo(json_text(page.with_name("figures.json").read_text("utf-8")))
    echo(f"{page}  (and report.md, figures.json beside it)", stderr=as_json)


def tell_release(out: Path) -> None:
    """Show three captions of a release, write its report, and say where that is and how to look at the rest."""
    from capgen.dataset.lock import InUse
    from capgen.report.write import write_report

    try:
        page, figures = write_report(out)
    except InUse as error:  # somebody calls ``capgen report`` just now: the run is whole all the same
        echo(f"report:  not written, {error}", stderr=True)
        return
    for one in figures.captions.examples:
        said = tidy(one.text)
        note(plain(f"  {one.key}: {said if len(said) <= _SHOWN else f'{said[: _SHOWN - 1]}…'}"))
    note(f"report:  {page}")
    note(f"look at: capgen gallery {shlex.quote(str(out))}")
