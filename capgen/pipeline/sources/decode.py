"""Raw segmentations to compressed run lengths, tight boxes and areas: all objects of a medium in a few C calls.

pycocotools trusts its input: a malformed run length makes it read or allocate without end. So run lengths are read
here first, and polygons are measured, before the C code sees them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Box, Fault, Media, MediaObject
from capgen.rle import Size

_FAR = 8
"""So many picture sides away a polygon's vertex is no annotator's overshoot."""
_MAX_OUTLINE = 10_000_000
"""Points that pycocotools may lay out for an object's outline: five a pixel, 16 bytes each."""


class _Rle(msgspec.Struct):
    counts: str | list[int]
    size: list[int]


_Polygons = list[list[float]]
_Frame = _Polygons | _Rle | None
_IMAGE: msgspec.json.Decoder[_Frame] = msgspec.json.Decoder(_Frame)
_VIDEO: msgspec.json.Decoder[list[_Frame] | None] = msgspec.json.Decoder(list[_Frame] | None)

_Shape = _Polygons | bytes
"""A frame's mask on its way: polygons to draw, or compressed counts."""


class _Bad(Exception):
    """A segmentation that cannot be a mask; becomes the object's fault."""


def decode_media(planned: PlannedMedia, root: Path | str) -> Media:
    """The medium with every object's masks as compressed counts at the medium's (height, width).

    An object that already has a reason, or whose segmentation is malformed (``bad_mask``) or shows nothing on any
    frame (``empty_mask``), has that fault and no masks. Valid compressed counts pass through unchanged.

    Args:
        root: the dataset's folder on this machine.
    """
    size = (planned.height, planned.width)
    drafts = [_draft(item, planned, size) for item in planned.objects]
    counts = _rasterise(
        [shape for draft in drafts if isinstance(draft, list) for shape in draft if shape is not None], size
    )
    masks = iter(_measure(counts, size))
    objects = tuple(_object(planned, item, draft, masks) for item, draft in zip(planned.objects, drafts, strict=True))
    return Media(**planned.header(), root=str(Path(root, planned.folder)), objects=objects)


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
    except _Bad as error:
        return Fault("bad_mask", str(error))


def _frames(item: PlannedObject, planned: PlannedMedia) -> list[_Frame]:
    try:
        if planned.kind == "image":
            return [_IMAGE.decode(item.segmentation)]
        frames = _VIDEO.decode(item.segmentation)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise _Bad(f"the segmentation is malformed: {error}") from error
    if frames is None:
        return [None] * len(planned.file_names)
    if len(frames) != len(planned.file_names):
        raise _Bad(f"the segmentation has {len(frames)} frames, its video {len(planned.file_names)}")
    return frames


def _shape(frame: _Frame, size: Size) -> _Shape | None:
    if isinstance(frame, _Rle):
        return _checked_rle(frame, size)
    return _checked_polygons(frame, size) if frame else None


def _checked_polygons(polygons: _Polygons, size: Size) -> _Polygons:
    """The polygons without those of an odd length or of fewer than three points."""
    kept = [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]
    if not kept:
        raise _Bad("the segmentation has no polygon of three points or more")
    far, most = _FAR * max(size), 0.0
    for polygon in kept:
        low, high = min(polygon), max(polygon)
        if low < -far or high > far:
            raise _Bad(f"a polygon's vertex at {low if low < -far else high:g} is far outside the picture")
        most += len(polygon) / 2 * (5 * (high - low) + 1)
    if most > _MAX_OUTLINE and sum(map(_outline, kept)) > _MAX_OUTLINE:
        raise _Bad("its polygons' outlines are too long for any object")
    return kept


def _outline(polygon: Sequence[float]) -> float:
    """Points that pycocotools lays out for the polygon: five a pixel of each edge's longer side, and its start."""
    points = np.asarray(polygon).reshape(-1, 2)
    steps = np.abs(points - np.roll(points, -1, axis=0)).max(axis=1)
    return float((5 * steps + 1).sum())


