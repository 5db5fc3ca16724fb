"""Ground truth and predictions on disk, one video in memory at a time.

Ground truth: COCO (``images`` with ``video_id``, an annotation a frame) or YouTube-VIS and LV-VIS (``videos``, an
annotation a track). Predictions: a list of either kind, whichever the ground truth is. Frames of a track file get the
image ids 1, 2, … in the order of its videos, as the public converter numbers them.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.detections import AnnotationReader
from capgen.evaluation.reading.fields import FieldError, as_id, as_list, as_size, as_text, other_kind, shown
from capgen.evaluation.reading.index import Index
from capgen.evaluation.reading.json_stream import Element, ElementBatch, scan, unreadable
from capgen.evaluation.reading.similarity import Overlaps
from capgen.evaluation.reading.tracks import Blank, Detection, Id, Iou, Notes, TruthCategory, VideoTracks, sort_key

_MOST_FRAMES = 1_000_000
_ARRAYS = frozenset({"images", "videos", "annotations", "predictions", "categories", "sequences"})


class BurstForm(UserError):
    """The ground truth is in BURST's form; ``burst_as_coco`` converts it."""


@dataclass(slots=True)
class TruthVideo:
    """A video of the ground truth.

    Args:
        images: the image ids, in the order of the file.
        order: for each of them, its place in the order of ids.
    """

    id: Id
    size: tuple[int, int]
    images: list[Id] = field(default_factory=list)
    order: list[int] = field(default_factory=list)


