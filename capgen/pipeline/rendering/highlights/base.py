"""What a highlight works on: one frame, the object on it, and the rule for the size of the picture to make.

Windows are chosen first, pixels are resized once, and marks are drawn on the final pixels, so that a line stays
one or two pixels wide whatever the size of the object.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from math import ceil, floor, isqrt, log, sqrt
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.types import Box

ENLARGE = 4.0  # a close-up is enlarged at most so much: beyond, only blur is added
_ALIASES = 1.5  # beyond this ratio, bilinear interpolation skips too many pixels
GREY = 128  # what lies beyond the picture in a square window
_SMALL = 192  # pixels: on a picture whose shorter side is less, lines are one pixel wide
_MAX_ASPECT = 100  # in patches; Qwen's processors refuse 200


@dataclass(frozen=True, slots=True)
class Window:
    """A rectangle of a frame, in its pixels; only a square window may reach beyond the frame."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Fit:
    """The rule for a picture's size: multiples of ``patch`` within ``pixels``, or exactly square.

    Args:
        square: width and height are sqrt(``pixels``), whatever the aspect.
    """

    patch: int
    pixels: int
    square: bool = False

    def size(self, width: int, height: int, enlarge: float = 1.0) -> tuple[int, int]:
        """Width and height of the picture for ``width`` x ``height`` pixels enlarged at most ``enlarge`` times.

        Rounding to patches may go up as well as down, within the budget, whichever keeps the aspect better.
        """
        if self.square:
            return isqrt(self.pixels), isqrt(self.pixels)
        across, down = _patches(width, height, self.patch, self.pixels, enlarge)
        return across * self.patch, down * self.patch


