"""The verbs about how far captions can be believed: calibrate."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from capgen.cli import options
from capgen.display import echo
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.dataset.quality.calibration import Calibration

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
    write_whole(layout.calibration, msgspec.json.format(msgspec.json.encode(result)) + b"\n")
    drawn = _draw(result, plot or layout.calibration_plot)
    if as_json:
        typer.echo(msgspec.json.format(msgspec.json.encode(result)).decode())
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
    from capgen.evaluation.calibration.plot import plot_curve

    try:
        plot_curve(result, file)
    except ImportError:
        log.warning("no picture of the curve: matplotlib is not installed (pip install 'capgen[eval]')")
        return None
    except (OSError, ValueError) as error:
        raise UserError(f"cannot write {file}: {error}", "give another --plot") from None
    return file
