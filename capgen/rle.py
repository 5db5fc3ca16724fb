"""Masks as COCO run-length encodings: ``counts`` is the compressed form as ``str``, sizes are (height, width) pixels.

pycocotools does the work, and trusts its input: a malformed run length makes it read or write beyond its memory, and a
far vertex makes it allocate without end. So what comes from a file goes through the checks here first: ``polygons``
and ``compressed`` for one object, ``covered_pixels`` for many masks at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

Size = tuple[int, int]
"""Height, width in pixels."""
Ints = NDArray[np.int64]
Polygons = Sequence[Sequence[float]]
"""Each polygon as x0, y0, x1, y1, … in pixels."""

_FAR = 8
"""So many picture sides away a polygon's vertex is no annotator's overshoot."""
_MAX_OUTLINE = 10_000_000
"""Points that pycocotools may lay out for an object's outline: five a pixel, 16 bytes each."""
_MAX_GROUPS = 6
"""Characters of a run: more than any picture needs, and shifts beyond 31 bits are undefined in C."""


class MaskFault(ValueError):
    """A segmentation that cannot be a mask; the message is a clause that says why."""


def as_dict(counts: str, size: Size) -> dict[str, Any]:
    """The dict that pycocotools takes."""
    return {"size": [size[0], size[1]], "counts": counts.encode("ascii")}


def encode(bitmap: NDArray[np.bool_]) -> str:
    """Compressed counts of a bool [H, W] bitmap."""
    counts: bytes = coco.encode(np.asfortranarray(bitmap, dtype=np.uint8))["counts"]
    return counts.decode("ascii")


def decode(counts: str, size: Size) -> NDArray[np.bool_]:
    """The bool [H, W] bitmap of compressed counts, which must be sound: see ``covered_pixels``."""
    bitmap: NDArray[np.bool_] = coco.decode(as_dict(counts, size)).astype(np.bool_)
    return bitmap


def area(counts: str, size: Size) -> int:
    """Pixels of the mask."""
    return int(coco.area(as_dict(counts, size)))


@lru_cache(maxsize=2048)
def largest_piece(counts: str, size: Size) -> str:
    """Compressed counts of the largest connected piece of a mask; pixels that touch at a corner are connected.

    Of pieces of one size it is the first from the top.
    """
    found, labels, stats, _ = cv2.connectedComponentsWithStats(decode(counts, size).view(np.uint8), connectivity=8)
    if found <= 2:  # the background is one of them
        return counts
    return encode(labels == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA])))


def areas(counts: Sequence[bytes], size: Size) -> Ints:
    """Pixels of each of many masks, int64 [N]."""
    masks = [{"size": [size[0], size[1]], "counts": text} for text in counts]
    # pycocotools 2.0.11 cannot count more than 255 masks at a time under numpy 2
    pieces = [np.asarray(coco.area(masks[i : i + 200]), np.int64) for i in range(0, len(masks), 200)]
    return np.concatenate(pieces) if pieces else np.zeros(0, np.int64)


def box(counts: str, size: Size) -> tuple[float, float, float, float]:
    """The tight box (x, y, width, height) in pixels; all zero for an empty mask."""
    x, y, width, height = coco.toBbox(as_dict(counts, size)).tolist()
    return x, y, width, height


def iou(a: Sequence[str], b: Sequence[str], size: Size) -> NDArray[np.float64]:
    """Pairwise intersection over union, float64 [len(a), len(b)], without decoding; 0 where a mask is empty."""
    if not a or not b:
        return np.zeros((len(a), len(b)))
    pairs = coco.iou([as_dict(x, size) for x in a], [as_dict(x, size) for x in b], [0] * len(b))
    return np.asarray(pairs, dtype=np.float64).reshape(len(a), len(b))


def empty(size: Size) -> bytes:
    """Compressed counts of a mask without pixels."""
    return _compress([size[0] * size[1]], size)


def usable_polygons(polygons: Polygons, size: Size) -> list[Sequence[float]]:
    """The polygons that can be drawn: those of an odd length or of fewer than three points are left out.

    Raises:
        MaskFault: a vertex is far outside the picture or no number, or the outlines are too long for any object.
    """
    kept = [polygon for polygon in polygons if len(polygon) >= 6 and len(polygon) % 2 == 0]
    if any(isinstance(one, str) for polygon in kept for one in polygon):
        raise MaskFault("a polygon holds text instead of numbers")
    far, most = _FAR * max(size), 0.0
    for polygon in kept:
        low, high = min(polygon), max(polygon)
        if low < -far or high > far or math.isnan(sum(polygon)):
            raise MaskFault(f"a polygon's vertex at {low if low < -far else high:g} is far outside the picture")
        most += len(polygon) / 2 * (5 * (high - low) + 1)
    if most > _MAX_OUTLINE and sum(map(_outline, kept)) > _MAX_OUTLINE:
        raise MaskFault("its polygons' outlines are too long for any object")
    return kept


def rasterise(shapes: Sequence[Polygons | bytes], size: Size) -> list[bytes]:
    """Compressed counts of shapes: the union of each one's usable polygons, or counts, which pass unchanged.

    The polygons of all shapes are drawn in one call.
    """
    polygons = [list(polygon) for shape in shapes if not isinstance(shape, bytes) for polygon in shape]
    drawn: Iterator[dict[str, Any]] = iter(coco.frPyObjects(polygons, *size) if polygons else ())
    counts: list[bytes] = []
    for shape in shapes:
        if isinstance(shape, bytes):
            counts.append(shape)
        elif not shape:
            counts.append(empty(size))
        else:
            parts = [next(drawn) for _ in shape]
            counts.append((parts[0] if len(parts) == 1 else coco.merge(parts))["counts"])
    return counts