@lru_cache(maxsize=4096)
def _patches(width: int, height: int, patch: int, pixels: int, enlarge: float) -> tuple[int, int]:
    """How many patches across and down."""
    scale = min(sqrt(pixels / (width * height)), enlarge) / patch
    wide, high = width * scale, height * scale
    most = max(1, pixels // patch**2)
    options = [
        (across, down)
        for across in sorted({max(1, floor(wide)), ceil(wide)})
        for down in sorted({max(1, floor(high)), ceil(high)})
        if across * down <= most
    ]

    def cost(option: tuple[int, int]) -> float:
        across, down = option
        distortion = abs(log(across / down) - log(wide / high))
        return distortion + abs(log(across * down / (wide * high))) / 2

    # No option: a sliver, one patch thin, whose other side alone exceeds the budget.
    across, down = min(options, key=cost) if options else (most, 1) if wide > high else (1, most)
    return min(across, down * _MAX_ASPECT), min(down, across * _MAX_ASPECT)


@dataclass(frozen=True, slots=True)
class Marked:
    """One frame with one object on it, on its way to a picture.

    Args:
        source: the decoded frame, uint8 RGB [H, W, 3]; shared, never written to.
        counts: the object's mask on this frame, compressed run lengths, decoded only when a highlight asks; None where
            only its box is known.
        box: tight on the mask, in pixels of the frame.
        window: the part of the frame that is shown.
        fit: the rule for the size of the picture.
        margin: context of a close-up on each side, in box widths and heights.
        drawn: the picture, uint8 RGB [h, w, 3], once something is drawn on it.
        color: the name of the colour of the mark, if there is one.
        number: of the object among those that its request is about; None where it is about this one alone.
        labels: left, top, right and bottom of the labels that are on the picture already.
    """

    source: NDArray[np.uint8]
    counts: str | None
    box: Box
    window: Window
    fit: Fit
    margin: float = 1.0
    drawn: NDArray[np.uint8] | None = None
    color: str | None = None
    number: int | None = None
    labels: tuple[tuple[int, int, int, int], ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the picture."""
        return picture_size(self.source, self.window, self.fit)

    @property
    def pixels(self) -> NDArray[np.uint8]:
        """The picture as it stands, uint8 RGB [h, w, 3]; may share memory with the frame."""
        return show(self.source, self.window, self.fit) if self.drawn is None else self.drawn

    def canvas(self) -> NDArray[np.uint8]:
        """A copy of the picture to draw on, uint8 RGB [h, w, 3]."""
        pixels = self.pixels
        shared = self.drawn is not None or np.may_share_memory(pixels, self.source)
        return pixels.copy() if shared else pixels

    def painted(self, canvas: NDArray[np.uint8], color: str | None = None) -> Marked:
        """The same frame with ``canvas`` as its picture."""
        return replace(self, drawn=canvas, color=color or self.color)

    def edges(self) -> tuple[int, int, int, int]:
        """The box on the picture: left, top, right, bottom in pixels of it, the last two exclusive."""
        x, y, width, height = self.box
        across = self.size[0] / self.window.width
        down = self.size[1] / self.window.height
        left, top = floor((x - self.window.x) * across), floor((y - self.window.y) * down)
        return left, top, ceil((x + width - self.window.x) * across), ceil((y + height - self.window.y) * down)

    def bitmap(self) -> NDArray[np.uint8]:
        """The mask on the picture, uint8 [h, w], 255 inside and 0 outside; never empty where the window shows it."""
        if self.counts is None:  # refused when the run is planned: ``needs_mask``
            raise ValueError("the object has a box and no mask")
        height, width = self.source.shape[:2]
        mask = rle.decode(self.counts, (height, width)).view(np.uint8)
        cover = _resize(np.ascontiguousarray(_cut(mask, self.window, 0)) * np.uint8(255), self.size)
        bitmap = cv2.threshold(cover, 127, 255, cv2.THRESH_BINARY)[1]
        if not bitmap.any():
            bitmap = cv2.threshold(cover, 0, 255, cv2.THRESH_BINARY)[1]
        return np.asarray(bitmap, dtype=np.uint8)


class Highlight(Protocol):
    """Shows which object is meant: frozen options in, one frame at a time.

    A highlight that cuts a part out of the frame has the class attribute ``close_up = True``; it comes first. One that
    cannot do with a box alone has ``needs_mask = True``, one that cannot do without a number ``needs_number = True``.
    """

    def __call__(self, frame: Marked) -> Marked:
        """``frame`` with another window, or with something drawn on its picture."""
        ...


def whole(frame: NDArray[np.uint8]) -> Window:
    """The window that shows all of a frame, uint8 [H, W, 3]."""
    return Window(0, 0, frame.shape[1], frame.shape[0])


def line_width(canvas: NDArray[np.uint8]) -> int:
    """How many pixels wide a thin line is on a picture [h, w, 3]."""
    return 1 if min(canvas.shape[:2]) < _SMALL else 2


def picture_size(frame: NDArray[np.uint8], window: Window, fit: Fit) -> tuple[int, int]:
    """Width and height of the picture of a window: a close-up may be enlarged, a whole frame is not."""
    return fit.size(window.width, window.height, 1.0 if window == whole(frame) else ENLARGE)


def show(frame: NDArray[np.uint8], window: Window, fit: Fit) -> NDArray[np.uint8]:
    """The window of a frame as a picture, uint8 RGB [h, w, 3]; the frame's own memory where nothing is resized."""
    return _resize(_cut(frame, window, GREY), picture_size(frame, window, fit))


def _cut(image: NDArray[np.uint8], window: Window, beyond: int) -> NDArray[np.uint8]:
    """The window of an image [H, W] or [H, W, 3], filled with ``beyond`` outside of the image."""
    height, width = image.shape[:2]
    left, top = max(0, window.x), max(0, window.y)
    right, bottom = min(width, window.x + window.width), min(height, window.y + window.height)
    inside = image[top:bottom, left:right]
    if inside.shape[:2] == (window.height, window.width):
        return inside
    filled = np.full((window.height, window.width, *image.shape[2:]), beyond, dtype=np.uint8)
    filled[top - window.y : bottom - window.y, left - window.x : right - window.x] = inside
    return filled


def _resize(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """An image at (width, height) pixels, without aliasing.

    Bilinear to a whole multiple of the size, then the mean of each block: about as close to a filtered bicubic resize
    as OpenCV's area interpolation, in a good half of its time or less (benchmarks/render.py).
    """
    height, width = image.shape[:2]
    if (width, height) == size:
        return np.ascontiguousarray(image)
    times = max(1, ceil(min(width / size[0], height / size[1]) / _ALIASES))
    resized = cv2.resize(image, (size[0] * times, size[1] * times), interpolation=cv2.INTER_LINEAR)
    if times > 1:
        resized = cv2.resize(resized, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, dtype=np.uint8)
