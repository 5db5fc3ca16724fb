"""Colours for marks: a small palette of saturated colours with names, and the choice among them."""

from __future__ import annotations

import re

import cv2
import numpy as np
from numpy.typing import NDArray

Rgb = tuple[int, int, int]

PALETTE: dict[str, Rgb] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (40, 110, 255),
    "yellow": (255, 230, 0),
    "magenta": (255, 0, 220),
    "cyan": (0, 235, 255),
}

_SHARE = 0.08  # a colour is judged by this share of the pixels, those that it differs from least
_SAMPLES = 256
_PLAIN = 40.0  # the difference from which on a thin line is plain to see
_CHROMA = 0.5  # of a thin line, the eye (and a model of small patches) sees light better than colour


def parse(color: str) -> Rgb:
    """The red, green and blue of a palette name or of ``#rrggbb``.

    Raises:
        ValueError: it is neither.
    """
    if color in PALETTE:
        return PALETTE[color]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", color):
        return int(color[1:3], 16), int(color[3:5], 16), int(color[5:7], 16)
    raise ValueError(f"no colour {color!r}: one of {', '.join(PALETTE)}, or #rrggbb")


def _lab(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """CIE L*a*b* of uint8 RGB [N, 3], a* and b* damped, float32 [N, 3]."""
    lab = np.asarray(cv2.cvtColor((pixels.astype(np.float32) / 255.0)[None], cv2.COLOR_RGB2Lab), dtype=np.float32)
    return np.asarray(lab[0] * np.array((1.0, _CHROMA, _CHROMA), dtype=np.float32))


_NAMES = tuple(PALETTE)
_PALETTE_LAB = _lab(np.array(list(PALETTE.values()), dtype=np.uint8))


def contrasting(pixels: NDArray[np.uint8]) -> str:
    """The palette's name for a colour that stands out from these pixels, uint8 RGB [N, 3].

    Not the mean but what it differs from least decides: a line has to be seen along its whole length. Where several
    colours are plain to see, the pixels themselves draw one of them, so that no colour is the mark of all objects
    and a caption that names the mark can be told from one that names the object; else the most different one wins.
    """
    if not len(pixels):
        return _NAMES[0]
    samples = pixels[:: -(-len(pixels) // _SAMPLES)]
    differences = _lab(samples)[None] - _PALETTE_LAB[:, None]
    squares = np.sort(np.einsum("pnc,pnc->pn", differences, differences), axis=1)
    contrasts = squares[:, int(squares.shape[1] * _SHARE)]
    plain = np.flatnonzero(contrasts >= _PLAIN**2)
    if not len(plain):
        return _NAMES[int(contrasts.argmax())]
    return _NAMES[int(plain[int(samples.sum(dtype=np.int64)) % len(plain)])]
