"""The verbs of MaskCaptioner: train, predict; and a trained model as a benchmark's predictor."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress

from capgen.cli import options
from capgen.cli.data import places
from capgen.cli.runs.output import long_work
from capgen.display import StepLog, echo, note, plain, progress_terminal
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.evaluation.benchmarks.base import Clip
    from capgen.maskcaptioner.inference.track import Track
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
    from capgen.maskcaptioner.predict import Prediction, PredictionFiles

app = typer.Typer(rich_markup_mode=None)


@app.command("predict")
@long_work("the picture's or video's path")
def predict_verb(
    source: Annotated[Path, typer.Argument(metavar="INPUT", help="Video file, folder of frames, or picture.")],
    out: Annotated[Path, typer.Option(help="Folder for tracks.json, the annotated video and the sheet.")],
    model: Annotated[
        str, typer.Option(help="Folder of a trained MaskCaptioner, or sample (the packaged one).")
    ] = "sample",
    threshold: Annotated[float | None, typer.Option(help="Minimum score of a track, 0 to 1. Default: 0.5.")] = None,
    max_tracks: Annotated[int | None, typer.Option(help="Maximum number of tracks. Default: 50.")] = None,
    every: Annotated[int, typer.Option(help="Use every Nth frame.")] = 1,
    fps: Annotated[
        float | None, typer.Option(help="Frame rate of the input. Default: the file's; 6 for a folder.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="Torch device. Default: a GPU if there is one.")] = None,
    video_id: Annotated[str, typer.Option(help="Video id in tracks.json, for capgen eval tracks.")] = "1",
    fill: Annotated[
        bool, typer.Option("--fill", help="Tint the masks too; this changes the objects' colours.")
    ] = False,
    follow_links: Annotated[
        bool | None,
        typer.Option(
            "--follow-links/--no-follow-links",
            help="Whether frames may be links out of INPUT. Default: yes, unless it lies in a run's folder.",
            show_default=False,
        ),
    ] = None,
    as_json: options.JsonFlag = False,
) -> None:
    """Detect, segment, track and caption the objects of a video.

    Writes masks, tracks and captions, and draws them into an annotated video.
    """
    request = PredictRequest(
        source, model, out, threshold, max_tracks, every, fps, device, video_id, fill, follow_links
    )
    found, written = predict(request, progress_terminal(stderr=as_json))
    if as_json:
        typer.echo(json.dumps(summary(found, written), indent=1))
        return
    for track in found.tracks:
        note(plain(f"{track.track_id:>3}  {track.score:.2f}  {track.caption or track.category or ''}{_doubt(track)}"))
    objects = f"{len(found.tracks)} object{'' if len(found.tracks) == 1 else 's'}"
    hint = "" if found.tracks else " (a lower --threshold shows what the model is less sure of)"
    echo(f"{objects} on {found.frames} frame{'' if found.frames == 1 else 's'}{hint}: {written.annotated}")


def _doubt(track: Track) -> str:
    """What is said of a caption that names another class than the track's."""
    return (
        f"  (class {track.category}, but the caption says {track.caption_category})" if track.caption_category else ""
    )


@app.command("train")
@long_work("the model's path")
def train_verb(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="Training file (TOML), or the name of one in pipelines/train/.")
    ],
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            parser=places.finished_out,
            metavar="DIR",
            help="Folder or URL of a run, or folder of a benchmark's files; may be repeated.",
        ),
    ] = None,
    root: Annotated[
        list[Path] | None,
        typer.Option(
            parser=places.dataset_root,
            metavar="DIR",
            help="Folder or URL of a dataset that was moved or that somebody else captioned; may be repeated.",
        ),
    ] = None,
    follow_links: options.FollowLinksFlag = None,
    report_to: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Where numbers go: tensorboard, wandb, all or none; may be repeated. Default: the file's.",
        ),
    ] = None,
    tensorboard: Annotated[
        bool | None,
        typer.Option("--tensorboard/--no-tensorboard", help="Write OUT/logs/tensorboard.", show_default=False),
    ] = None,
    wandb: Annotated[
        bool | None,
        typer.Option(
            "--wandb/--no-wandb",
            help="Send numbers to Weights & Biases (extra wandb), as its WANDB_ variables say.",
            show_default=False,
        ),
    ] = None,
    set_: options.SetFlag = None,
) -> None:
    """Train a MaskCaptioner on captioned masks.

    Run the same command again to resume a training that was stopped.
    """
    from capgen.cli.training import Seams, is_main_process, train
    from capgen.evaluation.benchmarks.media import BenchmarkRows
    from capgen.maskcaptioner.training.trackers import chosen_trackers

    seams = Seams(score=_validation_scores, benchmark=BenchmarkRows)
    flags = {**chosen_trackers(report_to, tensorboard=tensorboard, wandb=wandb), "data.follow_links": follow_links}
    made = train(file, data=data or (), out=out, roots=root or (), assignments=set_ or (), flags=flags, seams=seams)
    if is_main_process():
        echo(f"model: {made}  (capgen predict INPUT --model {made})")


