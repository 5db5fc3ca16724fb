"""``capgen segment``: a COCO file for pictures, a YouTube-VIS file for videos, out of what a model finds.

Each picture or video becomes a small file in ``DIR/found/`` as soon as it is done; the same command skips those and
goes on. ``DIR/train.json`` is written when all are done. A picture or video that cannot be read is one line, and left
out.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import msgspec

from capgen import rle
from capgen.dataset.files import DiskTrouble, remove_parts, telling_disk_trouble, write_whole
from capgen.dataset.layout import SEGMENTATION_ENTRIES
from capgen.dataset.lock import exclusive
from capgen.dataset.types import Kind
from capgen.errors import MissingFile, UserError
from capgen.images import SUFFIXES, PictureFault, Pixels, read_header, read_picture
from capgen.segmenting.models import PictureSegmenter
from capgen.segmenting.tracks import LinkedTrack, linked
from capgen.videos import read_video
from capgen.videos.frames import VIDEO_SUFFIXES

Say = Callable[[str], None]
Step = Callable[[int, int], None]

_OTHER: dict[Kind, Kind] = {"video": "image", "image": "video"}


class VideoSegmenter(Protocol):
    """A model that finds the tracks of a video by itself."""

    def tracks(self, frames: Iterable[Pixels]) -> list[LinkedTrack]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """What is segmented.

    Args:
        given: a picture, a video file, or a folder of them.
        model: its name, which with the numbers below decides whether what was found before still counts.
        every: of a video every Nth frame is looked at, and captioned.
        max_frames: so many frames of a video at most.
        max_objects: so many objects of a picture or video at most.
        points, redetect: as for the segmenter, which has them; told here because they decide what is found.
        kind: what of a folder is taken; None for its videos, or its pictures where it has no video.
    """

    given: Path
    out: Path
    model: str
    threshold: float | None = None
    every: int = 5
    max_frames: int = 40
    max_objects: int = 50
    points: int = 32
    redetect: int = 0
    split: str = "train"
    kind: Kind | None = None


@dataclass(frozen=True, slots=True)
class SegmentReport:
    """What came of it; ``left_out`` could not be read."""

    file: Path
    root: Path
    kind: Kind
    media: int
    objects: int
    left_out: int


def segment(
    request: SegmentRequest,
    segmenter: PictureSegmenter | VideoSegmenter,
    say: Say | None = None,
    progress: Step | None = None,
) -> SegmentReport:
    """Write ``DIR/train.json``.

    Raises:
        DiskTrouble: the disk is full, or OUT may not be written to.
        UserError: there is nothing to segment, a number makes no sense, or not one picture or video can be read.
    """
    if request.every < 1 or request.max_frames < 1 or request.max_objects < 1:
        raise UserError("--every, --max-frames and --max-objects count from 1")
    if request.points < 1 or request.redetect < 0:
        raise UserError("--points counts from 1, --redetect from 0")
    say, progress = say or (lambda _: None), progress or (lambda *_: None)
    root, kind, names, others = inputs_of(request.given, request.kind)
    if others:
        other = _OTHER[kind]
        say(f"{request.given} also holds {others:,} {other}s, which are left out; --kind {other} takes them alone")
    done, left_out = [], 0
    settings = {name: value for name, value in asdict(request).items() if name not in ("given", "out", "split", "kind")}
    file, folder = request.out / f"{request.split}.json", request.out / "found"
    with exclusive(request.out, SEGMENTATION_ENTRIES):
        _remove_unfinished(file, folder)
        for number, name in enumerate(names):
            progress(number, len(names))
            place = folder / f"{_digest(root, name, settings)}.json"
            try:
                before = _found_before(place, name, kind)
                if before is None:
                    find = _picture if kind == "image" else _video
                    before = find(root, name, segmenter, request)
                    with telling_disk_trouble(request.out):
                        folder.mkdir(exist_ok=True)
                        write_whole(place, msgspec.json.encode(before))
                done.append(before)
            except PictureFault as fault:
                left_out += 1
                say(f"{name} is left out: {fault.message}")
            except DiskTrouble:
                raise
            except UserError as error:
                left_out += 1
                say(f"{name} is left out: {error.what}")
        if not done:
            raise UserError(f"not one of {len(names)} files of {request.given} can be read", "see the lines above")
        write_whole(file, _assembled(done, kind))
    progress(len(names), len(names))
    objects = sum(len(one["annotations"]) for one in done)
    return SegmentReport(file, root, kind, len(done), objects, left_out)


def _remove_unfinished(file: Path, folder: Path) -> None:
    """Delete what a killed process left half-written of the file, and in the folder."""
    remove_parts(file.parent, re.compile(re.escape(file.name)))
    remove_parts(folder)


def inputs_of(given: Path, wanted: Kind | None = None) -> tuple[Path, Kind, list[str], int]:
    """The folder, the kind of what is taken, its names, and how many files of the other kind are left out.

    Args:
        wanted: the kind to take; None for videos, or pictures where there is no video.

    Raises:
        UserError: there is neither, or not what is wanted.
    """
    if given.is_file():
        kind: Kind = "video" if given.suffix.lower() in VIDEO_SUFFIXES else "image"
        return given.parent, kind, [given.name], 0
    if not given.is_dir():
        raise MissingFile(given, "give a picture, a video file, or a folder of them")
    files = sorted(path for path in given.rglob("*") if path.is_file() and not path.name.startswith("."))
    suffixes: dict[Kind, tuple[str, ...]] = {"video": VIDEO_SUFFIXES, "image": SUFFIXES}
    names = {
        kind: [path.relative_to(given).as_posix() for path in files if path.suffix.lower() in suffixes[kind]]
        for kind in suffixes
    }
    kind = wanted or ("video" if names["video"] else "image")
    if not names[kind]:
        what = f"no {kind}s" if wanted else "neither pictures nor videos"
        raise UserError(f"{given} holds {what}", "give a folder that does")
    return given, kind, names[kind], len(names[_OTHER[kind]])


class _FoundObject(msgspec.Struct, forbid_unknown_fields=True):
    segmentation: dict[str, Any]
    bbox: list[Any]
    area: Any
    score: float
    category: str | None


class _FoundTrack(msgspec.Struct, forbid_unknown_fields=True):
    segmentations: list[dict[str, Any] | None]
    bboxes: list[Any]
    areas: list[Any]
    score: float
    category: str | None


class _FoundPicture(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    width: int
    height: int
    annotations: list[_FoundObject]


class _FoundVideo(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    width: int
    height: int
    frame_numbers: list[int]
    annotations: list[_FoundTrack]


def _found_before(place: Path, name: str, kind: Kind) -> dict[str, Any] | None:
    """What was found of a picture or video; None where nothing was, or a file there is damaged or of something else."""
    types: dict[Kind, type[_FoundPicture | _FoundVideo]] = {"image": _FoundPicture, "video": _FoundVideo}
    try:
        found = msgspec.json.decode(place.read_bytes(), type=types[kind])
    except (FileNotFoundError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    told: dict[str, Any] = msgspec.to_builtins(found)
    return told if found.name == name else None


def _digest(root: Path, name: str, settings: dict[str, Any]) -> str:
    about = (root / name).stat()
    told = [name, about.st_size, about.st_mtime_ns, settings]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:32]


def _picture(root: Path, name: str, segmenter: Any, request: SegmentRequest) -> dict[str, Any]:
    size = read_header(root / name).size
    pixels = read_picture(root / name, size=size)
    tracks = segmenter.tracks([pixels]) if hasattr(segmenter, "tracks") else linked([segmenter(pixels)], least=1)
    rows = [_object(one, tracks_frame=0, size=size) for one in tracks[: request.max_objects]]
    return {"name": name, "width": size[1], "height": size[0], "annotations": rows}


def _object(track: LinkedTrack, *, tracks_frame: int, size: rle.Size) -> dict[str, Any]:
    counts = track.counts[tracks_frame]
    row = {"segmentation": {"size": list(size), "counts": counts}, "bbox": list(rle.box(counts, size))}
    return row | {"area": rle.area(counts, size), "score": _mean(track), "category": track.category}


def _mean(track: LinkedTrack) -> float:
    return round(sum(track.scores) / len(track.scores), 4)


def _video(root: Path, name: str, segmenter: Any, request: SegmentRequest) -> dict[str, Any]:
    numbers: list[int] = []
    sizes: list[rle.Size] = []

    def frames() -> Iterator[Pixels]:
        for frame in read_video(root / name):
            if frame.number % request.every == 0 and len(numbers) < request.max_frames:
                pixels = frame.pixels()
                numbers.append(frame.number)
                sizes.append((pixels.shape[0], pixels.shape[1]))
                yield pixels
            if len(numbers) >= request.max_frames:
                return

    seen = frames()
    tracks = segmenter.tracks(seen) if hasattr(segmenter, "tracks") else linked(map(segmenter, seen))
    if not numbers or len(set(sizes)) > 1:
        raise UserError(f"{name} has no frames of one size")
    rows = [_track(one, len(numbers), sizes[0]) for one in tracks[: request.max_objects]]
    height, width = sizes[0]
    return {"name": name, "width": width, "height": height, "frame_numbers": numbers, "annotations": rows}


def _track(track: LinkedTrack, length: int, size: rle.Size) -> dict[str, Any]:
    places = range(length)
    counts = [track.counts.get(i) for i in places]
    return {
        "segmentations": [None if text is None else {"size": list(size), "counts": text} for text in counts],
        "bboxes": [None if text is None else list(rle.box(text, size)) for text in counts],
        "areas": [None if text is None else rle.area(text, size) for text in counts],
        "score": _mean(track),
        "category": track.category,
    }


def _assembled(done: Sequence[dict[str, Any]], kind: Kind) -> bytes:
    """The file of all pictures or videos, numbered in their order."""
    names = sorted({row["category"] for one in done for row in one["annotations"] if row["category"] is not None})
    numbers = {name: number for number, name in enumerate(names, 1)}
    media: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, one in enumerate(done, 1):
        media.append(_medium(one, number, kind))
        for row in one["annotations"]:
            category = row["category"]
            kept = {key: value for key, value in row.items() if key != "category"}
            about = {"id": len(annotations) + 1, f"{kind}_id": number, "iscrowd": 0}
            known = {"category_id": numbers[category]} if category is not None else {}
            annotations.append(about | known | kept)
    body: dict[str, Any] = {f"{kind}s": media, "annotations": annotations}
    if names:
        body["categories"] = [{"id": number, "name": name} for name, number in numbers.items()]
    return msgspec.json.encode(body) + b"\n"


def _medium(one: dict[str, Any], number: int, kind: Kind) -> dict[str, Any]:
    row = {"id": number, "width": one["width"], "height": one["height"], "file_name": one["name"]}
    if kind == "image":
        return row
    return row | {"length": len(one["frame_numbers"]), "frame_numbers": one["frame_numbers"]}
