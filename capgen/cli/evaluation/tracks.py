"""``capgen eval tracks``, and what it shares with ``capgen eval benchmark``: flags, names and the printed result."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress

from capgen.cli.runs.output import long_work
from capgen.display import StepLog, echo, progress_terminal, terminal
from capgen.errors import UnknownName, UserError
from capgen.evaluation import THRESHOLD

if TYPE_CHECKING:  # numpy and pydantic are loaded by the verbs that need them, so that help starts at once
    from capgen.evaluation.evaluate import Evaluation, Options
    from capgen.evaluation.metrics.official_chota import LineBreaks
    from capgen.evaluation.metrics.protocols import Protocol
    from capgen.evaluation.reading.tracks import Iou

app = typer.Typer(rich_markup_mode=None)

DRAWS = 1000
_CATEGORIES = 20

MetricsFlag = Annotated[
    list[str],
    typer.Option("--metrics", help="Caption metrics, comma-separated: cider, meteor, spice, or none."),
]
PageFlag = Annotated[
    Path | None, typer.Option(help="HTML file to write: numbers, breakdowns, the best and worst tracks.")
]
FramesFlag = Annotated[Path | None, typer.Option(help="Folder of the frames, for --html.")]
OutFlag = Annotated[Path | None, typer.Option(help="JSON file to write.")]
AsJsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
DrawsFlag = Annotated[int, typer.Option(help="Bootstrap samples for the 95 % confidence intervals; 0 for none.")]
BreakdownFlag = Annotated[bool, typer.Option("--breakdown", help="Add the numbers per category and size.")]
PerClassFlag = Annotated[
    str | None,
    typer.Option(help="Add HOTA and Track mAP a class, as TrackEval for youtube-vis, tao or burst."),
]
LineBreaksFlag = Annotated[
    str, typer.Option(help="official: cut captions at a line break (CaptionFormer) or keep them whole (scenic).")
]


@app.command(context_settings={"allow_extra_args": True})
@long_work("the numbers")
def tracks(
    ctx: typer.Context,
    gt: Annotated[Path, typer.Option(help="Ground truth: COCO or YouTube-VIS JSON with track ids and captions.")],
    pred: Annotated[Path, typer.Option(help="Predictions: JSON list of detections or tracks.")],
    iou: Annotated[str | None, typer.Option(help="IoU of box or mask. Default: what the predictions have.")] = None,
    protocol: Annotated[
        str, typer.Option(help="clean, official (numbers of the public evaluators), or both.")
    ] = "clean",
    threshold: Annotated[float, typer.Option(help="Minimum score of a prediction.")] = THRESHOLD,
    metrics: MetricsFlag = ["cider,meteor"],  # noqa: B006 - typer copies it
    line_breaks: LineBreaksFlag = "cut",
    per_class: PerClassFlag = None,
    json_: AsJsonFlag = False,
    breakdown: BreakdownFlag = False,
    bootstrap: DrawsFlag = DRAWS,
    html: PageFlag = None,
    frames: FramesFlag = None,
    out: OutFlag = None,
) -> None:
    """Score a results file: CHOTA, HOTA, mask AP, captions.

    docs/evaluation.md explains both protocols and every number.
    """
    # What follows ``--metrics cider`` without a flag of its own is another metric: ``--metrics cider meteor``.
    from capgen.dataset.lock import exclusive_file
    from capgen.evaluation.evaluate import Options, metrics_of

    names = metrics_of([*metrics, *ctx.args])
    check_draws(bootstrap)
    options = Options(
        iou=iou_of(iou),
        protocols=protocols_of(protocol),
        threshold=threshold,
        metrics=names,
        public_sizes=breakdown,
        line_breaks=line_breaks_of(line_breaks),
        per_class=per_class,
    )
    with ExitStack() as held:
        for file in (out, html):
            if file is not None:
                held.enter_context(exclusive_file(file))
        result = evaluate_with_progress(gt, pred, options)
        show(result, json_=json_, breakdown=breakdown, bootstrap=bootstrap, html=html, frames=frames, out=out)


def iou_of(name: str | None) -> Iou | None:
    """The kind of overlap a user named.

    Raises:
        UnknownName: it is neither.
    """
    kinds: Mapping[str | None, Iou | None] = {None: None, "box": "box", "mask": "mask"}
    if name not in kinds:
        raise UnknownName("--iou", str(name), ("box", "mask"))
    return kinds[name]


def line_breaks_of(name: str) -> LineBreaks:
    """What becomes of captions after a line break, as a user named it.

    Raises:
        UnknownName: it is neither.
    """
    kinds: Mapping[str, LineBreaks] = {"cut": "cut", "keep": "keep"}
    if name not in kinds:
        raise UnknownName("--line-breaks", name, kinds)
    return kinds[name]


def check_draws(number: int) -> None:
    """Look at the number of bootstrap samples before the work begins.

    Raises:
        UserError: it is negative.
    """
    if number < 0:
        raise UserError(f"--bootstrap {number} is negative", "give 0 for no intervals, or a number such as 1000")


def protocols_of(name: str) -> tuple[Protocol, ...]:
    """The protocols a user named.

    Raises:
        UnknownName: there is no such protocol.
    """
    known: dict[str, tuple[Protocol, ...]] = {
        "official": ("official",),
        "clean": ("clean",),
        "both": ("official", "clean"),
    }
    if name not in known:
        raise UnknownName("--protocol", name, known)
    return known[name]


def evaluate_with_progress(gt: Path, pred: Path, options: Options) -> Evaluation:
    """Evaluate, with a bar on the terminal."""
    from capgen.evaluation.evaluate import evaluate

    console = progress_terminal()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task, steps = progress.add_task("videos", total=None), StepLog()

        def tell(done: int, of: int) -> None:
            progress.update(task, completed=done, total=of)
            steps(f"evaluated {done:,} of {of:,} videos")

        return evaluate(gt, pred, options, progress=tell)


def show(
    result: Evaluation,
    *,
    json_: bool,
    breakdown: bool,
    bootstrap: int,
    html: Path | None,
    frames: Path | None,
    out: Path | None,
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Print the result and write what was asked for.

    Raises:
        UserError: a protocol refused a file, after the other's numbers were printed.
    """
    from capgen.dataset.files import write_whole
    from capgen.evaluation.reporting.report import as_json

    if json_ or out:
        text = json.dumps(as_json(result, draws=bootstrap, categories=breakdown) | dict(extra or {}), indent=2)
        if out:
            write_whole(out, text.encode() + b"\n")
        if json_:
            typer.echo(text)
    if not json_:
        _print(result, bootstrap, _CATEGORIES if breakdown else 0, extra or {})
    if html and result.scores:
        from capgen.evaluation.reporting.page import write_page

        write_page(result, html, frames=frames, draws=bootstrap)
    for why in result.refused.values():
        raise UserError(why)


def _print(result: Evaluation, draws: int, categories: int, extra: Mapping[str, Any]) -> None:
    from capgen.evaluation.reporting.report import tables

    console = terminal()
    for table in tables(result, draws=draws, categories=categories):
        console.print(table)
    for protocol, values in extra.get("track_captions", {}).items():
        line = ", ".join(f"{key} {value:.4f}" for key, value in values.items() if value is not None)
        echo(f"captions of whole tracks, {protocol}: {line}")
    for line in _notes(result):
        echo(f"- {line}")


def _notes(result: Evaluation) -> Iterable[str]:
    yield from result.notes
    for scores in result.scores:
        yield from (f"{scores.protocol}: {note}" for note in scores.notes)
