"""``capgen eval``: scores for tracks and captions, and the public benchmarks end to end."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from capgen.cli.providers import Providers
from capgen.display import echo, terminal
from capgen.errors import UnknownName, UserError
from capgen.evaluation import THRESHOLD
from capgen.evaluation.benchmarks import BENCHMARKS

if TYPE_CHECKING:  # numpy and pydantic are loaded by the verbs that need them, so that help starts at once
    from capgen.evaluation.benchmarks.run import BenchmarkChoice
    from capgen.evaluation.evaluate import Evaluation, Options
    from capgen.evaluation.metrics.official_chota import LineBreaks
    from capgen.evaluation.metrics.protocols import Protocol
    from capgen.evaluation.reading.tracks import Iou

app = typer.Typer(help="Score tracks and captions.", no_args_is_help=True, rich_markup_mode=None)

_DRAWS = 1000
_CATEGORIES = 20

_Metrics = Annotated[
    list[str],
    typer.Option("--metrics", help="Caption metrics, comma-separated: cider, meteor, spice, or none."),
]
_Page = Annotated[Path | None, typer.Option(help="HTML file to write: numbers, breakdowns, the best and worst tracks.")]
_Frames = Annotated[Path | None, typer.Option(help="Folder of the frames, for --html.")]
_Out = Annotated[Path | None, typer.Option(help="JSON file to write.")]
_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_Draws = Annotated[int, typer.Option(help="Bootstrap samples for the 95 % confidence intervals; 0 for none.")]
_ByCategory = Annotated[bool, typer.Option("--breakdown", help="Add the numbers per category and size.")]
_LineBreaks = Annotated[
    str, typer.Option(help="official: cut captions at a line break (CaptionFormer) or keep them whole (scenic).")
]


@app.command(context_settings={"allow_extra_args": True})
def tracks(
    ctx: typer.Context,
    gt: Annotated[Path, typer.Option(help="Ground truth: COCO or YouTube-VIS JSON with track ids and captions.")],
    pred: Annotated[Path, typer.Option(help="Predictions: JSON list of detections or tracks.")],
    iou: Annotated[str | None, typer.Option(help="IoU of box or mask. Default: what the predictions have.")] = None,
    protocol: Annotated[
        str, typer.Option(help="clean, official (numbers of the public evaluators), or both.")
    ] = "clean",
    threshold: Annotated[float, typer.Option(help="Minimum score of a prediction.")] = THRESHOLD,
    metrics: _Metrics = ["cider,meteor"],  # noqa: B006 - typer copies it
    line_breaks: _LineBreaks = "cut",
    json_: _AsJson = False,
    breakdown: _ByCategory = False,
    bootstrap: _Draws = _DRAWS,
    html: _Page = None,
    frames: _Frames = None,
    out: _Out = None,
) -> None:
    """Score a results file: CHOTA, HOTA, mask AP, captions.

    docs/evaluation.md explains both protocols and every number.
    """
    # What follows ``--metrics cider`` without a flag of its own is another metric: ``--metrics cider meteor``.
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
    )
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

    console = terminal(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("videos", total=None)
        return evaluate(
            gt, pred, options, progress=lambda done, all_: progress.update(task, completed=done, total=all_)
        )


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
    from capgen.evaluation.reporting.report import as_json

    if json_ or out:
        text = json.dumps(as_json(result, draws=bootstrap, categories=breakdown) | dict(extra or {}), indent=2)
        if out:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(text + "\n", encoding="utf-8")
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


@app.command()
def benchmark(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"Benchmark: {', '.join(BENCHMARKS)}.")],
    root: Annotated[Path, typer.Option(help="Folder of the benchmark's files.")],
    model: Annotated[Path | None, typer.Option(help="Folder of a trained MaskCaptioner.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Predictions (JSON) to score instead of a model.")] = None,
    describe: Annotated[
        bool, typer.Option("--describe", help="Compare the files with the published sizes, and stop.")
    ] = False,
    split: Annotated[str | None, typer.Option(help="Split. Default: the one that papers report on.")] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Option of the benchmark's reader; may be repeated."),
    ] = None,
    work: Annotated[Path | None, typer.Option(help="Folder in which to keep ground truth and predictions.")] = None,
    iou: Annotated[str | None, typer.Option(help="IoU of box or mask. Default: what papers use.")] = None,
    protocol: Annotated[
        str, typer.Option(help="clean, official (numbers of the public evaluators), or both.")
    ] = "both",
    threshold: Annotated[
        float | None, typer.Option(help="Minimum score of a prediction. Default: the published one.")
    ] = None,
    metrics: _Metrics = ["cider,meteor"],  # noqa: B006 - typer copies it
    line_breaks: _LineBreaks = "cut",
    json_: _AsJson = False,
    breakdown: _ByCategory = False,
    bootstrap: _Draws = _DRAWS,
    html: _Page = None,
    frames: _Frames = None,
    out: _Out = None,
) -> None:
    """Run a public benchmark end to end.

    Reads the files as their owners release them and prints the table of the papers; docs/evaluation.md explains it.
    """
    from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark, track_captions
    from capgen.evaluation.evaluate import Options, metrics_of
    from capgen.layered_toml import nested

    check_draws(bootstrap)
    choice = BenchmarkChoice(name, root, split, nested({}, set_ or ()))
    if describe:
        show_facts(choice, json_=json_)
        return
    options = Options(
        iou=iou_of(iou),
        protocols=protocols_of(protocol),
        threshold=choice.published_threshold if threshold is None else threshold,
        metrics=metrics_of(metrics),
        public_sizes=breakdown,
        line_breaks=line_breaks_of(line_breaks),
    )
    with ExitStack() as stack:
        folder = work or Path(stack.enter_context(TemporaryDirectory()))
        opener = ctx.ensure_object(Providers).open_model
        result = run_benchmark(
            choice, options, folder, predictions=pred, model=model, opener=opener, score=evaluate_with_progress
        )
        if threshold is None:
            result.notes.append(f"scores above {options.threshold:g} count, as published; --threshold overrides")
        extra = {}
        if choice.track_captions and result.iou == "box":
            extra["track_captions"] = track_captions(result, threshold)
            if threshold is None:
                result.notes.append("captions of whole tracks: predictions of every score count, as published")
        show(
            result,
            json_=json_,
            breakdown=breakdown,
            bootstrap=bootstrap,
            html=html,
            frames=frames,
            out=out,
            extra=extra,
        )


@app.command()
def captions(
    gt: Annotated[Path | None, typer.Option(help="References: JSON of captions by key.")] = None,
    pred: Annotated[Path | None, typer.Option(help="Captions: JSON, one by key.")] = None,
    judged: Annotated[Path | None, typer.Option(help="DLC-Bench: a file with a judge's answers, to count.")] = None,
    metrics: Annotated[
        list[str], typer.Option("--metrics", help="Caption metrics, comma-separated: cider, meteor, rouge.")
    ] = ["cider,meteor,rouge"],  # noqa: B006 - typer copies it
    json_: _AsJson = False,
) -> None:
    """Score captions of regions, without tracking.

    Captions are compared by key with references, or the answers of a judge are counted; docs/evaluation.md has both.
    """
    if judged and not gt and not pred:
        from dataclasses import asdict

        from capgen.evaluation.region_captions.dlc_bench import score_dlc_bench

        found = asdict(score_dlc_bench(judged))
        lines = [
            f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value:,}" for key, value in found.items()
        ]
    elif gt and pred and not judged:
        found = _against_references(gt, pred, metrics)
        lines = [f"{key} {value:.4f}" for key, value in found["values"].items() if value is not None]
        lines = [f"regions {found['regions']:,}", *lines, *(f"- {note}" for note in found["notes"])]
    else:
        raise UserError("nothing to score", "give --gt and --pred, or --judged alone")
    echo(json.dumps(found, indent=2) if json_ else "\n".join(lines))


def _against_references(gt: Path, pred: Path, metrics: list[str]) -> dict[str, Any]:
    """Scores against references, with the programs that the metrics need."""
    from dataclasses import asdict

    from capgen.evaluation.evaluate import metrics_of
    from capgen.evaluation.metrics.text.java_metrics import scorers
    from capgen.evaluation.region_captions.references import score_regions

    names = metrics_of(metrics)
    programs, missing = scorers(names)
    try:
        found = asdict(score_regions(gt, pred, names, programs))
    finally:
        for program in programs.values():
            program.close()
    return found | {"notes": [*found["notes"], *missing]}


def show_facts(choice: BenchmarkChoice, *, json_: bool) -> None:
    """Print the sizes of what is under the root, beside the published ones."""
    facts = choice.reader("official").describe()
    if json_:
        rows = [{"name": f.name, "published": f.published, "found": f.found, "verdict": f.verdict} for f in facts]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table(title=f"{choice.name} {choice.split or ''}".strip())
    for column in ("", "published", "here", "", "source"):
        table.add_column(column, justify="left" if column in ("", "source") else "right")
    for fact in facts:
        sizes = ("-" if value is None else f"{value:,}" for value in (fact.published, fact.found))
        table.add_row(fact.name, *sizes, fact.verdict, fact.source)
    terminal().print(table)
