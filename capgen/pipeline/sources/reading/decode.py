"""Raw segmentations to compressed run lengths, tight boxes and areas: all objects of a medium in a few C calls.

A frame of a segmentation is polygons, run lengths, ``{"png": ..., "value": ..., "form": ...}`` (a mask in a picture
file, see ``mask_files``), ``{"box": [x, y, width, height]}`` (a box without a mask), or null. What cannot be a mask
(``capgen.rle`` checks it) becomes the object's fault.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

import msgspec
from pycocotools import mask as coco

from capgen import rle
from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Box, Fault, Media, MediaObject
from capgen.pipeline.sources.reading.mask_files import FileMask, MaskForm, masks_of_files
from capgen.rle import Size


class _Mask(msgspec.Struct):
    counts: str | list[int] | None = None
    size: list[int] | None = None
    png: str | None = None
    value: int = 0
    form: MaskForm = "index"
    box: list[float] | None = None


_Polygons = list[list[float]]
_Frame = _Polygons | _Mask | None
_IMAGE: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
_VIDEO: msgspec.json.Decoder[list[_Frame] | None] = msgspec.json.Decoder(list[_Frame] | None)


@dataclass(frozen=True, slots=True)
class _OnlyBox:
    """An object that the source has a box of and no mask."""

    box: Box


_Shape = Sequence[Sequence[float]] | bytes | _OnlyBox
"""A frame's mask on its way: polygons to draw, compressed counts, or a box alone."""
_Draft = list[_Shape | FileMask | None] | Fault


def decode_media(planned: PlannedMedia, root: Path | str, bounds: Path | None = None) -> Media:
    """The medium with every object's masks as compressed counts at the medium's (height, width).

    An object that already has a reason, or whose segmentation is malformed (``bad_mask``) or shows nothing on any
    frame (``empty_mask``), has that fault and no masks. Valid compressed counts pass through unchanged.

    Args:
        root: the dataset's folder on this machine.
        bounds: see ``Media``.
    """
    size = (planned.height, planned.width)
    drafts = _with_files([_draft(item, planned, size) for item in planned.objects], size, Path(root), bounds)
    counts = rle.rasterise(
        [shape for draft in drafts if isinstance(draft, list) for shape in draft if _to_measure(shape)], size
    )
    masks = iter(_measure(counts, size))
    objects = tuple(_object(planned, item, draft, masks) for item, draft in zip(planned.objects, drafts, strict=True))
    place = str(Path(root, planned.folder))
    return Media(**planned.header(), root=place, bounds=str(bounds) if bounds else None, objects=objects)


_Measured = tuple[str | None, Box, int | None]


def _to_measure(shape: _Shape | None) -> TypeGuard[Sequence[Sequence[float]] | bytes]:
    return shape is not None and not isinstance(shape, _OnlyBox)


def _with_files(drafts: list[_Draft], size: Size, root: Path, bounds: Path | None) -> list[list[_Shape | None] | Fault]:
    """The drafts with the masks that lie in files read, each file once; a file's fault is that of its objects."""
    wanted = {shape for draft in drafts if isinstance(draft, list) for shape in draft if isinstance(shape, FileMask)}
    found = masks_of_files(wanted, size, root, bounds) if wanted else {}
    return [draft if isinstance(draft, Fault) else _filled(draft, found) for draft in drafts]


def _filled(draft: list[_Shape | FileMask | None], found: dict[FileMask, bytes | Fault]) -> list[_Shape | None] | Fault:
    shapes: list[_Shape | None] = []
    for shape in draft:
        got = found[shape] if isinstance(shape, FileMask) else shape
        if isinstance(got, Fault):
            return got
        shapes.append(got)
    return shapes


