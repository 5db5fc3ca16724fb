"""Masks as LVIS stores them: polygons, which pycocotools decodes to the mask again.

COCO's rasteriser tests pixel centres, in coordinates where pixel c spans [c, c + 1]. Contours are therefore traced on
the mask enlarged three times: a vertex on the middle of an outer third lies well inside its pixel's border and
well outside its centre, so neither thin parts nor small objects shrink.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

_SCALE = 3
_SLACK = 1.5  # of the enlarged mask: half a pixel


def polygons(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Polygons [x1, y1, x2, y2, …] in pixels whose union is the bool [H, W] mask; none for an empty mask.

    A polygon has no holes, so a part with one is cut in two through its hole.
    """
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return []
    top, left = int(rows[0]), int(columns[0])
    patch = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    found: list[list[float]] = []
    pending = [(patch.astype(np.uint8), left)]
    while pending:
        part, x = pending.pop()
        hole = _hole(part)
        if hole is None:
            found += [_flat(contour, x, top) for contour in _contours(part)]
        else:
            pending += [(part[:, hole:], x + hole), (part[:, :hole], x)]
    return found


def _hole(part: NDArray[np.uint8]) -> int | None:
    """A column through a hole of the part, with something of the hole's rim on both sides; None without holes."""
    contours, hierarchy = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    for contour, (_, _, _, parent) in zip(contours, hierarchy[0] if contours else (), strict=True):
        if parent >= 0:
            xs = contour[:, 0, 0]
            return int(xs.min() + xs.max() + 1) // 2
    return None


def _contours(part: NDArray[np.uint8]) -> list[NDArray[np.int32]]:
    large = np.repeat(np.repeat(part, _SCALE, 0), _SCALE, 1)
    contours, _ = cv2.findContours(large, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    smooth = []
    for contour in contours:
        simple = cv2.approxPolyDP(contour, _SLACK, True)
        smooth.append(np.asarray(simple if len(simple) >= 3 else contour, np.int32)[:, 0])
    return smooth


def _flat(contour: NDArray[np.int32], left: int, top: int) -> list[float]:
    points = (contour + 0.5) / _SCALE + (left, top)
    return [round(float(value), 2) for value in points.ravel()]
