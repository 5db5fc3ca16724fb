"""The verbs of the sample world: sample, score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from capgen.cli import options
from capgen.cli.runs.output import long_work
from capgen.display import echo, working

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("the folder's path")
def sample(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Folder to create.")],
    images: Annotated[int, typer.Option(help="Number of images (LVIS format).")] = 200,
    videos: Annotated[int, typer.Option(help="Number of videos (LV-VIS format).")] = 40,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same bytes.")] = 0,
) -> None:
    """Write the sample world: drawn scenes in LVIS and LV-VIS format.

    facts.json holds what is true of every object.
    """
    from capgen.sample.write import write_world

    with working("drawing") as tell:

        def progress(done: int, of: int) -> None:
            tell(f"drawing: {done:,} of {of:,} scenes")

        summary = write_world(directory, images=images, videos=videos, seed=seed, progress=progress)
    echo(str(summary))


@app.command()
def score(
    out: options.RunFolder,
    facts: Annotated[Path, typer.Option(help="facts.json of the sample world.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Count how many captions of the sample world are true."""
    from capgen.evaluation.sample_facts import render_table, score_release

    result = score_release(out, facts)
    if as_json:
        typer.echo(json.dumps(result.as_json(), indent=1))
    else:
        echo(render_table(result))
