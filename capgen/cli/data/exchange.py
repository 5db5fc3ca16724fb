"""Releases for other trainers and for the Hub, and captions of others: export, import, push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from capgen.cli import options
from capgen.display import echo, terminal
from capgen.exporting import FORMATS

app = typer.Typer(rich_markup_mode=None)


@app.command()
def export(
    out: options.RunFolder,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to create.")],
    to: Annotated[str, typer.Option(help=f"Form: {', '.join(FORMATS)}.")],
    pictures: Annotated[
        str, typer.Option(help="Pictures by reference, copied (copy) or in tar files (tar).")
    ] = "reference",
    boxes: Annotated[
        str | None, typer.Option(help="Scale of boxes: pixels, unit (0-1) or thousand (0-1000). Default: pixels.")
    ] = None,
    questions: Annotated[
        str | None, typer.Option(help="Template of conversations: caption, several, or a TOML file.")
    ] = None,
    frames: Annotated[int | None, typer.Option(help="Maximum number of frames of a video in a conversation.")] = None,
    root: options.RootFlag = None,
    follow_links: options.FollowLinksFlag = None,
) -> None:
    """Write a release in the form that another trainer reads.

    DEST appears when it is complete; the same command resumes an export that was stopped. Forms: docs/export.md.
    """
    from capgen.exporting.export import ExportRequest, check_pictures_mode, export_release
    from capgen.pipeline.planning.annotation_files import annotation_files

    given: dict[str, Any] = {"boxes": boxes, "questions": questions, "frames": frames}
    form = FORMATS.build(to, {name: value for name, value in given.items() if value is not None}, "option ")
    files = annotation_files(out, root) if out.is_dir() else {}
    request = ExportRequest(out, dest, to, form, check_pictures_mode(pictures), root, follow_links, files)
    console = terminal(stderr=True)
    with console.status("exporting") as shown:
        report = export_release(request, lambda split, media: shown.update(f"exporting {split}: {media:,} media"))
    echo(f"{report.dest}{' is complete already' if report.already else ''}: {report.text()}")


@app.command("import")
def import_(
    given: Annotated[
        Path, typer.Argument(metavar="FILE|DIR", help="LVISCap or LV-VISCap JSON, COCO or YouTube-VIS with captions.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the release.")],
    root: Annotated[Path | None, typer.Option(help="Folder of the pictures. Default: beside the file.")] = None,
    split: Annotated[str | None, typer.Option(help="Split of a single file. Default: from its name.")] = None,
    dataset: Annotated[
        str | None, typer.Option(help="Dataset in keys. Default: lvis, lv-vis, coco or youtube-vis.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Who wrote the captions, for the rows.")] = None,
    license_: Annotated[str | None, typer.Option("--license", help="Licence of the captions, for the card.")] = None,
) -> None:
    """Make a release of captions that somebody else wrote.

    Every field of the file is kept. The release is trained on, scored, shown and exported like one of a run.
    """
    from capgen.pipeline.importing.imports import ImportRequest, counts_text, import_captions

    console = terminal(stderr=True)
    request = ImportRequest(given, out, root, split, dataset, model, license_)
    with console.status("importing") as shown:
        ledger = import_captions(request, lambda verb, done, of: shown.update(f"{verb}: {done:,}/{of:,}"))
    echo(f"{out}: {counts_text(ledger)}")
