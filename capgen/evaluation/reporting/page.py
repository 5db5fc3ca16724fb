"""A page of the best and the worst tracks, with their masks or boxes and both captions: one file, no network."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment
from numpy.typing import NDArray
from pycocotools import mask as coco

from capgen.errors import UserError
from capgen.evaluation.evaluate import Evaluation
from capgen.evaluation.metrics.rows import TruthRow
from capgen.evaluation.reading.files import PredictionFile, TruthFile, video_at
from capgen.evaluation.reading.tracks import Detection, VideoTracks
from capgen.evaluation.reporting.report import main_names
from capgen.images import PictureFault, path_under, read_picture

_WIDTH = 320
_NO_PICTURE = ("picture_missing", "picture_unreadable")
_TRUTH, _FOUND = (85, 158, 26), (154, 56, 194)  # BGR of the page's two colours


@dataclass(frozen=True, slots=True)
class StripPicture:
    """One frame of a strip: its number and a data URL."""

    frame: int
    source: str


@dataclass(frozen=True, slots=True)
class TrackCard:
    """One track on the page."""

    anchor: str
    category: str
    video: str
    track: str
    found: int
    frames: int
    values: tuple[tuple[str, str], ...]
    pictures: tuple[StripPicture, ...]
    reference: str
    candidate: str


def write_page(result: Evaluation, out: Path, *, frames: Path | None = None, tracks: int = 12, shown: int = 4) -> None:
    """Write the page of the ``tracks`` best and worst tracks of the last protocol.

    Args:
        frames: the folder that the ground truth's file names are relative to; without it objects lie on plain grey.
        shown: pictures a track, evenly spaced over its frames.

    Raises:
        UserError: a frame is missing or no picture.
    """
    scores = result.scores[-1]
    ranked = sorted(scores.truths, key=lambda row: (-track_score(row), row.frames))
    best = [row for row in ranked if row.tp][:tracks]
    worst = ranked[len(best) :][-tracks:][::-1]
    cards = _cards(result, [*best, *worst], frames, shown)
    template = Environment(autoescape=True).from_string(Path(__file__).with_name("page.html.jinja").read_text("utf-8"))
    text = template.render(
        title=f"{result.predictions.name} on {result.truth.name}",
        summary=_summary(result),
        protocols=[s.protocol for s in result.scores],
        numbers=_numbers(result),
        notes=result.notes + [f"{s.protocol}: {note}" for s in result.scores for note in s.notes],
        hint="" if frames else "Objects lie on grey: pass --frames FOLDER to see them in their pictures.",
        sections=[
            (f"The {len(best)} best tracks", cards[: len(best)]),
            (f"The {len(worst)} worst tracks", cards[len(best) :]),
        ],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(text, encoding="utf-8")


def track_score(row: TruthRow) -> float:
    """The share of its frames that were found, times how purely, times its caption, as a geometric mean, in 0 to 1."""
    if not row.tp:
        return 0.0
    factors = [row.tp / row.frames, row.associated / row.tp]
    found = caption_scores(row)
    if found:
        factors.append(min(1.0, sum(found.values()) / len(found)))
    return float(np.prod(factors) ** (1 / len(factors)))


def caption_scores(row: TruthRow) -> dict[str, float]:
    """The mean caption score of a track over the frames it was found on, by metric; empty without captions."""
    return {metric: score / row.captions.found for metric, score in row.captions.scores.items() if row.captions.found}


def _summary(result: Evaluation) -> str:
    compared = "masks" if result.iou == "mask" else "boxes"
    return f"{result.videos:,} videos, compared by {compared} at alpha 0.5, threshold {result.options.threshold:g}."


def _numbers(result: Evaluation) -> list[tuple[str, list[str]]]:
    rows = []
    names = [*main_names(result.options.metrics), ("AP", "AP"), ("AP_M", "AP_M")]
    for name, label in names:
        values = [s.values.get(name) for s in result.scores]
        if any(value is not None for value in values):
            rows.append((label, ["-" if value is None else f"{100 * value:.2f}" for value in values]))
    return rows


def _cards(result: Evaluation, rows: Sequence[TruthRow], frames: Path | None, shown: int) -> list[TrackCard]:
    """The cards, each video read once more for its shapes."""
    truth = TruthFile(result.truth)
    predictions = PredictionFile(result.predictions, truth)
    cards: dict[int, TrackCard] = {}
    for index in sorted({truth.video_of[row.video] for row in rows}):
        video = video_at(truth, predictions, result.iou, index)
        names = truth.file_names(index)
        for n, row in enumerate(rows):
            if row.video == video.video:
                cards[n] = _card(result, row, video, frames, names, shown)
    return [cards[n] for n in range(len(rows))]


def _card(
    result: Evaluation, row: TruthRow, video: VideoTracks, frames: Path | None, names: Sequence[str], shown: int
) -> TrackCard:
    own = {one.frame: one for one in video.truth if one.track == row.track}
    found = {one.frame: one for one in video.predictions if one.track == row.partner}
    visible = sorted(own)
    chosen = [visible[i] for i in np.linspace(0, len(visible) - 1, min(shown, len(visible))).round().astype(int)]
    pictures = []
    for frame in chosen:
        canvas = _canvas(video.size, (frames, names[frame]) if frames and names[frame] else None, own[frame])
        for one, colour in ((own[frame], _TRUTH), (found.get(frame), _FOUND)):
            if one is not None:
                _outline(canvas, one, colour)
        pictures.append(StripPicture(frame, _data_url(canvas)))
    category = result.categories.get(row.category) if row.category is not None else None
    values = [(name, f"{100 * value:.1f}") for name, value in caption_scores(row).items()]
    return TrackCard(
        anchor=f"track-{row.video}-{row.track}",
        category=category.name if category else "object",
        video=str(row.video),
        track=str(row.track),
        found=row.tp,
        frames=row.frames,
        values=(*values, ("score", f"{100 * track_score(row):.1f}")),
        pictures=tuple(pictures),
        reference=row.caption,
        candidate=row.candidate,
    )


def _canvas(size: tuple[int, int], place: tuple[Path, str] | None, shape: Detection) -> NDArray[np.uint8]:
    """BGR pixels to draw on: the picture of that name in that folder, else plain grey."""
    if place is None:
        height, width = size
        if not height or not width:  # a box file need not state sizes
            x, y, w, h = shape.box or (0.0, 0.0, 1.0, 1.0)
            height, width = int(y + h) + 1, int(x + w) + 1
        return np.full((height, width, 3), 128, np.uint8)
    try:
        picture = read_picture(path_under(*place), size=size if all(size) else None, name=place[1])
    except PictureFault as fault:
        what = "is missing or no picture" if fault.reason in _NO_PICTURE else f"cannot be shown: {fault.message}"
        remedy = "pass the folder that the file names of the ground truth start in"
        raise UserError(f"{Path(*place)} {what}", remedy) from fault
    return np.ascontiguousarray(picture[:, :, ::-1])


def _outline(canvas: NDArray[np.uint8], one: Detection, colour: tuple[int, int, int]) -> None:
    """Draw the contour of a mask, or of a box, as wide as stays visible when the picture is made small."""
    thick = max(1, round(canvas.shape[1] / _WIDTH * 2))
    if one.mask is not None:
        contours, _ = cv2.findContours(coco.decode(one.mask), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(canvas, contours, -1, colour, thick)
    elif one.box is not None:
        x, y, w, h = (round(v) for v in one.box)
        cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, thick)


def _data_url(canvas: NDArray[np.uint8]) -> str:
    height, width = canvas.shape[:2]
    small = cv2.resize(canvas, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
