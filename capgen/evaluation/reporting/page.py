"""A page of the numbers, their breakdown, and the best and the worst tracks with their shapes and both captions.

It is one file that loads nothing. Names and captions are somebody else's text: all of it is escaped.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jinja2 import Environment
from markupsafe import Markup
from numpy.typing import NDArray
from pycocotools import mask as coco

from capgen.dataset.files import write_whole
from capgen.display import html_head, plain
from capgen.errors import UserError
from capgen.evaluation.evaluate import Evaluation
from capgen.evaluation.metrics.breakdown import by_category, by_partition, by_size
from capgen.evaluation.metrics.resampling.bootstrap import FEWEST_VIDEOS, Interval
from capgen.evaluation.metrics.resampling.sums import intervals
from capgen.evaluation.metrics.rows import TruthRow
from capgen.evaluation.reading.burst import opened
from capgen.evaluation.reading.files import video_at
from capgen.evaluation.reading.tracks import Detection, VideoTracks
from capgen.evaluation.reporting.dot_plot import DotPlot, dot_plot
from capgen.evaluation.reporting.report import IDENTITY, class_means, main_names
from capgen.images import MAX_PIXELS, PictureFault, path_under, read_picture

_WIDTH = 320
_CATEGORIES = 15
_AP = ("AP", "AP50", "AP75", "AP_base", "AP_novel", "AP_M")
_NO_PICTURE = ("picture_missing", "picture_unreadable")
_TRUTH, _FOUND = (85, 158, 26), (154, 56, 194)  # BGR of the page's two colours
_DARK, _LIGHT = (22, 18, 16), (248, 246, 244)


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


@dataclass(frozen=True, slots=True)
class NumberCell:
    """One number of the table in per cent, and its interval where it has one."""

    number: str
    interval: str = ""


def write_page(
    result: Evaluation, out: Path, *, frames: Path | None = None, tracks: int = 12, shown: int = 4, draws: int = 0
) -> None:
    """Write the page of the numbers and of the ``tracks`` best and worst tracks of the last protocol.

    Args:
        frames: the folder that the ground truth's file names are relative to; without it objects lie on plain grey.
        shown: pictures a track, evenly spaced over its frames.
        draws: bootstrap draws for the 95 % intervals; 0 for none.

    Raises:
        UserError: a frame is missing or no picture.
    """
    scores = result.scores[-1]
    ranked = sorted(scores.truths, key=lambda row: (-track_score(row), row.frames))
    best = [row for row in ranked if row.tp][:tracks]
    worst = ranked[len(best) :][-tracks:][::-1]
    cards = _cards(result, [*best, *worst], frames, shown)
    title = f"{result.predictions.name} on {result.truth.name}"
    folder = Path(__file__).parent
    pages = Environment(autoescape=True, finalize=_shown)
    template = pages.from_string((folder / "page.html.jinja").read_text("utf-8"))
    text = html_head(title, style=(folder / "page.css").read_text("utf-8")) + template.render(
        title=title,
        summary=_summary(result),
        protocols=[s.protocol for s in result.scores],
        numbers=_numbers(result, draws),
        sure=_sure(result, draws),
        classes=_classes(result),
        plots=_plots(result),
        notes=result.notes + [f"{s.protocol}: {note}" for s in result.scores for note in s.notes],
        hint="" if frames else "Objects lie on grey: pass --frames FOLDER to see them in their pictures.",
        sections=[
            (f"The {len(best)} best tracks", cards[: len(best)]),
            (f"The {len(worst)} worst tracks", cards[len(best) :]),
        ],
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    write_whole(out, text.encode("utf-8", "replace"))


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
    sums = row.captions
    return {metric: score / max(sums.found, sums.weight) for metric, score in sums.scores.items() if sums.found}


def _shown(value: object) -> object:
    """What the template prints: text without terminal controls and marks that turn the direction of reading."""
    return plain(value, lines=True) if isinstance(value, str) and not isinstance(value, Markup) else value


def _summary(result: Evaluation) -> str:
    compared = "masks" if result.iou == "mask" else "boxes"
    return f"{result.videos:,} videos, compared by {compared} at alpha 0.5, threshold {result.options.threshold:g}."


def _sure(result: Evaluation, draws: int) -> str:
    if not draws:
        return ""
    if result.videos < FEWEST_VIDEOS:
        return f"There are no confidence intervals: they need {FEWEST_VIDEOS} videos."
    return f"In brackets: 95 % intervals from drawing the {result.videos:,} videos again, {draws:,} times."


def _numbers(result: Evaluation, draws: int) -> list[tuple[str, list[NumberCell]]]:
    metrics = result.options.metrics
    spans = [intervals(scores, draws=draws) if draws else {} for scores in result.scores]
    rows = []
    for name, label in [*main_names(metrics), *((name, name) for name in (*IDENTITY, *_AP))]:
        values = [scores.values.get(name) for scores in result.scores]
        if any(value is not None for value in values):
            rows.append((label, [_cell(v, span.get(name)) for v, span in zip(values, spans, strict=True)]))
    return rows


def _classes(result: Evaluation) -> tuple[str, list[str], list[tuple[str, list[NumberCell]]]] | None:
    """Title, columns and rows of the means over classes, where they were asked for."""
    if result.per_class is None:
        return None
    title, names, rows = class_means(result.per_class)
    return title, names, [(label, [_cell(value, None) for value in values]) for label, values in rows]


def _cell(value: float | None, interval: Interval | None) -> NumberCell:
    if value is None:
        return NumberCell("-")
    span = f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]" if interval else ""
    return NumberCell(f"{100 * value:.2f}", span)


def _plots(result: Evaluation) -> list[DotPlot]:
    """The last protocol's numbers by size and by category."""
    scores = result.scores[-1]
    metrics = result.options.metrics if scores.combined else result.options.metrics[:1]
    captions = [(f"{part}_{'_'.join(metrics)}", part) for part in ("CapA", "CHOTA") if metrics]
    names = [("DetA", "DetA"), ("AssA", "AssA"), *captions] if captions else [(n, n) for n in ("DetA", "AssA", "HOTA")]
    categories = by_category(scores, result.categories)
    title = "By category" if len(categories) <= _CATEGORIES else f"By category, the {_CATEGORIES} with most tracks"
    found = [
        dot_plot(f"By size of object, {scores.protocol}", by_size(scores), names),
        dot_plot(f"Base and novel categories, {scores.protocol}", by_partition(scores, result.categories), names),
        dot_plot(f"{title}, {scores.protocol}", categories[:_CATEGORIES], names),
    ]
    return [plot for plot in found if plot]


