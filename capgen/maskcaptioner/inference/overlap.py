"""Of tracks that cover the same object, the best: queries that answer for one object together do so all video long."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capgen import rle

Shapes = Mapping[int, Any]
"""By frame: an RLE mask (``size``, ``counts``), or a box (x, y, width, height) in pixels."""


def without_duplicates(shapes: Sequence[Shapes], most: float) -> list[int]:
    """Which of N tracks, best first, overlap no better one that is kept by more than ``most``.

    The overlap is the intersection over the union of all frames of the worse of the two: a piece of a track goes, too.
    """
    if most >= 1 or len(shapes) < 2:
        return list(range(len(shapes)))
    inter, area = _volumes(shapes)
    kept: list[int] = []
    for i in range(len(shapes)):
        union = area[i, i] + area[kept, i] - inter[kept, i]
        if not (inter[kept, i] > most * union).any():
            kept.append(i)
    return kept


def _volumes(shapes: Sequence[Shapes]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Intersections [N, N] over all frames, and areas [N, N]: of the first on the frames of the second."""
    inter, area = np.zeros((2, len(shapes), len(shapes)))
    for frame in sorted({frame for one in shapes for frame in one}):
        here = [i for i, one in enumerate(shapes) if frame in one]
        found = [shapes[i][frame] for i in here]
        both, own = _boxes(found) if isinstance(found[0], tuple) else _masks(found)
        inter[np.ix_(here, here)] += both
        area[np.ix_(here, here)] += own[:, None]
    return inter, area


def _masks(found: Sequence[Mapping[str, Any]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = (found[0]["size"][0], found[0]["size"][1])
    counts = [one["counts"] for one in found]
    own = np.array([rle.area(one, size) for one in counts], dtype=np.float64)
    share = rle.iou(counts, counts, size)
    return share * (own[:, None] + own) / (1 + share), own


def _boxes(found: Sequence[tuple[float, ...]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    x, y, w, h = np.array(found, dtype=np.float64).T
    wide = (np.minimum.outer(x + w, x + w) - np.maximum.outer(x, x)).clip(min=0)
    high = (np.minimum.outer(y + h, y + h) - np.maximum.outer(y, y)).clip(min=0)
    return wide * high, w * h
