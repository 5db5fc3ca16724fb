"""The verbs about how far captions can be believed: calibrate."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from capgen.cli import options
from capgen.cli.providers import Providers
from capgen.cli.runs.output import long_work
from capgen.display import echo, json_text, note, working
from capgen.errors import UnknownName, UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from capgen.dataset.quality.calibration import Calibration
    from capgen.pipeline.judging.records import JudgeRules
    from capgen.pipeline.judging.scores import Method
    from capgen.pipeline.settings import Settings

app = typer.Typer(rich_markup_mode=None)
log = logging.getLogger(__name__)


@app.command()
def calibrate(
    out: options.RunFolder,
    facts: Annotated[Path | None, typer.Option(help="facts.json of the sample world that was captioned.")] = None,
    labels: Annotated[
        Path | None, typer.Option(help="JSON Lines with key and right (true or false), from anybody.")
    ] = None,
    reviews: Annotated[
        bool, typer.Option("--reviews", help="What people said in the gallery: OUT/reviews.jsonl.")
    ] = False,
    precision: Annotated[float, typer.Option(help="Share of the kept captions that should be right.")] = 0.975,
    score: Annotated[str, typer.Option(help="logprob_min or logprob_mean.")] = "logprob_min",
    scores: Annotated[
        Path | None, typer.Option(help="Table of capgen judge with key and score, instead of the log-probabilities.")
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(help="Picture of the curve (.png, .svg). Default: OUT/calibration.png.")
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Find the threshold of confidence for a wanted precision.

    The curve of precision against kept share goes to OUT/calibration.json and to a picture. Exit code 1 where no
    threshold reaches the precision.
    """
    import msgspec

    from capgen.dataset.files import write_whole
    from capgen.dataset.layout import RunLayout, refuse_links
    from capgen.dataset.lock import exclusive_file
    from capgen.evaluation.calibration.curve import as_text, calibrate, scores_of
    from capgen.evaluation.calibration.read import SCORES, fact_labels, file_labels, run_scores, table_scores
    from capgen.pipeline.releasing.reviewed import labels as review_labels

    if [facts is not None, labels is not None, reviews].count(True) != 1:
        raise UserError("what is right is not clear", "give --facts FILE, --labels FILE or --reviews, one of them")
    if score not in SCORES:
        raise UserError(f"--score {score!r} is none", f"known: {', '.join(SCORES)}")
    refuse_links(out)
    layout = RunLayout(out)
    run = run_scores(out, score)
    found = run.scores if scores is None else table_scores(scores)
    if reviews:
        known = review_labels(out, run.captions)
    else:
        known = fact_labels(run.captions.items(), facts) if facts is not None else file_labels(labels or Path())
    labelled, without = scores_of({key: found.get(key) for key in run.captions}, known)
    result = calibrate(
        labelled,
        precision,
        score=score if scores is None else scores.stem,
        truth=(facts or labels or layout.reviews).name,
        model=run.model,
        without_score=without,
    )
    with exclusive_file(layout.calibration):
        write_whole(layout.calibration, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
        drawn = _draw(result, plot or layout.calibration_plot)
    if as_json:
        typer.echo(json_text(msgspec.json.format(msgspec.json.encode(result)).decode()))
    else:
        echo(as_text(result))
        echo(f"written: {layout.calibration}{f', {drawn}' if drawn else ''}")
        if result.chosen is not None and scores is None and score == "logprob_min":
            echo(
                f'pipeline file: "unsure" in checks.names (drops) or checks.advisory (asks again), and '
                f"checks.options.unsure.threshold = {result.chosen.threshold:.4f}"
            )
    if result.chosen is None:
        raise typer.Exit(1)


def _draw(result: Calibration, file: Path) -> Path | None:
    """The picture's file; None, with a warning, where matplotlib is not installed."""
    from capgen.dataset.lock import exclusive_file
    from capgen.evaluation.calibration.plot import plot_curve

    try:
        with exclusive_file(file):
            plot_curve(result, file)
    except ImportError:
        log.warning("no picture of the curve: matplotlib is not installed (pip install 'capgen[eval]')")
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {file}: {error}", "give another --plot") from None
    return file


@app.command()
@long_work("the table's path")
def judge(
    ctx: typer.Context,
    out: options.RunFolder,
    captions: Annotated[
        Path | None, typer.Option(help="Other sentences about its objects: JSON Lines with key and caption.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="fit (log-probabilities against other objects), yes_no (questions) or confidence.")
    ] = "fit",
    table: Annotated[Path | None, typer.Option("--out", help="Table to write. Default: OUT/judge.parquet.")] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which a caption counts as right. Default: -1.")
    ] = None,
    contrast: Annotated[int, typer.Option(min=0, help="Other objects against which fit compares at most.")] = 3,
    category: Annotated[
        bool, typer.Option(help="Tell the model the category that the dataset gives the object (fit).")
    ] = True,
    model: Annotated[
        str | None,
        typer.Option(help="Hub name, model folder, embedded, or embedded-judge (yes_no on sample worlds)."),
    ] = None,
    engine: options.EngineFlag = None,
    root: options.RootFlag = None,
    gpus: options.GpusFlag = None,
    tensor_parallel: options.TensorParallelFlag = 1,
    follow_links: options.FollowLinksFlag = None,
    trust_out: options.TrustOutFlag = False,
    set_: options.SetFlag = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Score how well captions fit their objects.

    The table has a score and a verdict for each caption; retry --refused, calibrate --scores and report read it. What a
    call that was stopped has judged is kept.
    """
    from capgen.cli.runs.roots import picture_root
    from capgen.cli.settings import in_world
    from capgen.dataset.layout import refuse_links
    from capgen.pipeline.judging.records import JudgeRules, read_sentences
    from capgen.pipeline.judging.scores import THRESHOLD
    from capgen.pipeline.planning.config import with_model
    from capgen.pipeline.running.retry import recorded
    from capgen.sample.embedded_model import EMBEDDED, model_dir

    if method not in ("fit", "yes_no", "confidence"):
        raise UnknownName("--method", method, ("fit", "yes_no", "confidence"))
    sentences = read_sentences(captions) if captions is not None else None
    named = str(model_dir(model)) if model is not None and model in EMBEDDED else model
    refuse_links(out)
    if method != "confidence":
        root = picture_root(out, root, trusted=trust_out)
    flags = {"source.root": root, "source.follow_links": follow_links, "engine.name": engine}
    settings = recorded(out, flags, set_ or (), trusted=trust_out).settings
    if named is not None:
        settings = with_model(settings, named, set_ or ())
    least = THRESHOLD if threshold is None else threshold
    rules = JudgeRules(method=cast("Method", method), threshold=least, contrast=contrast, category=category)
    devices = ctx.ensure_object(Providers).devices(gpus, tensor_parallel, 1)
    _judge(
        out,
        in_world(settings),
        rules,
        gpus=devices.gpus,
        sentences=sentences,
        table=table,
        as_json=as_json,
        tell_path=echo,
    )


def judge_release(out: Path, settings: Settings, gpus: int) -> frozenset[str]:
    """Judge a run that has just ended as its settings say; the keys of captions that are to be asked for again."""
    from capgen.dataset.layout import RunLayout
    from capgen.evaluation.calibration.read import read_labels
    from capgen.pipeline.judging.records import JudgeRules

    wanted = settings.judge
    if wanted.method == "none":
        return frozenset()
    rules = JudgeRules(wanted.method, wanted.threshold, wanted.contrast, wanted.category)
    _judge(out, settings, rules, gpus=gpus)
    labels = read_labels(RunLayout(out).judge) if wanted.again else {}
    return frozenset(key for key, right in labels.items() if not right)


def _judge(
    out: Path,
    settings: Settings,
    rules: JudgeRules,
    *,
    gpus: int,
    sentences: Mapping[str, str] | None = None,
    table: Path | None = None,
    as_json: bool = False,
    tell_path: Callable[[str], None] = note,
) -> None:
    """Judge, and tell what came out."""
    import json

    from capgen.dataset.layout import RunLayout
    from capgen.pipeline.judging.judge import judge_run

    with working("judging") as tell:
        summary = judge_run(
            out,
            settings,
            rules,
            sentences=sentences,
            table=table,
            gpus=gpus,
            told=lambda done, total: tell(f"judged {done:,} of {total:,}"),
        )
    told = summary.as_json()
    if as_json:
        typer.echo(json.dumps(told, indent=1))
        return
    cost = f"{told['tokens_a_caption']:,.0f} prompt tokens a caption, {summary.cached_tokens:,} cached in all"
    counts = ", ".join(f"{told[name]:,} {name}" for name in ("right", "wrong", "unknown"))
    note(f"{told['judged']:,} captions judged by {rules.method}: {counts} (threshold {rules.threshold:.3f})")
    note(cost if rules.method != "confidence" else "the captions' own log-probabilities: nothing was asked")
    where = table or RunLayout(out).judge
    tell_path(f"written: {where}")
    note(f"ask again for what is wrong: capgen retry {out} --refused {where}")