def _cards(result: Evaluation, rows: Sequence[TruthRow], frames: Path | None, shown: int) -> list[TrackCard]:
    """The cards, each video read once more for its shapes."""
    cards: dict[int, TrackCard] = {}
    with opened(result.truth, result.predictions) as (truth, predictions):
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
        _outline(canvas, ((own[frame], _TRUTH), (found.get(frame), _FOUND)))
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
        if height * width > MAX_PIXELS:
            raise UserError(f"a picture of {height} x {width} pixels is too large to draw", "leave out --html")
        return np.full((height, width, 3), 128, np.uint8)
    try:
        picture = read_picture(path_under(*place), size=size if all(size) else None, name=place[1])
    except PictureFault as fault:
        what = "is missing or no picture" if fault.reason in _NO_PICTURE else f"cannot be shown: {fault.message}"
        remedy = "pass the folder that the file names of the ground truth start in"
        raise UserError(f"{Path(*place)} {what}", remedy) from fault
    return np.ascontiguousarray(picture[:, :, ::-1])


def _outline(canvas: NDArray[np.uint8], shapes: Sequence[tuple[Detection | None, tuple[int, int, int]]]) -> None:
    """Draw contours of masks, or of boxes, between a dark and a light edge; nothing is filled.

    They are as wide as stays visible when the picture is made small. No edge lies over another shape's colour, and
    shapes after the first are dashed, so that equal ones are both seen.
    """
    unit = max(1, round(canvas.shape[1] / _WIDTH))
    drawn = [(_lines(one), colour) for one, colour in shapes if one is not None]
    for shade, wide in ((_DARK, 8), (_LIGHT, 5)):
        for lines, _ in drawn:
            cv2.polylines(canvas, lines, True, shade, wide * unit, cv2.LINE_AA)
    for number, (lines, colour) in enumerate(drawn):
        strokes = [dash for line in lines for dash in _dashes(line, 10 * unit)] if number else lines
        cv2.polylines(canvas, strokes, not number, colour, 2 * unit, cv2.LINE_AA)


def _dashes(line: NDArray[np.int32], length: int) -> list[NDArray[np.int32]]:
    """Every other piece of a closed line, each of about ``length`` pixels."""
    corners = np.concatenate((line.reshape(-1, 2), line.reshape(-1, 2)[:1])).astype(np.float64)
    along = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(corners, axis=0).T))))
    at = np.arange(0.0, along[-1] + 1)
    points = np.stack([np.interp(at, along, corners[:, axis]) for axis in (0, 1)], axis=1).round().astype(np.int32)
    return [points[start : start + length + 1] for start in range(0, len(points), 2 * length)]


def _lines(one: Detection) -> list[NDArray[np.int32]]:
    if one.mask is not None:
        lines, _ = cv2.findContours(coco.decode(one.mask), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        return [line.astype(np.int32) for line in lines]
    if one.box is None:
        return []
    x, y, w, h = (round(v) for v in one.box)
    return [np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.int32)]


def _data_url(canvas: NDArray[np.uint8]) -> str:
    height, width = canvas.shape[:2]
    small = cv2.resize(canvas, (_WIDTH, max(1, round(height * _WIDTH / width))), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
