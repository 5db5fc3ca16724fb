"""Releases for other trainers and for the Hub, and captions of others: export, import, push."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from capgen.cli import options
from capgen.cli.runs.ending import embed_of
from capgen.cli.runs.output import long_work
from capgen.display import echo, note, plain, terminal, working
from capgen.errors import UserError
from capgen.exporting import FORMATS

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("the folder's path")
def export(
    out: options.RunFolder,
    dest: Annotated[Path, typer.Argument(metavar="DEST", help="Folder to create.")],
    to: Annotated[str, typer.Option(help=f"Form: {', '.join(FORMATS)}.", autocompletion=options.one_of(FORMATS))],
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
    from capgen.cli.runs.roots import picture_root
    from capgen.dataset.reader import holds_media
    from capgen.exporting.export import ExportRequest, check_pictures_mode, export_release
    from capgen.pipeline.planning.annotation_files import annotation_files

    given: dict[str, Any] = {"boxes": boxes, "questions": questions, "frames": frames}
    form = FORMATS.build(to, {name: value for name, value in given.items() if value is not None}, "option ")
    mode = check_pictures_mode(pictures)
    try:
        root = picture_root(out, root)
        files = annotation_files(out, root) if out.is_dir() else {}
    except UserError:
        if (mode != "reference" or form.pictures_in("image") is None) and not holds_media(out):
            raise
        root, files = out, {}  # what the source says beside captions is left out, as where its file is gone
    request = ExportRequest(out, dest, to, form, mode, root, follow_links, files)
    with working("exporting") as tell:
        report = export_release(request, lambda split, media: tell(f"exporting {split}: {media:,} media"))
    echo(f"{report.dest}{' is complete already' if report.already else ''}: {report.text()}")


@app.command("import")
@long_work("the release's path")
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
    embed: options.EmbedFlag = None,
    follow_links: options.FollowLinksFlag = None,
) -> None:
    """Make a release of captions that somebody else wrote.

    Every field of the file is kept. The release is trained on, scored, shown and exported like one of a run.
    """
    from capgen.pipeline.importing.imports import ImportRequest, counts_text, import_captions
    from capgen.pipeline.running.own_runs import note_import

    request = ImportRequest(given, out, root, split, dataset, model, license_, embed_of(embed), follow_links)
    with working("importing") as tell:
        ledger = import_captions(request, lambda verb, done, of: tell(f"{verb}: {done:,}/{of:,}"))
    note_import(out)
    echo(f"{out}: {counts_text(ledger)}")


@app.command()
@long_work("the address")
def push(
    out: options.RunFolder,
    repo: Annotated[str, typer.Argument(metavar="REPO", help="Dataset repository on the Hub: OWNER/NAME.")],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
    revision: Annotated[str | None, typer.Option(help="Branch, made where it is not there. Default: main.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
) -> None:
    """Upload a release to the Hugging Face Hub.

    First the files, their sizes and the card are shown. The token comes from HF_TOKEN or from `hf auth login`.
    """
    from capgen.exporting.push import plan_push, push_release

    plan = plan_push(out)
    console = terminal()
    for file in plan.files:
        note(plain(f"{file.bytes:>15,}  {file.path}"))
    note(f"{plan.bytes:>15,}  bytes in {len(plan.files)} files for {repo}{f' ({revision})' if revision else ''}")
    note(f"\n{plan.card}")
    if plan.edited:
        note("README.md was edited after the release was packed")
    if plan.warning:
        note(plain(f"the release is marked: {plan.warning}"))
    if not yes and not (console.is_terminal and typer.confirm(f"Send this to {repo}?")):
        echo("nothing was sent; --yes sends it")
        return
    with working("sending") as tell:
        address = push_release(
            plan,
            repo,
            private=private,
            revision=revision,
            progress=lambda name, done, of: tell(f"sending {done + 1}/{of}: {name}"),
        )
    echo(f"sent: {address}")