def _checked_rle(rle: _Rle, size: Size) -> bytes:
    """Compressed counts, canonical: no run of no pixels but the first."""
    if rle.size != list(size):
        raise _Bad(f"the mask's size is {str(rle.size)[:40]}, its picture's {list(size)} (height, width)")
    if isinstance(rle.counts, str):
        compressed = _from_repr(rle.counts).encode("utf-8")
        runs = _runs(compressed)
    else:
        compressed, runs = None, _listed_runs(rle.counts, size)
    if len(runs) == 0 or int(runs.sum()) != size[0] * size[1]:
        raise _Bad(f"the mask's runs do not add up to its {size[1]} x {size[0]} pixels")
    if compressed is not None and runs[1:].all():
        return compressed
    counts: bytes = coco.frPyObjects({"size": list(size), "counts": _canonical(runs)}, *size)["counts"]
    return counts


def _from_repr(counts: str) -> str:
    """Undoes ``str(bytes)``: Python writes it where somebody made bytes into JSON; ``'`` is never part of counts."""
    if counts.startswith("b'") and counts.endswith("'"):
        return counts[2:-1].replace("\\\\", "\\")
    return counts


def _listed_runs(counts: Sequence[int], size: Size) -> NDArray[np.int64]:
    if counts and (min(counts) < 0 or max(counts) > size[0] * size[1]):
        raise _Bad("the mask has a run that is negative or larger than its picture")
    return np.asarray(counts, dtype=np.int64)


def _runs(compressed: bytes) -> NDArray[np.int64]:
    """Run lengths of compressed counts, int64 [N].

    Each number is written in groups of five bits, low ones first, as characters from ``0``; bit 5 says that more
    follow, bit 4 of the last is the sign. From the fourth number on it is the difference to the one two before.

    Raises:
        _Bad: the text is no such code, or a run is negative.

    Source: the format of maskApi.c in github.com/cocodataset/cocoapi.
    """
    codes = np.frombuffer(compressed, dtype=np.uint8).astype(np.int64) - 48
    if len(codes) == 0 or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise _Bad("the mask's counts are no compressed run lengths")
    ends = np.flatnonzero((codes & 32) == 0)
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > 6:  # more than any picture needs, and shifts beyond 31 bits are undefined in C
        raise _Bad("the mask's counts hold a number of more than 30 bits")
    shifts = 5 * (np.arange(len(codes)) - np.repeat(starts, lengths))
    runs = np.add.reduceat((codes & 31) << shifts, starts)
    runs -= np.where(codes[ends] & 16, np.int64(1) << 5 * lengths, 0)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    if runs.min() < 0:
        raise _Bad("the mask has a negative run")
    return runs


def _canonical(runs: NDArray[np.int64]) -> list[int]:
    """The same mask with runs that touch joined: only the first run may have no pixels."""
    total = int(runs.sum())
    borders, times = np.unique(np.cumsum(runs)[:-1], return_counts=True)
    borders = borders[(times % 2 == 1) & (borders < total)]
    canonical: list[int] = np.diff(np.concatenate(([0], borders, [total]))).tolist()
    return canonical


def _rasterise(shapes: Sequence[_Shape], size: Size) -> list[bytes]:
    """Compressed counts of every shape; the polygons of all shapes are drawn in one call."""
    polygons = [polygon for shape in shapes if isinstance(shape, list) for polygon in shape]
    drawn: Iterator[dict[str, Any]] = iter(coco.frPyObjects(polygons, *size) if polygons else ())
    counts: list[bytes] = []
    for shape in shapes:
        if isinstance(shape, bytes):
            counts.append(shape)
            continue
        parts = [next(drawn) for _ in shape]
        counts.append((parts[0] if len(parts) == 1 else coco.merge(parts))["counts"])
    return counts


def _measure(counts: Sequence[bytes], size: Size) -> list[_Mask]:
    if not counts:
        return []
    masks = [{"size": list(size), "counts": text} for text in counts]
    boxes = coco.toBbox(masks).tolist()
    areas = coco.area(masks).tolist()
    return [(text.decode("ascii"), tuple(box), area) for text, box, area in zip(counts, boxes, areas, strict=True)]
