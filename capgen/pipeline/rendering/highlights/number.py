"""The object's number, for requests that are about several objects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import cv2
import numpy as np

from capgen.pipeline.rendering.highlights.base import Marked
from capgen.pipeline.rendering.highlights.colour import PALETTE, parse

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_STACKED = 5  # labels above each other
_DARK = 140.0  # a label lighter than this gets black digits


@dataclass(frozen=True, slots=True)
class NumberTag:
    """The number on a small label at the upper left corner of the object's box, outside of it where there is room.

    It has the colour of the mark that was drawn before it, so that a number and its box belong together. Where another
    label lies already it stands above that one.

    Args:
        height: of the label in pixels; by default a thirtieth of the picture's shorter side, at least 13.

    Source: marks of Yang et al., Set-of-Mark Prompting, arXiv:2310.11441; there numbers lie in the middle of objects.
    """

    height: int | None = None

    needs_number: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.height is not None and self.height < 8:
            raise ValueError("height is at least 8")

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with the number drawn on its picture.

        Raises:
            ValueError: the object has no number.
        """
        if frame.number is None:
            raise ValueError("the object has no number: the request is about it alone")
        canvas = frame.canvas()
        rows, columns = canvas.shape[:2]
        high = self.height or max(13, round(min(rows, columns) / 30))
        text, scale = str(frame.number), (high - 4) / 21  # the font's digits are 21 pixels high
        (wide, _), _ = cv2.getTextSize(text, _FONT, scale, 1)
        left, top, _, _ = frame.edges()
        x = min(max(0, left), max(0, columns - wide - 4))
        y = top - high if top >= high else max(0, min(top, rows - high))
        boxes = [(x, y - up * high, x + wide + 4, y - up * high + high) for up in range(_STACKED) if y >= up * high]
        label = next((box for box in boxes if not any(_overlap(box, other) for other in frame.labels)), boxes[0])
        y = label[1]
        color = frame.color or next(iter(PALETTE))
        rgb = parse(color)
        canvas[y : y + high, x : x + wide + 4] = rgb
        ink = (0, 0, 0) if np.dot(rgb, (0.299, 0.587, 0.114)) > _DARK else (255, 255, 255)
        cv2.putText(canvas, text, (x + 2, y + high - 3), _FONT, scale, ink, 1, cv2.LINE_AA)
        return replace(frame.painted(canvas, color), labels=(*frame.labels, label))


def _overlap(one: tuple[int, int, int, int], other: tuple[int, int, int, int]) -> bool:
    """Whether two boxes (left, top, right, bottom) share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
