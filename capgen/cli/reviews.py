"""The verb about what people said of captions: reviews."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from capgen.cli import options
from capgen.display import echo
from capgen.errors import UserError

app = typer.Typer(rich_markup_mode=None)


@app.command()
def reviews(
    out: options.RunFolder,
    to: Annotated[
        Literal["label-studio", "cvat"] | None,
        typer.Option("--to", help="Write objects and captions for an annotation tool into --folder."),
    ] = None,
    folder: Annotated[Path | None, typer.Option(help="Folder for --to. Default: OUT's name and the tool's.")] = None,
    select: Annotated[
        str, typer.Option("--filter", metavar="QUERY", help="Which objects, as in the gallery: 'status=kept&q=red'.")
    ] = "",
    root: options.RootFlag = None,
    take: Annotated[
        Path | None, typer.Option("--from", metavar="FILE", help="Add the reviews of a file that the tool exported.")
    ] = None,
) -> None:
    """Count reviews, or exchange them with Label Studio or CVAT.

    The next release takes them up; see docs/reviews.md.
    """
    from capgen.cli.runs.roots import picture_root
    from capgen.pipeline.gallery.selection import Selection
    from capgen.pipeline.reviewing import exchange

    if to is not None and take is not None:
        raise UserError("--to and --from are two different things", "give one of them")
    if to is not None:
        where = folder or Path(f"{out.resolve().name}-{to}")
        count = exchange.send(out, to, where, Selection.of_query(select), picture_root(out, root))
        echo(f"{count:,} objects in {where}")
        return
    if take is not None:
        done = exchange.take(out, take)
        new = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(done.new.items())) or "none"
        echo(f"new reviews: {new}; known: {done.known:,}; objects of which nothing was said: {done.silent:,}")
        if done.outdated:
            echo(f"{done.outdated:,} of the new ones are of captions that were replaced since, and do nothing")
        if done.strange:
            raise UserError(f"{take}: {done.strange:,} keys are of no finished object of {out}", "give the OUT of them")
        return
    counts = exchange.count_reviews(out)
    echo(", ".join(f"{counts[name]:,} {name}" for name in sorted(counts)) or "nothing was reviewed yet")
