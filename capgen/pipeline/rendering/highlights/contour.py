"""A thin line along the object's outline."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from capgen.pipeline.rendering.highlights.base import Marked, line_width
from capgen.pipeline.rendering.highlights.colour import contrasting, parse


@dataclass(frozen=True, slots=True)
class Contour:
    """A line just outside of the mask, round its holes too, so that it hides nothing of the object.

    Args:
        color: a palette name or ``#rrggbb``; by default what stands out most from the pixels under the line.
        thickness: pixels; by default 1 on small pictures and 2 on others.
    """

    color: str | None = None
    thickness: int | None = None

    needs_mask: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.color is not None:
            parse(self.color)
        if self.thickness is not None and self.thickness < 1:
            raise ValueError("thickness is at least 1")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with the outline drawn on its picture."""
        canvas = frame.canvas()
        line = self.thickness or line_width(canvas)
        mask = frame.bitmap()
        disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * line + 1, 2 * line + 1))
        outline = np.asarray(cv2.dilate(mask, disc), dtype=np.uint8) != mask
        color = self.color or contrasting(canvas[outline])
        canvas[outline] = parse(color)
        return frame.painted(canvas, color)
