"""What is in a dataset's folder: describe."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from capgen.cli import options
from capgen.cli.runs.output import long_work
from capgen.cli.settings import AUTO, settings_of
from capgen.display import echo, json_text, working

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("what the folder holds")
def describe(
    root: options.RootFlag = None,
    dataset: Annotated[str, typer.Option(help="Dataset as for run; auto looks what the folder holds.")] = AUTO,
    split: options.SplitFlag = None,
    as_json: options.JsonFlag = False,
    set_: options.SetFlag = None,
) -> None:
    """Show what a dataset's folder holds.

    Counts, sizes, categories, missing pictures, oddities; nothing is captioned or written.
    """
    from capgen.pipeline.planning.describe import describe as summarise

    settings, _ = settings_of(dataset, None, {"source.root": root, "source.split": split}, set_ or ())
    with working("reading"):
        summary = summarise(settings)
    if as_json:
        typer.echo(json_text(json.dumps(summary.as_json(), indent=1, ensure_ascii=False)))
    else:
        echo(f"dataset {summary.dataset} in {root}\n{summary.text()}")
