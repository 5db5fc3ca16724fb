"""The verbs of the caption pipeline: run, status, verify, retry, lint, preview, gallery."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from capgen.cli import options
from capgen.cli.data import places
from capgen.cli.providers import Providers
from capgen.cli.runs.dry_run import dry_run
from capgen.cli.runs.ending import embed_of, finish
from capgen.cli.runs.metrics import with_metrics
from capgen.cli.runs.output import long_work
from capgen.cli.settings import in_world, settings_of, with_world
from capgen.dataset.layout import refuse_links
from capgen.display import echo, note, progress_terminal
from capgen.errors import LedgerError, UserError
from capgen.pipeline.running.metrics.run_metrics import RunMetrics

app = typer.Typer(rich_markup_mode=None)

_DEFAULT_OUT = {"image": "out/lviscap", "video": "out/lv-viscap"}


@app.command()
@long_work("the release's path")
@with_metrics
def run(
    ctx: typer.Context,
    dataset: options.DatasetFlag = None,
    pipeline: options.PipelineFlag = None,
    root: options.RootFlag = None,
    split: options.SplitFlag = None,
    out: Annotated[
        Path | None,
        typer.Option(
            parser=places.new_out,
            metavar="OUT",
            help="Folder or URL of the run. Default: out/lviscap (images) or out/lv-viscap (videos).",
        ),
    ] = None,
    gpus: options.GpusFlag = None,
    tensor_parallel: options.TensorParallelFlag = 1,
    workers: options.WorkersFlag = 1,
    engine: options.EngineFlag = None,
    model: options.ModelFlag = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model on the hub.")] = None,
    limit: Annotated[int | None, typer.Option(help="Maximum number of objects to caption.")] = None,
    embed: options.EmbedFlag = None,
    embed_media: Annotated[bool, typer.Option("--embed-media", hidden=True, help="As --embed media.")] = False,
    fork: Annotated[
        bool, typer.Option("--fork", help="If --out holds a run with other settings, start a new run beside it.")
    ] = False,
    follow_links: options.FollowLinksFlag = None,
    only_plan: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what the run would take and write preview.html; nothing is started."),
    ] = False,
    price: Annotated[float | None, typer.Option(help="With --dry-run: price of an hour of one GPU.")] = None,
    set_: options.SetFlag = None,
    metrics: RunMetrics | None = None,
) -> None:
    """Caption every object of a dataset and write the release.

    Run the same command again, or capgen resume OUT, to go on with a run that was stopped.
    """
    from capgen.cli.quality import judge_release
    from capgen.pipeline.running.own_runs import DeviceFlags, note_run
    from capgen.pipeline.running.session import RunRequest, run_session

    flags = {
        "source.root": root,
        "source.split": split,
        "source.limit": limit,
        "source.follow_links": follow_links,
        "engine.name": engine,
        "model.id": model,
        "model.revision": revision,
    }
    settings, name = settings_of(dataset, pipeline, flags, set_ or ())
    if only_plan:
        dry_run(settings, name, gpus=gpus, tensor_parallel=tensor_parallel, price=price)
        return
    devices = ctx.ensure_object(Providers).devices(gpus, tensor_parallel, workers)
    where = out or Path(_DEFAULT_OUT[settings.kind])
    settings = with_world(settings, where)
    console = progress_terminal(stderr=False)
    embed = "media" if embed_media else embed
    given = DeviceFlags(gpus=gpus, tensor_parallel=tensor_parallel, workers=workers)
    wanted = RunRequest(
        where,
        name,
        devices,
        fork=fork,
        embed=embed_of(embed),
        planned=lambda job: note_run(job, given, embed),
        metrics=metrics,
    )
    made, report = run_session(settings, wanted, console)
    if settings.judge.method != "none":
        wrong = judge_release(made, settings, devices.gpus)
        if wrong:
            wanted = replace(wanted, again=(), refused=wrong)
        made, last = run_session(settings, replace(wanted, out=made, fork=False), console)  # the card has the scores
        report = last if wrong else report
    finish(made, report, console)


@app.command()
def status(out: options.RunAtAGlance, as_json: options.JsonFlag = False) -> None:
    """Show how far a run is."""
    from capgen.pipeline.running.status import run_status

    state = run_status(out)
    if as_json:
        typer.echo(json.dumps(state.as_json(), indent=1))
    else:
        echo(state.text())


@app.command()
@long_work("the accounts")
def verify(out: options.RunFolder, as_json: options.JsonFlag = False) -> None:
    """Check that a run accounts for every object exactly once.

    Planned = kept + dropped + failed, no key twice, no key missing, every file's hash as recorded. Exit code 3 if not.
    """
    from capgen.dataset.reader import read_plan
    from capgen.pipeline.releasing.verify import verify as prove
    from capgen.pipeline.running.progress import ProgressDisplay
    from capgen.pipeline.tasks import local_tasks

    objects = read_plan(out).table.objects
    with ProgressDisplay(progress_terminal()) as display, local_tasks(objects) as tasks:
        ledger = prove(out, display.steps("verifying"), tasks=tasks)
    if as_json:
        typer.echo(json.dumps(ledger.as_json(), indent=1))
    else:
        echo(ledger.text())
    if not ledger.ok:
        raise typer.Exit(LedgerError.exit_code)


@app.command()
@long_work("the release's path")
@with_metrics
def retry(
    ctx: typer.Context,
    out: options.RunFolder,
    reason: Annotated[
        list[str] | None,
        typer.Option(metavar="CODE", help="Reason to retry, as status prints it; may be repeated. Default: failures."),
    ] = None,
    refused: Annotated[
        Path | None,
        typer.Option(help="Captions found wrong: JSON Lines with key and right, or a table with key and verdict."),
    ] = None,
    flagged: Annotated[bool, typer.Option("--flagged", help="Captions marked as bad in the gallery.")] = False,
    key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="One object, by its key; may be repeated.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Text file with a key a line.")] = None,
    root: options.RootFlag = None,
    gpus: options.GpusFlag = None,
    tensor_parallel: options.TensorParallelFlag = 1,
    workers: options.WorkersFlag = 1,
    engine: options.EngineFlag = None,
    follow_links: options.FollowLinksFlag = None,
    trust_out: options.TrustOutFlag = False,
    set_: options.SetFlag = None,
    metrics: RunMetrics | None = None,
) -> None:
    """Ask again for what failed, was dropped or is found wrong.

    The release is written anew; rows of all other objects stay as they are.
    """
    from capgen.cli.runs.roots import picture_root
    from capgen.pipeline.running.retry import recorded
    from capgen.pipeline.running.session import RunRequest, run_session

    refuse_links(out)
    root = picture_root(out, root, trusted=trust_out)
    flags = {"source.root": root, "source.follow_links": follow_links, "engine.name": engine}
    was = recorded(out, flags, set_ or (), trusted=trust_out)
    again = tuple(dict.fromkeys(reason or ()))
    wrong = _wrong(out, refused, key or (), keys, flagged=flagged)
    devices = ctx.ensure_object(Providers).devices(gpus, tensor_parallel, workers)
    console = progress_terminal(stderr=False)
    wanted = RunRequest(
        places.out_to_run(out), was.model, devices, embed=was.embed, again=again, refused=wrong, metrics=metrics
    )
    made, report = run_session(in_world(was.settings), wanted, console)
    if report.retried and not any(did["changed"] for did in report.retried.values()):
        note("nothing changed: the same engine gives the same answers; change what made them fail first")
    finish(made, report, console)


def _wrong(
    out: Path, refused: Path | None, named: Sequence[str], file: Path | None, *, flagged: bool
) -> frozenset[str]:
    """The keys whose captions the user wants asked for again.

    Raises:
        UserError: somebody named keys, and there are none.
    """
    from capgen.evaluation.calibration.read import read_labels
    from capgen.pipeline.releasing.reviewed import flagged as found_bad
    from capgen.pipeline.running.retry import check_keys, read_keys

    wrong = {key for key, right in read_labels(refused).items() if not right} if refused else set()
    chosen = [*named, *(read_keys(file) if file else ())]
    check_keys(out, chosen)
    wrong.update(chosen)
    if flagged:
        wrong |= found_bad(out)
    if not wrong and (flagged or refused or file):
        raise UserError(f"{out}: no caption is marked as wrong", "mark some in `capgen gallery`, or name keys")
    return frozenset(wrong)


@app.command()
def lint(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines, CSV or Parquet file, or a run's folder.")],
    as_json: options.JsonFlag = False,
) -> None:
    """Check the captions in a file or in a run's folder.

    Every row is printed as a line of JSON with its reasons added: a list of the checks that drop its caption. Rows that
    cannot be read are named, the others are checked, and the exit code is 2.
    """
    from capgen.pipeline.checks.lint import lint_file

    for line in lint_file(file, as_json=as_json):
        # not typer.echo, which flushes each line: that takes longer than the checks
        sys.stdout.write(f"{line}\n")


@app.command()
@long_work("the page's path")
def preview(
    ctx: typer.Context,
    dataset: options.DatasetFlag = None,
    pipeline: options.PipelineFlag = None,
    root: options.RootFlag = None,
    split: options.SplitFlag = None,
    engine: options.EngineFlag = None,
    model: options.ModelFlag = None,
    number: Annotated[int, typer.Option("-n", min=1, help="Number of objects to show.")] = 12,
    seed: Annotated[int | None, typer.Option(help="Show a random sample by this seed, not the first objects.")] = None,
    category: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only objects of this category; may be repeated.")
    ] = None,
    key: Annotated[
        list[str] | None, typer.Option(metavar="KEY", help="Only this object, by its key; may be repeated.")
    ] = None,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("preview.html"),
    ask: Annotated[bool, typer.Option("--ask", help="Start the engine, ask, and show the answers too.")] = False,
    gpus: options.GpusFlag = None,
    tensor_parallel: options.TensorParallelFlag = 1,
    follow_links: options.FollowLinksFlag = None,
    set_: options.SetFlag = None,
) -> None:
    """Write a page with the pictures and prompts that the model gets.

    Where the model's processor is on this machine, with the chat template's text and the tokens of each part. No model
    is run without --ask, which asks each object once and tells what the checks say of the answer.
    """
    from capgen.pipeline.estimating.token_counter import token_counter
    from capgen.pipeline.pages.preview import PreviewSample, preview_page
    from capgen.pipeline.planning.prepare import checked

    flags = {
        "source.root": root,
        "source.split": split,
        "source.limit": number,
        "source.follow_links": follow_links,
        "engine.name": engine,
        "model.id": model,
    }
    settings, _ = settings_of(dataset, pipeline, flags, set_ or ())
    settings = with_world(settings, out.parent / f"{out.stem}-world")
    ask_gpus = None
    if ask:
        ask_gpus = ctx.ensure_object(Providers).devices(gpus, tensor_parallel, 1).gpus
        checked(settings)
    sample = PreviewSample(frozenset(key or ()), frozenset(category or ()), seed)
    shown = preview_page(settings, out, sample, counter=token_counter(settings), ask_gpus=ask_gpus)
    echo(f"{shown} objects in {out}")


@app.command()
@long_work("the address or the page's path")
def gallery(
    out: options.RunFolder,
    export: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Write a selection as static files into FOLDER instead of serving it."),
    ] = None,
    select: Annotated[
        str,
        typer.Option(
            "--filter",
            metavar="QUERY",
            help="What to show, as it stands in the page's address behind the question mark: 'status=dropped&q=red'.",
        ),
    ] = "",
    limit: Annotated[int, typer.Option(help="Maximum number of images or videos that --export writes.")] = 100,
    beside: Annotated[
        Path | None, typer.Option(metavar="OUT2", help="Show the captions of another run of the same objects beside.")
    ] = None,
    root: options.RootFlag = None,
    follow_links: options.FollowLinksFlag = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; others than this machine reach 0.0.0.0.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 0,
    browse: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    trust_out: Annotated[
        bool, typer.Option("--trust-out", help="Use the picture folder, prompt files and code that OUT itself names.")
    ] = False,
) -> None:
    """Look at captions on a local page: filter, flag, edit them.

    Dropped and failed objects are shown too, with their reasons. It works while the run goes on. Ctrl-C ends it.
    """
    from capgen.cli.runs.roots import picture_root
    from capgen.pipeline.gallery.exact_request import ExactRequests, RecordedRequests
    from capgen.pipeline.gallery.export import export_run
    from capgen.pipeline.gallery.media_store import MediaStore
    from capgen.pipeline.gallery.row_index import RowIndex
    from capgen.pipeline.gallery.selection import Selection
    from capgen.pipeline.gallery.server import Gallery, serve
    from capgen.pipeline.running.own_runs import own_run

    selection = Selection.of_query(select)
    refuse_links(out)
    root = picture_root(out, root, trusted=trust_out)
    if export is not None:
        count = export_run(out, export, limit=limit, selection=selection, root=root, follow_links=follow_links)
        echo(f"{count} images and videos in {export / 'index.html'}")
        return
    index = RowIndex(out, beside)
    store = MediaStore(out, index.plan, root, follow_links=follow_links)

    places.follow(out)

    def ready(address: str) -> None:
        where = address.replace("/?", f"/?{selection.query()}&") if select else address
        echo(f"{where}\nCtrl-C ends the gallery")
        if browse:
            typer.launch(where)

    own = own_run(out)
    requests = RecordedRequests(index.plan.settings, trusted=trust_out)
    if own is not None:
        requests = RecordedRequests(own.settings, Path(own.folder), trusted=True)
    serve(Gallery(index, store, ExactRequests(store, requests)), host, port, ready)
