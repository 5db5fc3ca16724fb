"""Masks as SVG paths: an outline with a dark and a light edge, which changes no colour inside the mask."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

HUES = 24
"""How many colours tell objects apart before they come again; the style sheet has them as ``.c0`` and so on."""


class Outline(NamedTuple):
    """A mask on one frame: the path's data in pixels of the source, and its topmost point, where its number stands."""

    path: str
    x: float
    y: float


def outline(bitmap: NDArray[np.bool_], scale: float = 1.0) -> Outline | None:
    """The path round a mask's pieces and holes; None where the mask is empty.

    Args:
        bitmap: [height, width].
        scale: how much smaller the picture is shown, at least; what cannot be seen there is left out.
    """
    pieces, _ = cv2.findContours(bitmap.view(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    path = []
    for piece in pieces:
        points = cv2.approxPolyDP(piece, 0.5 / scale, closed=True).reshape(-1, 2)
        path.append("M" + "L".join(f"{x} {y}" for x, y in points.tolist()) + "Z")
    if not path:
        return None
    highest = np.concatenate([piece.reshape(-1, 2) for piece in pieces])
    x, y = highest[np.lexsort((highest[:, 0], highest[:, 1]))[0]].tolist()
    return Outline("".join(path), x, y)


def colour_class(number: int) -> str:
    """The class of an object's colour; neighbouring numbers are far apart on the wheel."""
    return f"c{number * 11 % HUES}"
