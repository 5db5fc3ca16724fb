"""Raw segmentations to compressed run lengths, tight boxes and areas: all objects of a medium in a few C calls.

A segmentation that cannot be a mask (``capgen.rle`` checks it) becomes the object's fault.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from pycocotools import mask as coco

from capgen import rle
from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Box, Fault, Media, MediaObject
from capgen.rle import Size


class _Rle(msgspec.Struct):
    counts: str | list[int]
    size: list[int]


_Polygons = list[list[float]]
_Frame = _Polygons | _Rle | None
_IMAGE: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
_VIDEO: msgspec.json.Decoder[list[_Frame] | None] = msgspec.json.Decoder(list[_Frame] | None)

_Shape = Sequence[Sequence[float]] | bytes
"""A frame's mask on its way: polygons to draw, or compressed counts."""


def decode_media(planned: PlannedMedia, root: Path | str, bounds: Path | None = None) -> Media:
    """The medium with every object's masks as compressed counts at the medium's (height, width).

    An object that already has a reason, or whose segmentation is malformed (``bad_mask``) or shows nothing on any
    frame (``empty_mask``), has that fault and no masks. Valid compressed counts pass through unchanged.

    Args:
        root: the dataset's folder on this machine.
        bounds: see ``Media``.
    """
    size = (planned.height, planned.width)
    drafts = [_draft(item, planned, size) for item in planned.objects]
    counts = rle.rasterise(
        [shape for draft in drafts if isinstance(draft, list) for shape in draft if shape is not None], size
    )
    masks = iter(_measure(counts, size))
    objects = tuple(_object(planned, item, draft, masks) for item, draft in zip(planned.objects, drafts, strict=True))
    place = str(Path(root, planned.folder))
    return Media(**planned.header(), root=place, bounds=str(bounds) if bounds else None, objects=objects)


_Mask = tuple[str, Box, int]


def _object(
    planned: PlannedMedia, item: PlannedObject, draft: list[_Shape | None] | Fault, masks: Iterator[_Mask]
) -> MediaObject:
    """Takes the object's masks from the front of ``masks``."""
    frames: list[_Mask | None] = [None] * len(planned.file_names)
    fault = draft if isinstance(draft, Fault) else None
    if isinstance(draft, list):
        taken = [next(masks) if shape is not None else None for shape in draft]
        frames = [mask if mask and mask[2] else None for mask in taken]
        if not any(frames):
            fault = Fault("empty_mask", "no pixel of the object lies inside the picture on any frame")
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


def _draft(item: PlannedObject, planned: PlannedMedia, size: Size) -> list[_Shape | None] | Fault:
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


def _shape(frame: _Frame, size: Size) -> _Shape | None:
    if not isinstance(frame, _Rle):
        return _drawable(frame, size) if frame else None
    if frame.size != list(size):
        raise rle.MaskFault(f"the mask's size is {str(frame.size)[:40]}, its picture's {list(size)} (height, width)")
    return rle.compressed(frame.counts, size)


def _drawable(polygons: _Polygons, size: Size) -> list[Sequence[float]]:
    kept = rle.usable_polygons(polygons, size)
    if not kept:
        raise rle.MaskFault("the segmentation has no polygon of three points or more")
    return kept


def _measure(counts: Sequence[bytes], size: Size) -> list[_Mask]:
    if not counts:
        return []
    masks = [{"size": list(size), "counts": text} for text in counts]
    boxes = coco.toBbox(masks).tolist()
    areas = rle.areas(counts, size).tolist()
    return [(text.decode("ascii"), tuple(box), area) for text, box, area in zip(counts, boxes, areas, strict=True)]