def _validation_scores(truth: Path, predictions: Path) -> dict[str, float]:
    """CHOTA and its parts on the way, by the clean protocol; METEOR would start Java each time."""
    from capgen.evaluation.evaluate import Options, evaluate

    values = evaluate(truth, predictions, Options(metrics=("cider",))).scores[0].values
    return {key: value for key in ("CHOTA", "DetA", "AssA", "CapA") if (value := values.get(key)) is not None}


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """What ``capgen predict`` was asked for; ``threshold`` and ``max_tracks`` are the stream's own where None.

    ``follow_links``: see ``open_frames``.
    """

    source: Path
    model: str
    out: Path
    threshold: float | None = None
    max_tracks: int | None = None
    every: int = 1
    fps: float | None = None
    device: str | None = None
    video_id: str = "1"
    fill: bool = False
    follow_links: bool | None = None


def predict(request: PredictRequest, console: Console) -> tuple[Prediction, PredictionFiles]:
    """Open the input, then the model, and predict with a bar on the terminal.

    Raises:
        UserError: the input or the model cannot be read, or a number is out of range.
    """
    from capgen.maskcaptioner.inference.frames import open_frames
    from capgen.maskcaptioner.inference.load import open_model, resolve, unfit
    from capgen.maskcaptioner.predict import predict as run

    options = _stream_options(request.threshold, request.max_tracks)
    source = open_frames(request.source, every=request.every, fps=request.fps, follow_links=request.follow_links)
    note = unfit(resolve(request.model), request.source)
    if note is not None:
        console.print(f"note: {note}", markup=False, highlight=False, soft_wrap=True)
    with console.status("opening the model") if console.is_terminal else _Quiet():
        model = open_model(request.model, request.device)
    name = Path(request.model).name or request.model
    identity = int(request.video_id) if request.video_id.isdecimal() else request.video_id
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}
        steps = StepLog()

        def show(what: str, done: int, total: int | None) -> None:
            task = tasks.setdefault(what, None)
            tasks[what] = task = bars.add_task(what, total=total) if task is None else task
            bars.update(task, completed=done, total=total)
            steps(f"{what}: {done:,}" + (f" of {total:,}" if total else ""))

        stream = _stream(model, options)
        frames = int(model.config.clip_frames)
        info = {"model": name, **options, "clip_frames": frames} | ({"note": note} if note else {})
        return run(
            source,
            stream,
            request.out,
            clip_frames=frames,
            info=info,
            video_id=identity,
            fill=request.fill,
            progress=show,
        )


def summary(found: Prediction, written: PredictionFiles) -> dict[str, Any]:
    """The result as ``--json`` prints it: the tracks without their masks, and the files."""
    tracks = [
        {"id": t.track_id, "score": round(t.score, 6), "category": t.category, "caption": t.caption, "frames": t.frames}
        | ({"caption_category": t.caption_category} if t.caption_category else {})
        for t in found.tracks
    ]
    files = {"tracks": str(written.tracks), "annotated": str(written.annotated), "sheet": str(written.sheet)}
    return {"frames": found.frames, "height": found.size[0], "width": found.size[1], "tracks": tracks, "files": files}


@dataclass(frozen=True, slots=True)
class BenchmarkPredictor:
    """A model on the evaluated frames of a benchmark's videos, one video at a time; ``options`` are the stream's."""

    model: MaskCaptioner
    options: dict[str, Any] = field(default_factory=dict)

    def __call__(self, clip: Clip) -> Iterator[dict[str, Any]]:
        """COCO results; boxes alone where the benchmark states no size, and so compares boxes."""
        from capgen.maskcaptioner.predict import clips, detections

        stream = _stream(self.model, self.options)
        for frames in clips(clip.frames(), int(self.model.config.clip_frames)):
            stream.push(frames)
        for track in stream.finish():
            for row in detections(track, clip.image_ids):
                if clip.size == (0, 0):
                    row.pop("segmentation", None)
                yield row


class _Quiet:
    """No spinner."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, *_: object) -> None:
        return None


def _stream(model: MaskCaptioner, options: dict[str, Any]) -> Any:
    from capgen.maskcaptioner.inference.stream import Stream

    return Stream(model, **options)


def _stream_options(threshold: float | None, max_tracks: int | None) -> dict[str, Any]:
    """What the user set, checked.

    Raises:
        UserError: a number is out of range.
    """
    if threshold is not None and not 0 <= threshold <= 1:
        raise UserError(f"--threshold {threshold:g} is not a score", "give a number from 0 to 1")
    if max_tracks is not None and max_tracks < 1:
        raise UserError(f"--max-tracks {max_tracks} is not a number of objects", "give 1 or more")
    given = {"threshold": threshold, "max_tracks": max_tracks}
    return {key: value for key, value in given.items() if value is not None}
