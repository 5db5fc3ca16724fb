"""The command line: verbs only. ``main`` alone turns an error into one line and an exit code."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.exceptions import Abort, TyperException

from capgen import __version__
from capgen.cli import maskcaptioner as cli_model
from capgen.cli.evaluation import app as evaluation
from capgen.cli.evaluation import use_model
from capgen.errors import CapgenError, LedgerError, UnknownName, UserError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)

app.add_typer(evaluation, name="eval")
use_model(cli_model.open_predictor)

DATASETS = ("lvis", "lv-vis", "sample-images", "sample-videos")
_DEFAULT_OUT = {"image": "out/lviscap", "video": "out/lv-viscap"}

Root = Annotated[Path | None, typer.Option(help="the dataset's folder, laid out as its release")]
Split = Annotated[str | None, typer.Option(help="a split, several with commas, or all")]
Model = Annotated[str | None, typer.Option(help="a hub name, a model folder, or `embedded`")]
Assignments = Annotated[list[str] | None, typer.Option("--set", help="table.key=value of the pipeline file")]
Out = Annotated[Path, typer.Argument(help="the folder of a run")]
AsJson = Annotated[bool, typer.Option("--json", help="print JSON")]


@app.callback(invoke_without_command=True)
def _root(version: Annotated[bool, typer.Option("--version", help="print the version")] = False) -> None:
    """Caption every object of LVIS images and LV-VIS videos, and score what was said."""
    if version:
        typer.echo(f"capgen {__version__}")
        raise typer.Exit


@app.command()
def run(
    dataset: Annotated[str | None, typer.Option(help=" | ".join(DATASETS))] = None,
    pipeline: Annotated[str | None, typer.Option(help="a pipeline file instead of --dataset")] = None,
    root: Root = None,
    split: Split = None,
    out: Annotated[Path | None, typer.Option(help="where the run lives; run again to resume")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs in all; 0 is the CPU; default: all of this machine")] = None,
    tensor_parallel: Annotated[int, typer.Option(help="GPUs of one engine")] = 1,
    workers: Annotated[int, typer.Option(help="engines without a GPU")] = 1,
    engine: Annotated[str | None, typer.Option(help="vllm | openai | transformers | batchfile | echo")] = None,
    model: Model = None,
    revision: Annotated[str | None, typer.Option(help="of a hub name")] = None,
    limit: Annotated[int | None, typer.Option(help="plan only the first so many objects")] = None,
    embed_media: Annotated[bool, typer.Option(help="put the pictures into the media Parquet")] = False,
    fork: Annotated[bool, typer.Option(help="start beside an OUT of another fingerprint")] = False,
    set_: Assignments = None,
) -> None:
    """Caption every object of a dataset and pack the release; the same command resumes."""
    from capgen.pipeline.running.session import Wanted, run_session

    flags = {"source.root": root, "source.split": split, "source.limit": limit, "engine.name": engine}
    settings, name = _settings(dataset, pipeline, model, revision, flags, set_)
    devices = _devices(gpus, tensor_parallel, workers)
    where = out or Path(_DEFAULT_OUT[settings.kind])
    settings = _with_world(settings, where)
    console = Console()
    made, report = run_session(settings, Wanted(where, name, devices, fork=fork, embed_media=embed_media), console)
    console.print(report.table())
    console.print(f'release: {made}  (datasets.load_dataset("{made}"))', highlight=False)


@app.command()
def verify(out: Out, as_json: AsJson = False) -> None:
    """Prove the ledger of a run: planned = kept + dropped + failed, every key once, every file as recorded."""
    from capgen.pipeline.releasing.verify import verify as prove

    ledger = prove(out)
    typer.echo(json.dumps(ledger.as_json(), indent=1) if as_json else ledger.text())
    if not ledger.ok:
        raise typer.Exit(LedgerError.exit_code)


@app.command()
def status(out: Out, as_json: AsJson = False) -> None:
    """Say where a run stands."""
    from capgen.pipeline.running.status import standing

    state = standing(out)
    typer.echo(json.dumps(state.as_json(), indent=1) if as_json else state.text())


@app.command()
def retry(
    out: Out,
    reason: Annotated[list[str] | None, typer.Option(help="a code that status tells; default: all that failed")] = None,
    root: Root = None,
    gpus: Annotated[int | None, typer.Option(help="as for run")] = None,
    tensor_parallel: Annotated[int, typer.Option(help="as for run")] = 1,
    workers: Annotated[int, typer.Option(help="as for run")] = 1,
    set_: Assignments = None,
) -> None:
    """Ask again for the objects that failed or were dropped for a reason, and release anew; nothing else changes."""
    from capgen.pipeline.planning.prepare import ModelName
    from capgen.pipeline.running.retry import recorded
    from capgen.pipeline.running.session import Wanted, run_session

    was = recorded(out, {"source.root": root}, set_ or ())
    again, name = tuple(dict.fromkeys(reason or ())), ModelName(was.model, was.revision)
    devices = _devices(gpus, tensor_parallel, workers)
    console = Console()
    wanted = Wanted(out, name, devices, embed_media=was.embed_media, again=again)
    _, report = run_session(_in_world(was.settings), wanted, console)
    console.print(report.table())
    if report.retried and not any(did["changed"] for did in report.retried.values()):
        console.print(
            "nothing changed: the same engine answers the same question alike; change what made it fail first"
        )


@app.command()
def lint(file: Annotated[Path, typer.Argument(help="JSON lines with `caption`")], as_json: AsJson = False) -> None:
    """Run the caption checks alone, on any captions; every line comes out with its `reasons`."""
    from capgen.pipeline.checks.lint import lint_file

    for line in lint_file(file, as_json=as_json):
        typer.echo(line)


@app.command()
def preview(
    dataset: Annotated[str | None, typer.Option(help=" | ".join(DATASETS))] = None,
    pipeline: Annotated[str | None, typer.Option(help="a pipeline file instead of --dataset")] = None,
    root: Root = None,
    split: Split = None,
    model: Model = None,
    number: Annotated[int, typer.Option("-n", help="objects to show")] = 12,
    out: Annotated[Path, typer.Option(help="the page")] = Path("preview.html"),
    set_: Assignments = None,
) -> None:
    """Write a page with what the model would see of the first objects; no model runs."""
    from capgen.pipeline.pages.preview import preview_page

    flags = {"source.root": root, "source.split": split, "source.limit": number}
    settings, _ = _settings(dataset, pipeline, model, None, flags, set_)
    shown = preview_page(_with_world(settings, out.parent / f"{out.stem}-world"), out)
    typer.echo(f"{shown} objects in {out}")


@app.command()
def gallery(
    out: Out,
    file: Annotated[Path | None, typer.Option(help="the page; default OUT/gallery.html")] = None,
    limit: Annotated[int, typer.Option(help="images or videos at most")] = 100,
) -> None:
    """Write a page with what the model said, mask by mask, dropped and failed objects included."""
    from capgen.pipeline.pages.gallery import gallery_page

    where = file or out / "gallery.html"
    typer.echo(f"{gallery_page(out, where, limit=limit)} images and videos in {where}")


@app.command()
def sample(
    directory: Annotated[Path, typer.Argument(help="a new folder")],
    images: Annotated[int, typer.Option(help="pictures of the LVIS form")] = 200,
    videos: Annotated[int, typer.Option(help="videos of the LV-VIS form")] = 40,
    seed: Annotated[int, typer.Option(help="same seed, same bytes")] = 0,
) -> None:
    """Write the sample world: scenes in the LVIS and LV-VIS formats, with the truth about every object."""
    from capgen.sample.write import write_world

    summary = write_world(directory, images=images, videos=videos, seed=seed)
    typer.echo(str(summary))


@app.command()
def score(
    out: Out,
    facts: Annotated[Path, typer.Option(help="facts.json of the sample world")],
    as_json: AsJson = False,
) -> None:
    """Count how many captions of a release say what is true."""
    from capgen.evaluation.sample_facts import render_table, score_release

    result = score_release(out, facts)
    typer.echo(json.dumps(result.as_json(), indent=1) if as_json else render_table(result))


@app.command()
def predict(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="a video file, a folder of frames, or a picture")],
    out: Annotated[Path, typer.Option(help="a folder for tracks.json, the annotated video and the sheet")],
    model: Annotated[str, typer.Option(help="a trained MaskCaptioner's folder, or `sample`")] = "sample",
    threshold: Annotated[float | None, typer.Option(help="least score of a track, 0 to 1; default 0.5")] = None,
    max_tracks: Annotated[int | None, typer.Option(help="keep only so many, the best; default 50")] = None,
    every: Annotated[int, typer.Option(help="look at one frame of so many")] = 1,
    fps: Annotated[float | None, typer.Option(help="of the input; default: the file's, 6 for a folder")] = None,
    device: Annotated[str | None, typer.Option(help="as torch names it; default: a GPU if there is one")] = None,
    video_id: Annotated[str, typer.Option(help="written to tracks.json, for `capgen eval tracks`")] = "1",
    as_json: AsJson = False,
) -> None:
    """Detect, segment, track and caption the objects of any video, and draw them."""
    wanted = cli_model.Wanted(source, model, out, threshold, max_tracks, every, fps, device, video_id)
    found, written = cli_model.predict(wanted, Console(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(cli_model.summary(found, written), indent=1))
        return
    for track in found.tracks:
        typer.echo(f"{track.track_id:>3}  {track.score:.2f}  {track.caption or track.category or ''}")
    objects = f"{len(found.tracks)} object{'' if len(found.tracks) == 1 else 's'}"
    hint = "" if found.tracks else " (a lower --threshold shows what the model is less sure of)"
    typer.echo(f"{objects} on {found.frames} frame{'' if found.frames == 1 else 's'}{hint}: {written.annotated}")


@app.command()
def train(
    file: Annotated[str, typer.Argument(help="a training file, or the name of one in pipelines/train/")],
    out: Annotated[Path, typer.Option(help="where the training lives; run again to go on")],
    data: Annotated[
        list[Path] | None, typer.Option(help="OUT of `capgen run`, or a benchmark's root; repeatable")
    ] = None,
    set_: Assignments = None,
) -> None:
    """Train a MaskCaptioner on what `capgen run` wrote; the same command goes on after a kill."""
    from capgen.cli.training import Seams
    from capgen.cli.training import train as learn
    from capgen.evaluation.benchmarks.media import BenchmarkRows

    seams = Seams(score=_validation_scores, benchmark=BenchmarkRows)
    made = learn(file, data=data or (), out=out, assignments=set_ or (), seams=seams)
    typer.echo(f"model: {made}  (capgen predict INPUT --model {made})")


def _validation_scores(truth: Path, predictions: Path) -> dict[str, float]:
    """CHOTA and its parts on the way, by the clean protocol; METEOR would start Java each time."""
    from capgen.evaluation.evaluate import Options, evaluate

    values = evaluate(truth, predictions, Options(metrics=("cider",))).scores[0].values
    return {key: value for key in ("CHOTA", "DetA", "AssA", "CapA") if (value := values.get(key)) is not None}


def _settings(
    dataset: str | None,
    pipeline: str | None,
    model: str | None,
    revision: str | None,
    flags: dict[str, Any],
    assignments: list[str] | None,
) -> tuple[Any, Any]:
    """The settings and what rows call the model; ``embedded`` is looked up and its weights are checked here."""
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.prepare import ModelName

    if (dataset is None) == (pipeline is None):
        raise UserError("give either --dataset or --pipeline", f"--dataset takes {', '.join(DATASETS)}")
    if dataset is not None and dataset not in DATASETS:
        raise UnknownName("dataset", dataset, DATASETS)
    for flag in ("source.limit",):
        if flags.get(flag) is not None and flags[flag] < 1:
            raise UserError(f"--limit {flags[flag]} is not a number of objects", "give 1 or more")
    overrides = flags | {"model.id": model, "model.revision": revision}
    settings = load_settings(str(pipeline or dataset), overrides, assignments or ())
    if settings.model.id != "embedded":
        return settings, ModelName(settings.model.id, settings.model.revision)
    from capgen.sample.embedded_model import model_dir, weights_digest

    overrides["model.id"] = str(model_dir())
    settings = load_settings(str(pipeline or dataset), overrides, assignments or ())
    return settings, ModelName("embedded", weights_digest())


def _with_world(settings: Any, out: Path) -> Any:
    """The settings with a root: a pipeline over the sample world writes the world under OUT where none is given."""
    if settings.source.world is None or settings.source.root is not None:
        return _in_world(settings)
    from capgen.sample.write import write_world

    world = out / "world"
    if not (world / "facts.json").is_file():
        wanted = settings.source.world
        write_world(world, images=wanted.images, videos=wanted.videos, seed=wanted.seed)
    return _in_world(settings, world)


def _in_world(settings: Any, root: Path | None = None) -> Any:
    """The sample world holds a folder for each format; a root may be either the world or that folder."""
    root = root or settings.source.root
    if root is None or settings.source.world is None:
        return settings
    inner = root / settings.source.type
    source = settings.source.model_copy(update={"root": inner if inner.is_dir() else root})
    return settings.model_copy(update={"source": source})


def _devices(gpus: int | None, tensor_parallel: int, workers: int) -> Any:
    from capgen.pipeline.planning.preflight import check_gpus, local_gpus
    from capgen.pipeline.running.session import Devices

    if gpus is None:
        gpus = 0 if os.environ.get("RAY_ADDRESS") else local_gpus()
    check_gpus(gpus)
    if workers < 1 or tensor_parallel < 1:
        raise UserError("--workers and --tensor-parallel count from 1")
    if gpus == 0:
        return Devices(workers=workers, gpus=0)
    if gpus % tensor_parallel:
        raise UserError(f"--gpus {gpus} is no multiple of --tensor-parallel {tensor_parallel}", "change one of them")
    return Devices(workers=gpus // tensor_parallel, gpus=tensor_parallel)


def main() -> None:
    """Run a verb; any error becomes one line on stderr: exit 2 for the user's, 3 for a broken ledger, 1 otherwise."""
    logging.basicConfig(level=logging.WARNING, format="capgen: %(message)s", stream=sys.stderr)
    try:
        code = app(standalone_mode=False)
        if code == 130:  # so typer tells of a Ctrl-C that no verb took
            _say("stopped; run the same command again", 130)
    except Abort:
        code = _say("stopped; run the same command again to resume", 130)
    except TyperException as error:
        code = _say(error.format_message(), 2)
    except CapgenError as error:
        code = _say(str(error), error.exit_code)
    except KeyboardInterrupt:
        code = _say("stopped; what is done is kept, run the same command again to resume", 130)
    except Exception as error:
        if os.environ.get("CAPGEN_DEBUG"):
            raise
        code = _unforeseen(error)
    _leave(code if isinstance(code, int) else 0)


def _leave(code: int) -> None:
    """End the process with ``code``.

    CPython 3.11 remembers a KeyboardInterrupt that passed through ``exec`` of a string (dataclasses do that while they
    are imported), and would kill itself with SIGINT at its end although the interrupt was handled.
    """
    if code == 130:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def _unforeseen(error: Exception) -> int:
    from capgen.dataset.files import disk_trouble

    if isinstance(error, OSError):
        trouble = disk_trouble(error, Path(error.filename or Path.cwd()))
        if trouble is not None:
            return _say(str(trouble), trouble.exit_code)
    first = (str(error).strip().splitlines() or [""])[0]
    return _say(f"{type(error).__name__}: {first} (a defect of capgen; CAPGEN_DEBUG=1 shows where)", 1)


def _say(line: str, code: int) -> int:
    typer.echo(f"capgen: {line}", err=True)
    return code


if __name__ == "__main__":
    main()
