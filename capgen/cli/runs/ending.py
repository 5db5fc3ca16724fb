"""How the verbs that make a release end: what they say of it, and their exit code."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from capgen.buckets.places import url_of
from capgen.cli.data import places
from capgen.cli.data.report import tell_release
from capgen.dataset.layout import RunLayout
from capgen.display import echo
from capgen.errors import UnknownName

if TYPE_CHECKING:
    from capgen.pipeline.releasing.embedded import Embed
    from capgen.pipeline.running.progress import EndReport


def finish(out: Path, report: EndReport, console: Console) -> None:
    """Say what a run has made, and exit with code 1 where more objects failed than the settings allow."""
    console.print(report.table())
    echo(f"release: {out}  ({_how_to_load(out)})")
    tell_release(out)
    places.give_written(out)
    if report.complaint is not None:
        echo(f"capgen: {report.complaint}", stderr=True)
        raise typer.Exit(1)


def embed_of(name: str | None) -> Embed | None:
    """The pictures that a user wants in the release.

    Raises:
        UnknownName: there are none by that name.
    """
    known: dict[str | None, Embed | None] = {None: None, "crops": "crops", "media": "media"}
    if name not in known:
        raise UnknownName("--embed", str(name), ("crops", "media"))
    return known[name]


def _how_to_load(out: Path) -> str:
    """The line that loads a release; ``datasets`` takes brackets, stars and question marks in a path for a pattern."""
    url = url_of(out)
    if url is not None:
        return f'datasets.load_dataset("parquet", data_files="{url}/{RunLayout.data_pattern("captions", "*")}")'
    if any(letter in str(out.resolve()) for letter in "[]*?"):
        return "datasets.load_dataset cannot open a folder with one of [ ] * ? in its path: rename it first"
    return f'datasets.load_dataset("{out}")'
