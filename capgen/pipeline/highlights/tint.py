"""The object under a veil of colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from capgen.pipeline.highlights.base import Marked
from capgen.pipeline.highlights.colour import contrasting, parse


@dataclass(frozen=True, slots=True)
class Tint:
    """The mask's pixels mixed with a colour. Shows shapes well, but a model may take the veil for the object's colour.

    Args:
        color: a palette name or ``#rrggbb``; by default what stands out most from the object.
        alpha: the colour's share, from 0 to 1.
    """

    color: str | None = None
    alpha: float = 0.4

    def __post_init__(self) -> None:
        if self.color is not None:
            parse(self.color)
        if not 0 < self.alpha <= 1:
            raise ValueError("alpha is above 0 and at most 1")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with the object tinted on its picture."""
        canvas = frame.canvas()
        mask = frame.bitmap()
        color = self.color or contrasting(canvas[mask > 0])
        veil = np.full_like(canvas, parse(color))
        cv2.copyTo(cv2.addWeighted(canvas, 1 - self.alpha, veil, self.alpha, 0), mask, canvas)
        return frame.painted(canvas, color)