class TruthFile:
    """The ground truth of a benchmark.

    Raises:
        UserError: the file is not JSON, or not of either form.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.videos: list[TruthVideo] = []
        self.categories: dict[Id, TruthCategory] = {}
        self.by_track = False
        self.video_of: dict[Id, int] = {}
        self.place_of: dict[Id, tuple[int, int]] = {}
        self._annotations, self._media = Index(path), Index(path)
        self._images_of_file = True
        self._scan()

    def _scan(self) -> None:
        keys = _Ids()
        media: list[Element] = []
        for element in scan(self.path, _ARRAYS, light=frozenset({"annotations"})):
            if isinstance(element, ElementBatch):
                self._annotations.extend(element, [0] * len(element.keys))
                keys.extend([self._key(key, len(keys) + n) for n, key in enumerate(element.keys)])
            elif element.array == "annotations":
                self._annotations.add(element)
                with self._naming("annotations", len(keys), element):
                    keys.extend([self._key(element.key("image_id", "video_id"), len(keys))])
            elif element.array == "categories":
                with self._naming("categories", len(self.categories), element):
                    self._add_category(element.exact())
            elif element.array in ("images", "videos"):
                media.append(element)
            elif element.array == "sequences":
                raise BurstForm(f"{self.path} is in BURST's form", "give it to capgen eval tracks --per-class burst")
            elif element.array == "":
                raise UserError(
                    f"{self.path} is a list, not ground truth", "give an object with images and annotations"
                )
        self._arrange(media, keys)

    def _arrange(self, media: list[Element], keys: _Ids) -> None:
        """Give every image and every annotation its video."""
        # A converted file may keep its videos beside its images: the images are then what annotations point at.
        kind = "images" if any(element.array == "images" for element in media) else "videos"
        self.by_track = kind == "videos"
        for number, element in enumerate(one for one in media if one.array == kind):
            with self._naming(kind, number, element):
                self._add_media(element)
        if not self.videos:
            raise UserError(f"{self.path} has no images and no videos", "give ground truth, not predictions")
        for video in self.videos:
            ranks = {image: rank for rank, image in enumerate(sorted(video.images, key=sort_key))}
            video.order = [ranks[image] for image in video.images]
            for image in video.images:
                self.place_of[image] = (self.video_of[video.id], ranks[image])
        self._annotations.seal(len(self.videos), (self._video_of(key, n) for n, key in enumerate(keys)))
        self._media.seal(len(self.videos))

    @contextmanager
    def _naming(self, array: str, number: int, element: Element) -> Iterator[None]:
        """Say file and element of what is wrong in it."""
        try:
            yield
        except FieldError as error:
            raise UserError(f"{self.path}: {array}[{number}] {error.what}", error.remedy) from error
        except UnicodeDecodeError as error:
            raise unreadable(self.path, element.offset, error) from error

    def _key(self, key: Any, number: int) -> Id:
        if key is None:
            raise UserError(f"{self.path}: annotations[{number}] has neither image_id nor video_id", "name its image")
        return as_id(key, "image_id or video_id")

    def _video_of(self, key: Id, number: int) -> int:
        place = self.video_of.get(key) if self.by_track else self.place_of.get(key, (None,))[0]
        if place is None:
            what = "video" if self.by_track else "image"
            kind = other_kind(key, self.video_of if self.by_track else self.place_of)
            raise UserError(
                f"{self.path}: annotations[{number}] is on {what} {shown(key)}, which is not among the {what}s{kind}",
                "write all ids as numbers, or all as text" if kind else f"add the {what}, or take the annotation out",
            )
        return place

    def _add_category(self, raw: dict[str, Any]) -> None:
        key = _id_of(raw)
        name = raw.get("name", key)
        partition = raw.get("partition")
        label = as_text(name, "name") if isinstance(name, str) else str(name)
        self.categories[key] = TruthCategory(key, label, None if partition is None else as_size(partition, "partition"))

    def _add_media(self, element: Element) -> None:
        raw = element.exact()
        key = _id_of(raw)
        size = (as_size(raw.get("height"), "height"), as_size(raw.get("width"), "width"))
        names = as_list(raw.get("file_names"), "file_names") or []
        for name in [*names, raw.get("file_name")]:
            as_text(name, "file_name")
        if key in (self.video_of if self.by_track else self.place_of):
            raise FieldError(f"has the id {shown(key)}, which is there already", "give each its own id")
        if self.by_track:
            index = self._video_index(key, size)
            first = len(self.place_of) + 1
            length = as_size(raw["length"], "length") if raw.get("length") is not None else len(names)
            if length > _MOST_FRAMES:
                what = f"has the length {shown(raw['length'])}, which is more than {_MOST_FRAMES:,} frames"
                raise FieldError(what, "give the number of its frames")
            self.videos[index].images = list(range(first, first + length))
            self.place_of.update(dict.fromkeys(self.videos[index].images, (index, 0)))
        else:
            index = self._video_index(as_id(raw.get("video_id", key), "video_id"), size)
            self.videos[index].images.append(key)
            self.place_of[key] = (index, 0)
        self._media.add(element, index)

    def _video_index(self, video: Id, size: tuple[int, int]) -> int:
        if video not in self.video_of:
            self.video_of[video] = len(self.videos)
            self.videos.append(TruthVideo(video, size))
        return self.video_of[video]

    @property
    def annotations(self) -> int:
        """How many annotations the file has."""
        return len(self._annotations)

    def first(self) -> dict[str, Any]:
        """The first annotation of the first video that has one; empty where there is none."""
        for i in range(len(self.videos)):
            for _, raw in self._annotations.read(i):
                return dict(raw)
        return {}

    def file_names(self, video: int) -> list[str]:
        """The names of a video's frames in the order of image ids; empty text where the file names none."""
        names: list[str] = []
        for _, raw in self._media.read(video):
            names += (
                raw.get("file_names") or [""] * len(self.videos[video].images)
                if self.by_track
                else [raw.get("file_name") or ""]
            )
        ordered = [""] * len(names)
        for place, name in zip(self.videos[video].order, names, strict=True):
            ordered[place] = name.replace("\\", "/")
        return ordered

    def detections(self, video: int, iou: Iou) -> tuple[tuple[Detection, ...], tuple[Blank, ...]]:
        """The ground truth of one video, and its tracks that are on no frame."""
        info = self.videos[video]
        reader = AnnotationReader(str(self.path), "annotations", info.size, info.order, iou, scored=False)
        block = None if self.by_track else self._annotations.block(video)
        quick = reader.on_frames(block[1], block[0], self.place_of) if block else None
        if quick is not None:
            return tuple(quick), ()
        found: list[Detection] = []
        blanks = []
        for position, (number, raw) in enumerate(self._annotations.read(video)):
            before = len(found)
            if self.by_track:
                found.extend(reader.on_track(number, raw, raw.get("id", position)))
                if len(found) == before:
                    blanks.append(reader.blank(number, raw, raw.get("id", position)))
            else:
                found.extend(reader.on_frame(number, raw, self.place_of))
        return reader.measured(found), tuple(blanks)


