"""From one annotation of a file to detections, with a line for the user where the annotation is bad.

Two forms are read: COCO's, an annotation a frame, and that of YouTube-VIS and LV-VIS, an annotation a track with a
list of boxes or masks, an entry a frame.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np

from capgen import rle
from capgen.dataset.types import Box
from capgen.errors import UserError
from capgen.evaluation.reading.tracks import Blank, CocoRle, Detection, Id, Iou, areas, mask_box


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
        names = ", ".join(f"{key.removesuffix('_id')} {raw[key]}" for key in keys)
        return UserError(f"{self.file}: {self.array}[{number}] ({names}) {what}", remedy)

    def on_frames(self, block: bytes, first: int, frame_of: Mapping[Id, tuple[int, int]]) -> list[Detection] | None:
        """The detections of a run of COCO annotations, number ``first`` and on; None where one needs a closer look."""
        try:
            rows: list[Any] = [*(_box_rows(block) if self.iou == "box" else _mask_rows(block))]
        except (msgspec.DecodeError, UnicodeDecodeError):
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
        counted: list[int] = areas(masks).tolist()
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

    def on_frame(self, number: int, raw: dict[str, Any], frame: int) -> Iterator[Detection]:
        """The detection of a COCO annotation; none where its mask is null."""
        if raw.get("track_id") is None:
            raise self.fault(number, raw, "has no track_id", "give every object of a video an id that stays the same")
        box, mask = self._shape(number, raw, raw.get("bbox"), raw.get("segmentation"))
        if box is None and mask is None:
            return
        yield Detection(
            frame=frame,
            track=raw["track_id"],
            category=raw.get("category_id"),
            score=self._score(number, raw, raw.get("score")),
            caption=self._caption(number, raw, raw.get("caption")),
            box=box,
            mask=mask,
            area=raw.get("area"),
            crowd=bool(raw.get("iscrowd")),
            place=number,
        )

    def on_track(self, number: int, raw: dict[str, Any], track: Id) -> Iterator[Detection]:
        """The detections of an annotation of a whole track, a frame each; none where its box or mask is null."""
        length = len(self.order)
        boxes, key = (raw["bboxes"], "bboxes") if "bboxes" in raw else (raw.get("bbox"), "bbox")
        masks, scores, areas, captions = (
            raw.get(name) for name in ("segmentations", "score_per_frame", "areas", "caption")
        )
        for name, values in ((key, boxes), ("segmentations", masks), ("score_per_frame", scores), ("areas", areas)):
            if values is not None and len(values) != length:
                what = f"has {len(values)} entries in {name} for a video of {length} frames"
                raise self.fault(number, raw, what, "give one for every frame, null where the object is not visible")
        if boxes is None and masks is None:
            raise self.fault(number, raw, "has neither bboxes nor segmentations", "give one of them")
        for i, frame in enumerate(self.order):
            # The public converters skip a frame where either is null, whichever of the two is then compared.
            if (masks is not None and masks[i] is None) or (key == "bbox" and boxes is not None and boxes[i] is None):
                continue
            box, mask = self._shape(number, raw, boxes[i] if boxes else None, masks[i] if masks else None)
            if box is None and mask is None:
                continue
            per_frame = scores is not None and (self.iou == "box" and masks is None)
            yield Detection(
                frame=frame,
                track=track,
                category=raw.get("category_id"),
                score=self._score(number, raw, scores[i] if per_frame and scores else raw.get("score")),
                caption=self._caption(number, raw, _of_frame(captions, i)),
                box=box,
                mask=mask,
                area=areas[i] if areas else None,
                crowd=bool(raw.get("iscrowd")),
                place=number,
            )

    def blank(self, number: int, raw: dict[str, Any], track: Id) -> Blank:
        """An annotation of a track that is on no frame."""
        score = self._score(number, raw, raw.get("score")) if "score" in raw else 0.0
        caption = self._caption(number, raw, _of_frame(raw.get("caption"), 0))
        return Blank(track, raw.get("category_id"), score, bool(raw.get("iscrowd")), caption, number)

    def _shape(
        self, number: int, raw: dict[str, Any], bbox: Any, segmentation: Any
    ) -> tuple[Box | None, CocoRle | None]:
        box = self._box(number, raw, bbox)
        mask = None
        if segmentation is not None and (self.iou == "mask" or box is None):
            mask = self._mask(number, raw, segmentation)
        if self.iou == "mask":
            if mask is None and "segmentation" not in raw and "segmentations" not in raw:
                raise self.fault(number, raw, "has no segmentation", "give masks, or compare boxes with --iou box")
            return (box, mask) if mask is not None else (None, None)
        if box is None and mask is not None:
            tight = mask_box(mask)
            return (tight, mask) if tight[2] * tight[3] > 0 else (None, None)
        return box, mask

    def _box(self, number: int, raw: dict[str, Any], bbox: Any) -> Box | None:
        if bbox is None:
            return None
        if not isinstance(bbox, list) or len(bbox) != 4 or not all(_is_finite(x) for x in bbox):
            what = f"has the bbox {bbox}, which is not four finite numbers"
            raise self.fault(number, raw, what, "write x, y, width, height in pixels, or take the annotation out")
        return float(bbox[0]), float(bbox[1]), float(bbox[2]), float(bbox[3])

    def _mask(self, number: int, raw: dict[str, Any], segmentation: Any) -> CocoRle:
        try:
            mask = to_rle(segmentation, self.size)
            if self.iou == "box":  # nobody counts its pixels later
                mask["counts"] = rle.compressed(mask["counts"], tuple(mask["size"]))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            what = f"has a segmentation that is neither a COCO RLE nor polygons ({error})"
            raise self.fault(number, raw, what, "write size and counts as pycocotools does") from error
        if tuple(mask["size"]) != self.size:
            what = f"has an RLE of {_size(mask['size'])} on a frame of {_size(self.size)} (height x width)"
            raise self.fault(number, raw, what, "resize the mask to the frame before encoding it")
        return mask

    def _score(self, number: int, raw: dict[str, Any], score: Any) -> float:
        if not self.scored:
            return 1.0
        if not _is_finite(score):
            what = "has no score" if score is None else f"has the score {score}, which is not a finite number"
            raise self.fault(number, raw, what, 'write "score", 1.0 for all where the model gives none')
        return float(score)

    def _caption(self, number: int, raw: dict[str, Any], caption: Any) -> str:
        if caption is not None and not isinstance(caption, str):
            raise self.fault(
                number, raw, f"has the caption {caption!r}, which is not text", "write a sentence, or null"
            )
        return caption or ""


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
    return {"size": [height, width], "counts": counts.encode("ascii") if isinstance(counts, str) else bytes(counts)}


def _of_frame(captions: Any, i: int) -> Any:
    if isinstance(captions, list):
        return captions[0] if len(captions) == 1 else captions[i] if i < len(captions) else None
    return captions


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _size(size: Sequence[int]) -> str:
    return f"{size[0]} x {size[1]}"
