"""``capgen eval benchmark``: the public benchmarks end to end."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from capgen.cli.evaluation.tracks import (
    DRAWS,
    AsJsonFlag,
    BreakdownFlag,
    DrawsFlag,
    FramesFlag,
    LineBreaksFlag,
    MetricsFlag,
    OutFlag,
    PageFlag,
    check_draws,
    evaluate_with_progress,
    iou_of,
    line_breaks_of,
    protocols_of,
    show,
)
from capgen.cli.providers import Providers
from capgen.cli.runs.output import long_work
from capgen.display import terminal
from capgen.evaluation.benchmarks import BENCHMARKS

if TYPE_CHECKING:  # numpy and pydantic are loaded by the verbs that need them, so that help starts at once
    from capgen.evaluation.benchmarks.run import BenchmarkChoice

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("the numbers")
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
    metrics: MetricsFlag = ["cider,meteor"],  # noqa: B006 - typer copies it
    line_breaks: LineBreaksFlag = "cut",
    json_: AsJsonFlag = False,
    breakdown: BreakdownFlag = False,
    bootstrap: DrawsFlag = DRAWS,
    html: PageFlag = None,
    frames: FramesFlag = None,
    out: OutFlag = None,
) -> None:
    """Run a public benchmark end to end.

    Reads the files as their owners release them and prints the table of the papers; docs/evaluation.md explains it.
    """
    from capgen.dataset.lock import exclusive, exclusive_file
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
        for file in (out, html):
            if file is not None:
                stack.enter_context(exclusive_file(file))
        if work is not None:
            stack.enter_context(exclusive(work))
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
