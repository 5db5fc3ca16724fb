"""One object on one small frame, as highlights get it."""

from __future__ import annotations

import numpy as np

from capgen import rle
from capgen.pipeline.rendering.highlights.base import Fit, Marked, whole


def marked(bitmap, frame=None, *, patch=8, pixels=10_000, square=False, margin=1.0) -> Marked:
    """A frame, grey unless given, with an object where `bitmap` is true; up to 10,000 pixels it keeps its size."""
    bitmap = np.asarray(bitmap, dtype=bool)
    if frame is None:
        frame = np.full((*bitmap.shape, 3), 100, dtype=np.uint8)
    frame.flags.writeable = False  # a highlight that draws on the shared frame fails
    counts = rle.encode(bitmap)
    return Marked(
        frame, counts, rle.box(counts, bitmap.shape), whole(frame), Fit(patch, pixels, square), margin, number=1
    )


def rectangle(height, width, top, left, bottom, right):
    """A bool bitmap with one filled rectangle."""
    bitmap = np.zeros((height, width), dtype=bool)
    bitmap[top:bottom, left:right] = True
    return bitmap


def where(pixels, rgb):
    """The set of (row, column) that have that colour."""
    return set(zip(*np.nonzero((pixels == np.array(rgb)).all(axis=-1)), strict=True))
