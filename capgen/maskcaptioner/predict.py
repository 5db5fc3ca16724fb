"""``capgen predict``: tracks with masks, boxes, classes and captions for any video, and pictures that show them.

The input is walked twice: first the model sees it clip by clip, then, the captions being known, the annotated video is
made. Neither walk holds more than a clip of frames. ``tracks.json`` has the form of YouTube-VIS results:

- ``info``: the program, ``model``, ``input``, the settings, and ``frames``, how many were looked at.
- ``videos``: one: ``id``, ``name``, ``width``, ``height``, ``length`` (frames), ``fps``, ``frame_numbers`` (their
  numbers in the input, from 0), ``times`` (seconds after the first frame; of a folder by its ``fps``) and, for
  pictures, ``file_names``.
- ``categories``: ``id``, ``name``: the classes that occur; ``id`` is the place in the model's list of classes, from 1.
- ``annotations``: one a track: ``id``, ``video_id``, ``category_id``, ``category``, ``score`` (0 to 1), ``caption``,
  ``caption_category`` (the class that the caption names, where that is another),
  and with one entry a frame, null where the object is not seen: ``bboxes`` (x, y, width, height in pixels),
  ``segmentations`` (COCO RLE, absent where the model finds boxes only) and ``areas`` (pixels).

``capgen eval tracks --pred`` reads the file as it stands; ``video_id`` must be the ground truth's.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from capgen import __version__, rle
from capgen.dataset.files import remove_parts, whole_file
from capgen.dataset.layout import PREDICTION_ENTRIES
from capgen.dataset.lock import exclusive
from capgen.errors import UserError
from capgen.images import Pixels
from capgen.maskcaptioner.drawing.sheet import Sheet, chosen
from capgen.maskcaptioner.drawing.video_writer import Annotator, VideoWriter
from capgen.maskcaptioner.inference.frames import InputFrames
from capgen.maskcaptioner.inference.track import Track
from capgen.rle import Size

_log = logging.getLogger(__name__)
_WHOLE = 0.95  # containers state the number of frames only roughly

ShowProgress = Callable[[str, int, int | None], None]
"""Called with what is being done, frames done, and frames in all where that is known."""


class TrackStream(Protocol):
    """What turns clips of frames into tracks; ``capgen.maskcaptioner.inference.stream.Stream`` is one."""

    def push(self, frames: list[Pixels]) -> None:
        """Look at the next clip: uint8 [H, W, 3] RGB frames; the last clip may be shorter."""
        ...

    def finish(self) -> list[Track]:
        """All tracks of the video."""
        ...


@dataclass(frozen=True, slots=True)
class Prediction:
    """What came of one input.

    Args:
        times: when each frame is shown, seconds after the first.
        size: height, width in pixels.
    """

    tracks: list[Track]
    times: tuple[float, ...]
    size: Size

    @property
    def frames(self) -> int:
        """How many frames were looked at."""
        return len(self.times)


@dataclass(frozen=True, slots=True)
class PredictionFiles:
    """The files of one prediction; ``annotated`` is an mp4, or a PNG for a picture."""

    tracks: Path
    annotated: Path
    sheet: Path


def _silent(what: str, done: int, total: int | None) -> None:
    """No progress is shown."""


def find_tracks(
    source: InputFrames, stream: TrackStream, clip_frames: int, progress: ShowProgress = _silent
) -> Prediction:
    """Show a source to the model, ``clip_frames`` frames at a time.

    Raises:
        UserError: the source cannot be read to its end.
    """
    size = (0, 0)
    times: list[float] = []

    def frames() -> Iterator[Pixels]:
        for seconds, frame in source:
            times.append(seconds)
            yield frame

    for clip in clips(frames(), clip_frames):
        size = clip[0].shape[0], clip[0].shape[1]
        stream.push(clip)
        progress("looking", len(times), source.expected)
    _warn_if_short(source, times)
    return Prediction(stream.finish(), tuple(times), size)


def _warn_if_short(source: InputFrames, times: Sequence[float]) -> None:
    """Say when the end of a file is missing; its length tells, as edit lists hide frames that its count includes."""
    if source.seconds is None or source.expected is None or len(times) < 2:
        return
    if 2 * times[-1] - times[-2] < _WHOLE * source.seconds:
        _log.warning("%s should have %d frames, but only %d can be read", source.path, source.expected, len(times))


def clips(frames: Iterable[Pixels], length: int) -> Iterator[list[Pixels]]:
    """Frames in lists of ``length``; the last may be shorter."""
    clip: list[Pixels] = []
    for frame in frames:
        clip.append(frame)
        if len(clip) == length:
            yield clip
            clip = []
    if clip:
        yield clip


def write_tracks(
    path: Path, source: InputFrames, found: Prediction, info: dict[str, Any], video_id: int | str = 1
) -> None:
    """Write ``tracks.json`` (the module says what is in it), a track in memory at a time."""
    names = source.names(found.frames)
    video = {
        "id": video_id,
        "name": source.path.name,
        "width": found.size[1],
        "height": found.size[0],
        "length": found.frames,
        "fps": round(source.fps, 4),
        "frame_numbers": list(range(0, found.frames * source.every, source.every)),
        "times": [round(seconds, 6) for seconds in found.times],
    } | ({"file_names": names} if names else {})
    classes = {(t.category_id, t.category) for t in found.tracks if t.category_id is not None}
    categories = [{"id": row + 1, "name": name} for row, name in sorted(classes, key=lambda pair: pair[0])]
    about = {"description": f"capgen {__version__}, MaskCaptioner", "input": source.path.name}
    about |= info | {"frames": found.frames, "every": source.every}
    with whole_file(path) as part, part.open("w", encoding="utf-8") as out:
        out.write(f'{{"info": {_json(about)},\n"videos": [{_json(video)}],\n"categories": {_json(categories)},\n')
        out.write('"annotations": [')
        for number, track in enumerate(found.tracks):
            out.write((",\n" if number else "\n") + _json(annotation(track, found.frames, video_id)))
        out.write("\n]}\n")


def annotation(track: Track, frames: int, video_id: int | str) -> dict[str, Any]:
    """One track as YouTube-VIS writes it, with an entry for each of ``frames`` frames."""
    boxes: list[list[float] | None] = [None] * frames
    areas: list[int | None] = [None] * frames
    shapes: list[dict[str, Any] | None] = [None] * frames
    for place, frame in enumerate(track.frames):
        boxes[frame] = [round(value, 2) for value in track.boxes[place]]
        if track.masks is not None:
            encoded = track.masks[place]
            shapes[frame] = {"size": list(encoded["size"]), "counts": encoded["counts"]}
            areas[frame] = rle.area(encoded["counts"], (encoded["size"][0], encoded["size"][1]))
        else:
            areas[frame] = round(track.boxes[place][2] * track.boxes[place][3])
    found: dict[str, Any] = {
        "id": track.track_id,
        "video_id": video_id,
        "category_id": None if track.category_id is None else track.category_id + 1,
        "category": track.category,
        "score": round(track.score, 6),
        "caption": track.caption,
        "bboxes": boxes,
        "areas": areas,
    }
    if track.caption_category is not None:
        found["caption_category"] = track.caption_category
    return found | ({"segmentations": shapes} if track.masks is not None else {})


def detections(track: Track, image_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """One track as COCO results, an object a frame; ``image_ids`` are those of the frames that were pushed."""
    for place, frame in enumerate(track.frames):
        row: dict[str, Any] = {
            "image_id": image_ids[frame],
            "track_id": track.track_id,
            "category_id": None if track.category_id is None else track.category_id + 1,
            "score": round(track.score, 6),
            "caption": track.caption or "",
            "bbox": [round(value, 2) for value in track.boxes[place]],
        }
        if track.masks is not None:
            row["segmentation"] = dict(track.masks[place])
        yield row


def write_pictures(
    out: Path,
    source: InputFrames,
    found: Prediction,
    about: str,
    note: str = "",
    *,
    fill: bool = False,
    progress: ShowProgress = _silent,
) -> tuple[Path, Path]:
    """Walk the source again and write the annotated video (or picture) and the contact sheet; returns both paths.

    Args:
        about: the model's name, for the sheet's heading.
        note: a warning that every picture shows.
        fill: tint masks, which changes the colours of objects.

    Raises:
        UserError: the source changed since it was first walked.
    """
    video = source.kind == "video"
    annotate = Annotator(found.tracks, found.size, everything=not video, note=note, fill=fill)
    sheet = Sheet(found.tracks, found.size, chosen(found.frames), found.times if video else None, fill)
    if video:
        annotated = out / "annotated.mp4"
        with VideoWriter(annotated, source.fps, found.times) as writer:
            for index, frame in _again(source, found, progress):
                writer.add(annotate(frame, index))
                sheet.add(frame, index)
    else:
        annotated = out / "annotated.png"
        for index, frame in _again(source, found, progress):
            _save_png(annotate(frame, index), annotated)
            sheet.add(frame, index)
    where = out / "sheet.png"
    _save_png(sheet.draw(f"{source.path.name}\n{_summary(source, found)}{about}", note), where)
    return annotated, where


def _save_png(picture: Pixels, path: Path) -> None:
    with whole_file(path) as part:
        Image.fromarray(picture).save(part, format="png")


def _again(source: InputFrames, found: Prediction, progress: ShowProgress) -> Iterator[tuple[int, Pixels]]:
    count = 0
    for index, (_, frame) in enumerate(source):
        if index >= found.frames or (frame.shape[0], frame.shape[1]) != found.size:
            break
        yield index, frame
        count += 1
        progress("drawing", count, found.frames)
    if count != found.frames:
        what = f"{source.path} changed while it was read: frame {count} is not what it was"
        raise UserError(what, "predict again when it is complete")


def _summary(source: InputFrames, found: Prediction) -> str:
    objects = f"{len(found.tracks)} object{'' if len(found.tracks) == 1 else 's'} predicted"
    size = f"{found.size[1]}×{found.size[0]}"
    return f"{objects}  ·  {size}  ·  " + (f"{found.frames} frames  ·  " if source.kind == "video" else "")


def predict(
    source: InputFrames,
    stream: TrackStream,
    out: Path,
    *,
    clip_frames: int,
    info: dict[str, Any],
    video_id: int | str = 1,
    fill: bool = False,
    progress: ShowProgress = _silent,
) -> tuple[Prediction, PredictionFiles]:
    """Write ``tracks.json``, the annotated video or picture, and ``sheet.png`` into ``out``.

    Args:
        info: ``model`` and the settings, for ``tracks.json``; a ``note`` among them is shown in the pictures, too.
        fill: tint masks in the pictures, which changes the colours of objects.

    Raises:
        UserError: the input cannot be read, or ``out`` cannot be written or is in use.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", "give a folder")
    with exclusive(out, PREDICTION_ENTRIES):
        remove_parts(out)
        found = find_tracks(source, stream, clip_frames, progress)
        write_tracks(out / "tracks.json", source, found, info, video_id)
        about, note = str(info.get("model", "")), str(info.get("note", ""))
        annotated, sheet = write_pictures(out, source, found, about, note, fill=fill, progress=progress)
    return found, PredictionFiles(out / "tracks.json", annotated, sheet)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
