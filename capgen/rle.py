"""Masks as COCO run-length encodings: ``counts`` is the compressed form as ``str``, sizes are (height, width) pixels.

Thin over pycocotools, which every consumer of the datasets has; the only additions are types and empty masks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

Size = tuple[int, int]


def as_dict(counts: str, size: Size) -> dict[str, Any]:
    """The dict that pycocotools takes."""
    return {"size": [size[0], size[1]], "counts": counts.encode("ascii")}


def encode(bitmap: NDArray[np.bool_]) -> str:
    """Compressed counts of a bool [H, W] bitmap."""
    counts: bytes = coco.encode(np.asfortranarray(bitmap, dtype=np.uint8))["counts"]
    return counts.decode("ascii")


def decode(counts: str, size: Size) -> NDArray[np.bool_]:
    """The bool [H, W] bitmap of compressed counts."""
    bitmap: NDArray[np.bool_] = coco.decode(as_dict(counts, size)).astype(np.bool_)
    return bitmap


def area(counts: str, size: Size) -> int:
    """Pixels of the mask."""
    return int(coco.area(as_dict(counts, size)))


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
