"""Text as pixels: fonts, wrapped lines, and name tags, rendered once and pasted often."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from capgen.display import plain

Ink = tuple[int, int, int]
"""Red, green, blue in 0..255."""
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LONGEST = 80  # letters of a name on its tag
_FINE = 3  # tags are drawn so many times larger, for round corners without steps


@lru_cache(maxsize=32)
def font(size: int, *, bold: bool = False) -> Font:
    """DejaVu Sans, which Matplotlib brings and which has most alphabets; without it Pillow's own font."""
    spec = find_spec("matplotlib")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        file = Path(folder) / "mpl-data" / "fonts" / "ttf" / f"DejaVuSans{'-Bold' if bold else ''}.ttf"
        if file.is_file():
            return ImageFont.truetype(str(file), size)
    return ImageFont.load_default(size)


def ink_on(colour: Ink) -> Ink:
    """Black or white, whichever is easier to read on ``colour`` (WCAG's relative luminance)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (16, 18, 22) if luminance > 0.19 else (255, 255, 255)


def wrap(text: str, face: Font, width: int, lines: int) -> list[str]:
    """``text`` in at most ``lines`` lines of at most ``width`` pixels; an ellipsis where it does not fit."""
    found: list[str] = []
    words = plain(text).split()
    while words and len(found) < lines:
        last = len(found) == lines - 1
        taken = _fitting(words, face, width)
        line = " ".join(words[:taken]) if taken else words[0]
        words = words[max(1, taken) :]
        found.append(_cut(line, face, width, more=last and bool(words)))
    return found


def _fitting(words: list[str], face: Font, width: int) -> int:
    """How many words fit into one line."""
    taken = 0
    while taken < len(words) and face.getlength(" ".join(words[: taken + 1])) <= width:
        taken += 1
    return taken


def _cut(line: str, face: Font, width: int, *, more: bool) -> str:
    """The line, shortened where it is too wide or where ``more`` would follow."""
    if not more and face.getlength(line) <= width:
        return line
    while line and face.getlength(line + "…") > width:
        line = line[:-1]
    return line.rstrip(" ,.;:") + "…"


@lru_cache(maxsize=512)
def tag(text: str, colour: Ink, size: int) -> NDArray[np.uint8]:
    """A name tag, uint8 [h, w, 4] RGBA: ``text`` on a rounded field of ``colour`` with a dark rim.

    Names come from data: one with a line break cannot be laid out on a base line, and a very long one is cut.
    """
    text = plain(text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…")
    face = font(size * _FINE, bold=True)
    ascent = round(size * _FINE * 0.76)
    pad = round(size * _FINE * 0.38)
    width, height = round(face.getlength(text)) + 2 * pad, round(size * _FINE * 1.5)
    image = Image.new("RGBA", (width, height), (16, 18, 22, 0))
    pen = ImageDraw.Draw(image)
    rim = max(2, round(size * _FINE / 14))
    pen.rounded_rectangle(
        (0, 0, width - 1, height - 1), radius=height * 0.28, fill=(*colour, 240), outline=(16, 18, 22, 210), width=rim
    )
    pen.text((pad, (height + ascent) / 2), text, fill=(*ink_on(colour), 255), font=face, anchor="ls")
    small = image.resize((max(1, width // _FINE), max(1, height // _FINE)), Image.Resampling.LANCZOS)
    return np.asarray(small)


def paste(canvas: NDArray[np.uint8], patch: NDArray[np.uint8], x: int, y: int) -> None:
    """Lay an RGBA patch on an RGB canvas, in place; what lies outside is cut off."""
    height, width = canvas.shape[:2]
    left, top, right, bottom = max(0, x), max(0, y), min(width, x + patch.shape[1]), min(height, y + patch.shape[0])
    if left >= right or top >= bottom:
        return
    piece = patch[top - y : bottom - y, left - x : right - x]
    alpha = piece[..., 3:].astype(np.uint16)
    below = canvas[top:bottom, left:right]
    mixed = (piece[..., :3] * alpha + below * (255 - alpha) + 127) // 255
    below[:] = mixed.astype(np.uint8)