class PredictionFile:
    """What a model found: a list, or an object with ``annotations`` or ``predictions``.

    Raises:
        UserError: the file is not JSON, or a prediction is on an image that the ground truth does not have.
    """

    def __init__(self, path: Path, truth: TruthFile) -> None:
        self.path, self._truth = path, truth
        self._index = Index(path)
        self.first: dict[str, Any] = {}
        self.by_track = False
        kinds = frozenset({"", "annotations", "predictions"})
        for element in scan(path, _ARRAYS, light=kinds):
            if element.array not in kinds:
                continue
            if isinstance(element, ElementBatch):
                try:
                    self._begin(json.loads(element.first))
                except (ValueError, RecursionError) as error:
                    raise unreadable(path, element.offsets[0], error) from error
                before = len(self._index)
                self._index.extend(element, [self._place(key, before + n) for n, key in enumerate(element.keys)])
                continue
            try:
                raw = element.exact()
            except UnicodeDecodeError as error:
                raise unreadable(path, element.offset, error) from error
            if not isinstance(raw, dict):
                what = f"{self.path}: predictions[{len(self._index)}] is not an object"
                raise UserError(what, "write an object a detection")
            self._begin(raw)
            key = raw.get("video_id") if self.by_track else raw.get("image_id")
            self._index.add(element, self._place(key, len(self._index)))
        if not len(self._index) and _is_object(path):
            raise UserError(f"{path} has no list of predictions", "write a list, [] for none")
        self._index.seal(len(truth.videos))

    def __len__(self) -> int:
        return len(self._index)

    def _begin(self, raw: dict[str, Any]) -> None:
        if not len(self._index):
            self.first, self.by_track = raw, "image_id" not in raw

    def _place(self, key: Any, number: int) -> int:
        """The video of a prediction on image ``key``, or of a track of video ``key``."""
        what = "video" if self.by_track else "image"
        if key is None:
            raise UserError(f"{self.path}: predictions[{number}] has no {what}_id", f"name its {what}")
        try:
            known = as_id(key, f"{what}_id")
        except FieldError as error:
            raise UserError(f"{self.path}: predictions[{number}] {error.what}", error.remedy) from error
        if self.by_track and known in self._truth.video_of:
            return self._truth.video_of[known]
        if not self.by_track and known in self._truth.place_of:
            return self._truth.place_of[known][0]
        kind = other_kind(known, self._truth.video_of if self.by_track else self._truth.place_of)
        raise UserError(
            f"{self.path}: predictions[{number}] is on {what} {shown(key)}, "
            f"which {self._truth.path} does not have{kind}",
            "write the ids as the ground truth does"
            if kind
            else f"score against the split it was made for, or take {what} {shown(key)} out",
        )

    def detections(self, video: int, iou: Iou) -> tuple[tuple[Detection, ...], tuple[Blank, ...]]:
        """The predictions of one video, and the tracks that are on no frame."""
        info = self._truth.videos[video]
        reader = AnnotationReader(str(self.path), "predictions", info.size, info.order, iou, scored=True)
        block = None if self.by_track else self._index.block(video)
        quick = reader.on_frames(block[1], block[0], self._truth.place_of) if block else None
        if quick is not None:
            return tuple(quick), ()
        found: list[Detection] = []
        blanks = []
        for position, (number, raw) in enumerate(self._index.read(video)):
            before = len(found)
            if self.by_track:
                found.extend(reader.on_track(number, raw, position))
                if len(found) == before:
                    blanks.append(reader.blank(number, raw, position))
            else:
                found.extend(reader.on_frame(number, raw, self._truth.place_of))
        return reader.measured(found), tuple(blanks)


class _Ids:
    """A list of ids, in 8 bytes each while they are numbers of 64 bits."""

    def __init__(self) -> None:
        self._values: array[int] | list[Id] = array("q")

    def __len__(self) -> int:
        return len(self._values)

    def __iter__(self) -> Iterator[Id]:
        return iter(self._values)

    def extend(self, ids: list[Id]) -> None:
        """Add some."""
        if isinstance(self._values, array):
            numbers = [one for one in ids if isinstance(one, int) and abs(one) < 1 << 63]
            if len(numbers) == len(ids):
                self._values.extend(numbers)
                return
            self._values = [*self._values]
        self._values.extend(ids)


def _id_of(raw: Any) -> Id:
    if not isinstance(raw, dict):
        raise FieldError(f"is {shown(raw)}, which is not an object", "write an object")
    if raw.get("id") is None:
        raise FieldError("has no id", "give it one")
    return as_id(raw["id"], "id")


def _is_object(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(256).lstrip()[:1] == b"{"


def choose_iou(truth: TruthFile, predictions: PredictionFile) -> Iou:
    """Boxes or masks, as the public evaluators choose: by what the first prediction has."""
    raw = predictions.first or truth.first()
    if predictions.by_track or (not predictions.first and truth.by_track):
        return "mask" if "segmentations" in raw else "box"
    return "box" if raw.get("bbox") is not None or "segmentation" not in raw else "mask"


def videos(truth: TruthFile, predictions: PredictionFile, iou: Iou, notes: Notes) -> Iterator[VideoTracks]:
    """Each video of the ground truth with what was found on it; one video is in memory at a time."""
    empty = 0
    for index in range(len(truth.videos)):
        video = video_at(truth, predictions, iou, index)
        empty += not video.predictions
        yield video
    notes.count("videos without predictions", empty)


def video_at(truth: TruthFile, predictions: PredictionFile, iou: Iou, index: int) -> VideoTracks:
    """The video at a place of ``truth.videos``."""
    info = truth.videos[index]
    found, blank = predictions.detections(index, iou)
    own, blank_truth = truth.detections(index, iou)
    return VideoTracks(
        video=info.id,
        size=info.size,
        frames=tuple(sorted(info.images, key=sort_key)),
        truth=own,
        predictions=found,
        truth_file=str(truth.path),
        prediction_file=str(predictions.path),
        blank_truth=blank_truth,
        blank_predictions=blank,
        by_track=truth.by_track,
        overlaps=Overlaps(own, found) if iou == "mask" else None,
    )
