"""A thin box, tight round the object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from capgen.pipeline.rendering.highlights.base import Marked, line_width
from capgen.pipeline.rendering.highlights.colour import contrasting, parse

_SAMPLES = 12  # of a side


@dataclass(frozen=True, slots=True)
class BoxOutline:
    """A line just outside of the object's tight box, so that it hides nothing of the object.

    Args:
        color: a palette name or ``#rrggbb``; by default what stands out most from the pixels along the line.
        thickness: pixels; by default 1 on small pictures and 2 on others.
    """

    color: str | None = None
    thickness: int | None = None

    def __post_init__(self) -> None:
        if self.color is not None:
            parse(self.color)
        if self.thickness is not None and self.thickness < 1:
            raise ValueError("thickness is at least 1")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with the box drawn on its picture."""
        canvas = frame.canvas()
        edges = frame.edges()
        line = self.thickness or line_width(canvas)
        color = self.color or contrasting(ring(canvas, edges, line))
        draw(canvas, edges, line, parse(color))
        return frame.painted(canvas, color)


def ring(canvas: NDArray[np.uint8], edges: tuple[int, int, int, int], line: int) -> NDArray[np.uint8]:
    """Pixels beside the line of a box, within and without, uint8 RGB [N, 3]."""
    height, width = canvas.shape[:2]
    left, top = min(max(edges[0], 0), width - 1), min(max(edges[1], 0), height - 1)
    right, bottom = min(max(edges[2], left + 1), width), min(max(edges[3], top + 1), height)
    across = slice(left, right, 1 + (right - left) // _SAMPLES)
    down = slice(top, bottom, 1 + (bottom - top) // _SAMPLES)
    rows = (max(0, top - line - 1), min(top + 1, bottom - 1), max(bottom - 2, top), min(height - 1, bottom + line))
    columns = (max(0, left - line - 1), min(left + 1, right - 1), max(right - 2, left), min(width - 1, right + line))
    return np.concatenate([*(canvas[row, across] for row in rows), *(canvas[down, column] for column in columns)])


def draw(canvas: NDArray[np.uint8], edges: tuple[int, int, int, int], line: int, rgb: tuple[int, int, int]) -> None:
    """Draw a rectangle ``line`` pixels wide just outside of ``edges``, on the canvas's rim where the box touches it."""
    height, width = canvas.shape[:2]
    left, top = max(0, edges[0] - line), max(0, edges[1] - line)
    right, bottom = min(width, edges[2] + line), min(height, edges[3] + line)
    canvas[top : top + line, left:right] = rgb
    canvas[bottom - line : bottom, left:right] = rgb
    canvas[top:bottom, left : left + line] = rgb
    canvas[top:bottom, right - line : right] = rgb
