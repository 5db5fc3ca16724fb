"""The object with a margin of context, cut out of the frame."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil, floor
from typing import ClassVar

from capgen.dataset.types import Box
from capgen.pipeline.rendering.highlights.base import Marked, Window

MIN_SIDE = 48  # pixels of the frame


@dataclass(frozen=True, slots=True)
class Crop:
    """A close-up: the box with ``margin`` box widths and heights of context on each side.

    At least 48 pixels wide and high, moved inside the frame rather than cut off at its edge. Where the fit is
    square, the shorter side gets more context, and grey where the frame ends.

    Args:
        margin: in box widths and heights; by default the render settings' margin.

    Source: the focal crop of Lian et al., Describe Anything, arXiv:2504.16072 (its alpha is 1 + 2 x margin); there
    the window is cut off at the frame's edge instead of moved.
    """

    margin: float | None = None

    close_up: ClassVar[bool] = True

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with its window round the object.

        Raises:
            ValueError: something is already drawn on the frame.
        """
        if frame.drawn is not None:
            raise ValueError("crop comes before the highlights that draw")
        margin = frame.margin if self.margin is None else self.margin
        height, width = frame.source.shape[:2]
        return replace(frame, window=window(frame.box, (width, height), margin=margin, square=frame.fit.square))


def window(box: Box, size: tuple[int, int], *, margin: float, square: bool) -> Window:
    """The window round a box (x, y, width, height) on a frame of ``size`` (width, height) pixels."""
    x, y, wide, high = box
    width = min(max(ceil(wide * (1 + 2 * margin)), MIN_SIDE), size[0])
    height = min(max(ceil(high * (1 + 2 * margin)), MIN_SIDE), size[1])
    if square:
        width = height = max(width, height)
    return Window(_start(x + wide / 2, width, size[0]), _start(y + high / 2, height, size[1]), width, height)


def _start(middle: float, length: int, limit: int) -> int:
    """Where a stretch of ``length`` round ``middle`` starts, moved inside 0..limit; centred on it if it is longer."""
    if length >= limit:
        return (limit - length) // 2
    return min(max(floor(middle - length / 2 + 0.5), 0), limit - length)