def compressed(counts: str | bytes | Sequence[int], size: Size) -> bytes:
    """Compressed counts of compressed or listed ones, canonical: no run of no pixels but the first.

    ``str(bytes)``, which Python writes where somebody made bytes into JSON, is undone: ``'`` is never part of counts.

    Raises:
        MaskFault: they are no run lengths, or do not cover the picture exactly.
    """
    given: bytes | None = None
    if isinstance(counts, str | bytes):
        given = counts if isinstance(counts, bytes) else _from_repr(counts).encode("utf-8")
        runs = _runs(given)
    else:
        runs = _listed_runs(counts, size)
    if len(runs) == 0 or int(runs.sum()) != size[0] * size[1]:
        raise MaskFault(f"the mask's counts add up to {int(runs.sum())} pixels, not {size[0] * size[1]}")
    if given is not None and runs[1:].all():
        return given
    return _compress(_canonical(runs), size)


def covered_pixels(counts: Sequence[bytes]) -> Ints:
    """The number of pixels that each of many compressed counts covers, int64 [N]; -1 where they are damaged.

    A mask is sound where this is its picture's number of pixels.
    """
    sound = np.array([_is_code(text) for text in counts], dtype=np.bool_)
    covered = np.full(len(counts), -1, dtype=np.int64)
    if sound.any():
        lengths, starts, usable = _run_lengths([text for text, good in zip(counts, sound, strict=True) if good])
        covered[sound] = np.where(usable, np.add.reduceat(lengths, starts), -1)
    return covered


def _from_repr(counts: str) -> str:
    if counts.startswith("b'") and counts.endswith("'"):
        return counts[2:-1].replace("\\\\", "\\")
    return counts


def _outline(polygon: Sequence[float]) -> float:
    """Points that pycocotools lays out for the polygon: five a pixel of each edge's longer side, and its start."""
    points = np.asarray(polygon).reshape(-1, 2)
    steps = np.abs(points - np.roll(points, -1, axis=0)).max(axis=1)
    return float((5 * steps + 1).sum())


def _listed_runs(counts: Sequence[int], size: Size) -> Ints:
    if not all(isinstance(count, int) for count in counts):
        raise MaskFault("the mask has a run that is no whole number")
    if counts and (min(counts) < 0 or max(counts) > size[0] * size[1]):
        raise MaskFault("the mask has a run that is negative or larger than its picture")
    return np.asarray(counts, dtype=np.int64)


_CODE = bytes(range(48, 112))
_LAST = frozenset(range(48, 80))


def _is_code(text: bytes) -> bool:
    """Whether these are whole numbers in COCO's characters."""
    return bool(text) and text[-1] in _LAST and not text.translate(None, _CODE)


def _runs(text: bytes) -> Ints:
    """The run lengths of one compressed mask.

    Raises:
        MaskFault: the text is no such code, or a run is negative.
    """
    if not _is_code(text):
        raise MaskFault("the mask's counts are no compressed run lengths")
    lengths, _, usable = _run_lengths([text])
    if not usable[0]:
        raise MaskFault("the mask has a run that is negative or of more than 30 bits")
    return lengths


def _run_lengths(counts: Sequence[bytes]) -> tuple[Ints, Ints, NDArray[np.bool_]]:
    """The run lengths of masks whose characters are right, one after another.

    Each number is written in groups of five bits, low ones first, as characters from ``0``; bit 5 says that more
    follow, bit 4 of the last is the sign. From the fourth number of a mask on it is the difference to the one two
    before.

    Returns:
        The runs int64 [R], where each mask's begin, int64 [N], and whether all of its runs can be, bool [N].

    Source: the format of maskApi.c in github.com/cocodataset/cocoapi.
    """
    codes = np.frombuffer(b"".join(counts), dtype=np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((codes & 32) == 0)
    begins = np.concatenate(([0], ends[:-1] + 1))
    groups = ends - begins + 1
    shifts = 5 * (np.arange(len(codes)) - np.repeat(begins, groups))
    too_long = groups > _MAX_GROUPS
    values = np.add.reduceat((codes & 31) << np.minimum(shifts, 30), begins)
    values -= np.where(codes[ends] & 16, np.int64(1) << 5 * np.minimum(groups, _MAX_GROUPS), 0)
    values[too_long] = 0
    stops = np.searchsorted(ends, np.cumsum([len(text) for text in counts]) - 1, side="right")
    starts = np.concatenate(([0], stops[:-1]))
    number = np.arange(len(values)) - np.repeat(starts, stops - starts)
    for chain in (number % 2 == 1, (number % 2 == 0) & (number > 0)):
        sums = np.cumsum(np.where(chain, values, 0))
        before = np.concatenate(([0], sums))[starts]
        values = np.where(chain, sums - np.repeat(before, stops - starts), values)
    usable = np.minimum.reduceat(np.where(too_long, -1, values), starts) >= 0
    return values, starts, usable


def _canonical(runs: Ints) -> list[int]:
    """The same mask with runs that touch joined: only the first run may have no pixels."""
    total = int(runs.sum())
    borders, times = np.unique(np.cumsum(runs)[:-1], return_counts=True)
    borders = borders[(times % 2 == 1) & (borders < total)]
    canonical: list[int] = np.diff(np.concatenate(([0], borders, [total]))).tolist()
    return canonical


def _compress(runs: list[int], size: Size) -> bytes:
    counts: bytes = coco.frPyObjects({"size": list(size), "counts": runs}, *size)["counts"]
    return counts
