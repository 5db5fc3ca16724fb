"""The object as it is, everything else dimmed and softened."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from capgen.pipeline.rendering.highlights.base import Marked


@dataclass(frozen=True, slots=True)
class Spotlight:
    """Dims and softens the background; the object's own pixels stay true, and nothing is drawn on them.

    Softened by sampling down and up again, which costs a small part of a Gaussian blur of that width.

    Args:
        dim: how much light the background loses, from 0 to 1.
        soften: the side of the squares that the background is averaged over, in pixels; 1 for none.

    Source: the reverse blur of Yang et al., Fine-Grained Visual Prompting, arXiv:2306.04356, made cheap, and dimmed.
    """

    dim: float = 0.5
    soften: int = 8

    needs_mask: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not 0 <= self.dim < 1:
            raise ValueError("dim is at least 0 and less than 1")
        if self.soften < 1:
            raise ValueError("soften is at least 1")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with its background dimmed and softened on its picture."""
        canvas = frame.canvas()
        height, width = canvas.shape[:2]
        coarse = (max(1, width // self.soften), max(1, height // self.soften))
        small = cv2.convertScaleAbs(cv2.resize(canvas, coarse, interpolation=cv2.INTER_AREA), alpha=1 - self.dim)
        background = np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)
        cv2.copyTo(canvas, frame.bitmap(), background)
        return frame.painted(background)
