"""From one annotation of a file to detections, with a line for the user where the annotation is bad.

Two forms are read: COCO's, an annotation a frame, and that of YouTube-VIS and LV-VIS, an annotation a track with a
list of boxes or masks, an entry a frame.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from capgen import rle
from capgen.dataset.types import Box
from capgen.errors import UserError
from capgen.evaluation.reading.fields import FieldError, as_flag, as_id, as_list, as_number, as_text, shown
from capgen.evaluation.reading.tracks import Blank, CocoRle, Detection, Id, Iou, mask_box


class _Rle(msgspec.Struct, gc=False):
    size: tuple[int, int]
    counts: str


class _Row(msgspec.Struct, gc=False):
    """A COCO annotation of the usual form: whatever is not of it is read, and judged, one by one."""

    image_id: Id
    track_id: Id
    category_id: Id | None = None
    score: float | None = None
    caption: str | None = None
    bbox: tuple[float, float, float, float] | None = None
    segmentation: _Rle | None = None
    area: float | None = None
    iscrowd: int = 0


class _BoxRow(msgspec.Struct, gc=False):
    """As ``_Row``, its mask not looked at."""

    image_id: Id
    track_id: Id
    bbox: tuple[float, float, float, float]
    category_id: Id | None = None
    score: float | None = None
    caption: str | None = None
    area: float | None = None
    iscrowd: int = 0


_box_rows = msgspec.json.Decoder(list[_BoxRow]).decode
_mask_rows = msgspec.json.Decoder(list[_Row]).decode


@dataclass(frozen=True, slots=True)
class AnnotationReader:
    """How the annotations of one video are read.

    Args:
        file: the file's name, for messages.
        array: what an annotation is called there, ``annotations`` or ``predictions``.
        size: height, width of the video in pixels.
        order: for each frame in the file's order, its place in the order of image ids.
        iou: with ``box``, masks give the boxes that are missing and empty ones give none.
        scored: predictions must have a score.
    """

    file: str
    array: str
    size: tuple[int, int]
    order: Sequence[int]
    iou: Iou
    scored: bool

    def fault(self, number: int, raw: dict[str, Any], what: str, remedy: str) -> UserError:
        """One line that names the file, the annotation and the remedy."""
        keys = [key for key in ("id", "video_id", "image_id", "track_id") if key in raw]
        names = ", ".join(f"{key.removesuffix('_id')} {shown(raw[key])}" for key in keys)
        return UserError(f"{self.file}: {self.array}[{number}] ({names}) {what}", remedy)

    def on_frames(self, block: bytes, first: int, frame_of: Mapping[Id, tuple[int, int]]) -> list[Detection] | None:
        """The detections of a run of COCO annotations, number ``first`` and on; None where one needs a closer look."""
        try:
            rows: list[Any] = [*(_box_rows(block) if self.iou == "box" else _mask_rows(block))]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if any(row.iscrowd not in (0, 1) for row in rows):
            return None
        if self.scored and any(row.score is None for row in rows):
            return None
        if self.iou == "mask" and any(row.segmentation is None or row.segmentation.size != self.size for row in rows):
            return None
        masked = self.iou == "mask"
        masks = [{"size": list(self.size), "counts": row.segmentation.counts.encode()} for row in rows if masked]
        pixels = self.count_pixels(masks, [(number, row.track_id) for number, row in enumerate(rows, first)])
        return [
            Detection(
                frame_of[row.image_id][1],
                row.track_id,
                row.category_id,
                row.score if self.scored else 1.0,
                row.caption or "",
                row.bbox,
                masks[number - first] if masked else None,
                row.area,
                bool(row.iscrowd),
                number,
                pixels[number - first] if masked else None,
            )
            for number, row in enumerate(rows, first)
        ]

    def count_pixels(self, masks: Sequence[CocoRle], names: Sequence[tuple[int, Id]]) -> list[int]:
        """The pixels of each mask, after a check of its counts: damaged ones can make pycocotools run for ever.

        Args:
            names: the number in the file and the track of each mask, for messages.

        Raises:
            UserError: the counts of a mask do not cover the frame exactly.
        """
        covered = rle.covered_pixels([mask["counts"] for mask in masks])
        whole = self.size[0] * self.size[1]
        for wrong in np.flatnonzero(covered != whole)[:1].tolist():
            number, track = names[wrong]
            what = f"has an RLE whose counts cover {covered[wrong]} pixels of {whole}"
            if covered[wrong] < 0:
                what = "has an RLE whose counts cover no frame: they are no run lengths"
            raise self.fault(number, {"track_id": track}, what, "encode the mask again")
        counted: list[int] = rle.areas([mask["counts"] for mask in masks], self.size).tolist()
        return counted

    def measured(self, found: Sequence[Detection]) -> tuple[Detection, ...]:
        """The detections with the pixels of their masks.

        Raises:
            UserError: a mask is damaged.
        """
        masked = [one for one in found if one.mask is not None]
        counted = self.count_pixels([one.mask or {} for one in masked], [(one.place, one.track) for one in masked])
        pixels = iter(counted)
        return tuple(
            msgspec.structs.replace(one, pixels=next(pixels)) if one.mask is not None else one for one in found
        )

    @contextmanager
    def _naming(self, number: int, raw: dict[str, Any]) -> Iterator[None]:
        """Say file and annotation of what is wrong in it."""
        try:
            yield
        except FieldError as error:
            raise self.fault(number, raw, error.what, error.remedy) from error

    def on_frame(self, number: int, raw: dict[str, Any], frame_of: Mapping[Id, tuple[int, int]]) -> Iterator[Detection]:
        """The detection of a COCO annotation; none where its mask is null."""
        with self._naming(number, raw):
            if raw.get("image_id") is None:
                raise FieldError("has no image_id", "name its image")
            if raw.get("track_id") is None:
                raise FieldError("has no track_id", "give every object of a video an id that stays the same")
            shape = self._shape(raw, raw.get("bbox"), raw.get("segmentation"))
            if shape:
                frame = frame_of[as_id(raw["image_id"], "image_id")][1]
                score, caption = self._score(raw.get("score")), as_text(raw.get("caption"), "caption")
                track = as_id(raw["track_id"], "track_id")
                yield self._detection(number, raw, frame, track, score, caption, shape, raw.get("area"))

    def _detection(
        self,
        number: int,
        raw: dict[str, Any],
        frame: int,
        track: Id,
        score: float,
        caption: str,
        shape: tuple[Box | None, CocoRle | None],
        area: Any,
    ) -> Detection:
        category = raw.get("category_id")
        return Detection(
            frame=frame,
            track=track,
            category=None if category is None else as_id(category, "category_id"),
            score=score,
            caption=caption,
            box=shape[0],
            mask=shape[1],
            area=None if area is None else as_number(area, "area"),
            crowd=as_flag(raw.get("iscrowd"), "iscrowd"),
            place=number,
        )

    def on_track(self, number: int, raw: dict[str, Any], track: Any) -> Iterator[Detection]:
        """The detections of an annotation of a whole track, a frame each; none where its box or mask is null."""
        with self._naming(number, raw):
            yield from self._on_track(number, raw, as_id(track, "id"))

    def _on_track(self, number: int, raw: dict[str, Any], track: Id) -> Iterator[Detection]:
        key = "bboxes" if "bboxes" in raw else "bbox"
        boxes, masks, scores, areas = self._entries(raw, key)
        captions = raw.get("caption")
        for i, frame in enumerate(self.order):
            # The public converters skip a frame where either is null, whichever of the two is then compared.
            if (masks is not None and masks[i] is None) or (key == "bbox" and boxes is not None and boxes[i] is None):
                continue
            box, mask = boxes[i] if boxes else None, masks[i] if masks else None
            if box is None and mask is None:
                continue
            shape = self._shape(raw, box, mask)
            if shape is None:
                continue
            per_frame = scores is not None and (self.iou == "box" and masks is None)
            score = self._score(scores[i] if per_frame and scores else raw.get("score"))
            caption = as_text(_of_frame(captions, i), "caption")
            yield self._detection(number, raw, frame, track, score, caption, shape, areas[i] if areas else None)

    def _entries(self, raw: dict[str, Any], key: str) -> tuple[list[Any] | None, ...]:
        """Boxes, masks, scores and areas of a track, an entry a frame each; None where the track has none."""
        names = (key, "segmentations", "score_per_frame", "areas")
        entries = tuple(as_list(raw.get(name), name) for name in names)
        length = len(self.order)
        for name, values in zip(names, entries, strict=True):
            if values is not None and len(values) != length:
                what = f"has {len(values)} entries in {name} for a video of {length} frames"
                raise FieldError(what, "give one for every frame, null where the object is not visible")
        if entries[0] is None and entries[1] is None:
            raise FieldError("has neither bboxes nor segmentations", "give one of them")
        return entries

    def blank(self, number: int, raw: dict[str, Any], track: Any) -> Blank:
        """An annotation of a track that is on no frame."""
        with self._naming(number, raw):
            category = raw.get("category_id")
            return Blank(
                track=as_id(track, "id"),
                category=None if category is None else as_id(category, "category_id"),
                score=self._score(raw["score"]) if raw.get("score") is not None else 0.0,
                crowd=as_flag(raw.get("iscrowd"), "iscrowd"),
                caption=as_text(_of_frame(raw.get("caption"), 0), "caption"),
                place=number,
            )

    def _shape(self, raw: dict[str, Any], bbox: Any, segmentation: Any) -> tuple[Box | None, CocoRle | None] | None:
        """Box and mask of a detection; None where it is none: its mask is null, or gives an empty box."""
        box = _box(bbox)
        mask = self._mask(segmentation) if segmentation is not None and (self.iou == "mask" or box is None) else None
        if box is None and mask is None and "segmentation" not in raw:
            raise FieldError("has neither a bbox nor a segmentation", "give its shape, or take it out")
        if self.iou == "mask":
            if mask is None and "segmentation" not in raw and "segmentations" not in raw:
                raise FieldError("has no segmentation", "give masks, or compare boxes with --iou box")
            return (box, mask) if mask is not None else None
        if box is None and mask is not None:
            tight = mask_box(mask)
            return (tight, mask) if tight[2] * tight[3] > 0 else None
        return (box, mask) if box is not None else None

    def _mask(self, segmentation: Any) -> CocoRle:
        try:
            mask = to_rle(segmentation, self.size)
            if self.iou == "box":  # nobody counts its pixels later
                mask["counts"] = rle.compressed(mask["counts"], tuple(mask["size"]))
            height, width = mask["size"]
            if not isinstance(height, int) or not isinstance(width, int):
                raise TypeError("size is not two whole numbers")
        except (KeyError, TypeError, ValueError, IndexError, OverflowError) as error:
            reason = " ".join(str(error).split())[:120]
            what = f"has a segmentation that is neither a COCO RLE nor polygons ({reason})"
            raise FieldError(what, "write size and counts as pycocotools does") from error
        if (height, width) != self.size:
            what = f"has an RLE of {_size(mask['size'])} on a frame of {_size(self.size)} (height x width)"
            raise FieldError(what, "resize the mask to the frame before encoding it")
        return mask

    def _score(self, score: Any) -> float:
        if not self.scored:
            return 1.0
        if score is None:
            raise FieldError("has no score", 'write "score", 1.0 for all where the model gives none')
        return as_number(score, "score")


def _box(bbox: Any) -> Box | None:
    if bbox is None:
        return None
    try:
        if not isinstance(bbox, list) or len(bbox) != 4:
            raise FieldError("", "")
        x, y, width, height = (as_number(value, "bbox") for value in bbox)
    except FieldError:
        what = f"has the bbox {shown(bbox)}, which is not four finite numbers"
        raise FieldError(what, "write x, y, width, height in pixels, or take the annotation out") from None
    return x, y, width, height


def to_rle(segmentation: Any, size: tuple[int, int]) -> CocoRle:
    """A COCO RLE with counts as bytes, from compressed or uncompressed RLE or from a list of polygons.

    Polygons of an odd length or of fewer than three points are left out; where none is left the mask is empty.
    Compressed counts are not looked at: ``count_pixels`` checks those of a whole video at once.

    Raises:
        KeyError, TypeError, ValueError: it is none of the three, or one that cannot be a mask.
    """
    if isinstance(segmentation, list):
        polygons = rle.usable_polygons(segmentation, size)
        return {"size": list(size), "counts": rle.rasterise([polygons], size)[0]}
    counts, (height, width) = segmentation["counts"], segmentation["size"]
    if isinstance(counts, list):
        return {"size": [height, width], "counts": rle.compressed(counts, (height, width))}
    if not isinstance(counts, str | bytes):
        raise TypeError("its counts are neither text nor a list")
    return {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else counts}


def _of_frame(captions: Any, i: int) -> Any:
    if isinstance(captions, list):
        return captions[0] if len(captions) == 1 else captions[i] if i < len(captions) else None
    return captions


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
