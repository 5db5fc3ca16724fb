"""Where the command line joins the wings: a trained model for ``capgen predict`` and ``capgen eval benchmark``."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import Progress

from capgen.errors import UserError
from capgen.evaluation.benchmarks.base import Clip

if TYPE_CHECKING:
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
    from capgen.maskcaptioner.predict import Found, Written


@dataclass(frozen=True, slots=True)
class Wanted:
    """What ``capgen predict`` was asked for; ``threshold`` and ``max_tracks`` are the stream's own where None."""

    source: Path
    model: str
    out: Path
    threshold: float | None = None
    max_tracks: int | None = None
    every: int = 1
    fps: float | None = None
    device: str | None = None
    video_id: str = "1"


def predict(wanted: Wanted, console: Console) -> tuple[Found, Written]:
    """Open the input, then the model, and predict with a bar on the terminal.

    Raises:
        UserError: the input or the model cannot be read, or a number is out of range.
    """
    from capgen.maskcaptioner.inference.frames import open_frames
    from capgen.maskcaptioner.inference.load import open_model, resolve
    from capgen.maskcaptioner.predict import predict as run

    options = _stream_options(wanted.threshold, wanted.max_tracks)
    source = open_frames(wanted.source, every=wanted.every, fps=wanted.fps)
    resolve(wanted.model)
    with console.status("opening the model") if console.is_terminal else _Quiet():
        model = open_model(wanted.model, wanted.device)
    name = Path(wanted.model).name or wanted.model
    identity = int(wanted.video_id) if wanted.video_id.isdecimal() else wanted.video_id
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bars:
        tasks: dict[str, Any] = {}

        def show(what: str, done: int, total: int | None) -> None:
            task = tasks.setdefault(what, None)
            tasks[what] = task = bars.add_task(what, total=total) if task is None else task
            bars.update(task, completed=done, total=total)

        stream = _stream(model, options)
        frames = int(model.config.clip_frames)
        info = {"model": name, **options, "clip_frames": frames}
        return run(source, stream, wanted.out, clip_frames=frames, info=info, video_id=identity, progress=show)


def summary(found: Found, written: Written) -> dict[str, Any]:
    """The result as ``--json`` prints it: the tracks without their masks, and the files."""
    tracks = [
        {"id": t.track_id, "score": round(t.score, 6), "category": t.category, "caption": t.caption, "frames": t.frames}
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


def open_predictor(folder: Path) -> BenchmarkPredictor:
    """The opener that ``capgen eval benchmark --model`` is given.

    Raises:
        UserError: the model cannot be opened.
    """
    from capgen.maskcaptioner.inference.load import open_model

    return BenchmarkPredictor(open_model(str(folder)))


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
