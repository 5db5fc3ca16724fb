"""The object under a veil of colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.pipeline.rendering.highlights.base import Marked
from capgen.pipeline.rendering.highlights.colour import contrasting, parse


@dataclass(frozen=True, slots=True)
class Tint:
    """The mask's pixels mixed with a colour. Shows shapes well, but a model may take the veil for the object's colour.

    Args:
        color: a palette name or ``#rrggbb``; by default what stands out most from the object.
        alpha: the colour's share, from 0 to 1.
    """

    color: str | None = None
    alpha: float = 0.4

    needs_mask: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.color is not None:
            parse(self.color)
        if not 0 < self.alpha <= 1:
            raise ValueError("alpha is above 0 and at most 1")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with the object tinted on its picture."""
        canvas = frame.canvas()
        mask = frame.bitmap()
        color = self.color or contrasting(_samples(canvas, mask))
        values = np.arange(256)[None, :, None] * (1 - self.alpha) + np.array(parse(color)) * self.alpha
        cv2.copyTo(cv2.LUT(canvas, values.round().astype(np.uint8)), mask, canvas)
        return frame.painted(canvas, color)


def _samples(canvas: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Pixels under the mask, uint8 RGB [N, 3]: on every fourth row and column, or all where those miss it."""
    coarse: NDArray[np.uint8] = canvas[::4, ::4][mask[::4, ::4] > 0]
    return coarse if len(coarse) else np.asarray(canvas[mask > 0])