def _object(
    planned: PlannedMedia, item: PlannedObject, draft: list[_Shape | None] | Fault, masks: Iterator[_Measured]
) -> MediaObject:
    """Takes the object's masks from the front of ``masks``."""
    frames: list[_Measured | None] = [None] * len(planned.file_names)
    fault = draft if isinstance(draft, Fault) else None
    if isinstance(draft, list):
        taken = [
            (None, shape.box, None) if isinstance(shape, _OnlyBox) else next(masks) if shape is not None else None
            for shape in draft
        ]
        frames = [mask if mask and mask[2] != 0 else None for mask in taken]
        if not any(frames):
            what = "no pixel of the object lies inside the picture on any frame"
            none = "the source has no mask of the object on any frame (--dataset boxes captions boxes of images)"
            fault = Fault("empty_mask", what if any(shape is not None for shape in draft) else none)
    return MediaObject(
        key=planned.key_of(item.object_id),
        object_id=item.object_id,
        category_id=item.category_id,
        category=item.category,
        synonyms=item.synonyms,
        counts=tuple([mask[0] if mask else None for mask in frames]),
        boxes=tuple([mask[1] if mask else None for mask in frames]),
        areas=tuple([mask[2] if mask else None for mask in frames]),
        fault=fault,
    )


def _draft(item: PlannedObject, planned: PlannedMedia, size: Size) -> _Draft:
    if item.reason is not None:
        return Fault(item.reason, item.message or item.reason)
    try:
        return [_shape(frame, size) for frame in _frames(item, planned)]
    except rle.MaskFault as error:
        return Fault("bad_mask", str(error))


def _frames(item: PlannedObject, planned: PlannedMedia) -> list[_Frame]:
    try:
        if planned.kind == "image":
            return [_IMAGE.decode(item.segmentation)]
        frames = _VIDEO.decode(item.segmentation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise rle.MaskFault(f"the segmentation is malformed: {error}") from error
    if frames is None:
        return [None] * len(planned.file_names)
    if len(frames) != len(planned.file_names):
        raise rle.MaskFault(f"the segmentation has {len(frames)} frames, its video {len(planned.file_names)}")
    return frames


def _shape(frame: _Frame, size: Size) -> _Shape | FileMask | None:
    if not isinstance(frame, _Mask):
        return _drawable(frame, size) if frame else None
    if frame.png is not None:
        return FileMask(frame.png, frame.value, frame.form)
    if frame.box is not None:
        return _clipped(frame.box, size)
    if frame.counts is None or frame.size is None:
        raise rle.MaskFault("the segmentation is malformed: run lengths need `counts` and `size`")
    if frame.size != list(size):
        raise rle.MaskFault(f"the mask's size is {str(frame.size)[:40]}, its picture's {list(size)} (height, width)")
    return rle.compressed(frame.counts, size)


def _clipped(box: list[float], size: Size) -> _OnlyBox | None:
    """The part of a box (x, y, width, height) that lies in the picture; None where it is less than a pixel's side."""
    if len(box) != 4 or not all(math.isfinite(value) for value in box):
        raise rle.MaskFault("the box is not x, y, width, height")
    x, y, width, height = box
    left, top = max(0.0, x), max(0.0, y)
    right, bottom = min(float(size[1]), x + width), min(float(size[0]), y + height)
    return _OnlyBox((left, top, right - left, bottom - top)) if right - left >= 1 and bottom - top >= 1 else None


def _drawable(polygons: _Polygons, size: Size) -> list[Sequence[float]]:
    kept = rle.usable_polygons(polygons, size)
    if not kept:
        raise rle.MaskFault("the segmentation has no polygon of three points or more")
    return kept


def _measure(counts: Sequence[bytes], size: Size) -> list[_Measured]:
    if not counts:
        return []
    masks = [{"size": list(size), "counts": text} for text in counts]
    boxes = coco.toBbox(masks).tolist()
    areas = rle.areas(counts, size).tolist()
    return [(text.decode("ascii"), tuple(box), area) for text, box, area in zip(counts, boxes, areas, strict=True)]
