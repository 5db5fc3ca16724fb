"""A mask without its stray pixels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def largest_components(mask: NDArray[np.bool_], share: float = 0.95) -> NDArray[np.bool_]:
    """The fewest connected pieces of a bool mask [H, W], largest first, that hold ``share`` of its pixels.

    An object that something hides in part keeps its pieces; single pixels elsewhere, which would stretch its box, go.
    Pixels that touch at a corner are connected.
    """
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if count <= 2:  # the background and one piece
        return mask
    areas = stats[1:, cv2.CC_STAT_AREA]
    order = np.argsort(-areas, kind="stable")
    needed = int(np.searchsorted(np.cumsum(areas[order]), share * areas.sum())) + 1
    kept = np.zeros(count, dtype=np.bool_)
    kept[order[:needed] + 1] = True
    return np.asarray(kept[labels])
