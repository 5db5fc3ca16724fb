"""Paints one object as a small picture with transparency. Whole numbers throughout, so every machine paints the same.

An index picture is drawn ``scale`` times too large (0 first tone, 1 second tone, 2 outline, 3 dark, 4 light,
5 outside), coloured through a palette and averaged down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import cos, pi, sin

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.sample.shapes import SHAPES, UNIT
from capgen.sample.words import COLOUR, RGB

TURN = 3600
"""Angles are whole tenths of a degree."""
_FIX = 14
_SUB = 4  # bits of the sub-pixel part of cv2.fillPoly
_OUTLINE, _DARK, _LIGHT, _OUTSIDE = 2, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Look:
    """Everything about an object's looks that does not change with time.

    Args:
        paint: the jittered first tone.
        second: the jittered second tone of patterns.
        grain: the pattern's angle (tenths of a degree), period (shape units) and phase (shape units).
        mirrored: the silhouette is flipped left to right.
    """

    category: str
    colour: str
    texture: str
    paint: RGB
    second: RGB
    grain: tuple[int, int, int]
    mirrored: bool


@dataclass(frozen=True, slots=True)
class Sprite:
    """An object ready to be laid on a picture.

    Args:
        ink: colour times opacity, uint16 [h, w, 3], both over 256.
        clear: 256 less opacity, what is left of the ground, uint16 [h, w, 3].
        shade: the ground's share of light round the object, over 256, uint16 [h + 2 SOFT, w + 2 SOFT, 3].
        mask: the pixels that count as the object, bool [h, w].
        left, top: the corner of ``ink``, relative to the object's centre.
    """

    ink: NDArray[np.uint16]
    clear: NDArray[np.uint16]
    shade: NDArray[np.uint16]
    mask: NDArray[np.bool_]
    left: int
    top: int


def rotation(angle: int) -> tuple[int, int]:
    """Cosine and sine of an angle in tenths of a degree, as whole numbers over 2**14."""
    radians = angle % TURN * 2 * pi / TURN
    return round(cos(radians) * (1 << _FIX)), round(sin(radians) * (1 << _FIX))


def outline(look: Look, angle: int) -> list[NDArray[np.int64]]:
    """The turned polygons of the silhouette, int64 [N, 2] in shape units around the centre."""
    return _turned(SHAPES[look.category].body, look.mirrored, angle)


def spans(look: Look, angle: int) -> tuple[int, int]:
    """Width and height of the turned silhouette in shape units."""
    points = np.concatenate(outline(look, angle))
    width, height = points.max(0) - points.min(0)
    return int(width), int(height)


def _turned(polygons: Sequence[NDArray[np.int64]], mirrored: bool, angle: int) -> list[NDArray[np.int64]]:
    """All polygons turned at once: most of the work of a small array is its call."""
    c, s = rotation(angle)
    points = np.concatenate(polygons)
    x, y = (-points[:, 0] if mirrored else points[:, 0]), points[:, 1]
    points = np.stack([(c * x - s * y) >> _FIX, (s * x + c * y) >> _FIX], axis=1)
    ends = list(accumulate(len(polygon) for polygon in polygons))
    return [points[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def sprite(look: Look, half: int, angle: int) -> Sprite:
    """Paint an object.

    Args:
        half: half of the silhouette's longer side in 1/16 pixels.
        angle: tenths of a degree, clockwise.
    """
    scale = 4 if half < 20 * 16 else 3 if half < 45 * 16 else 2
    border = 1 + (half >= 30 * 16)
    body = [points * half * scale // UNIT for points in outline(look, angle)]
    every = np.concatenate(body)
    unit = 16 * scale
    left, top = (int(v) for v in every.min(0) // unit - border - 1)
    right, bottom = (int(v) for v in -(-every.max(0) // unit) + border + 1)
    offset = np.array([left, top]) * unit + 8
    shape = ((bottom - top) * scale, (right - left) * scale)
    inside = np.zeros(shape, np.uint8)
    for polygon in body:
        cv2.fillPoly(inside, [(polygon - offset).astype(np.int32)], 255, shift=_SUB)
    thick = scale * border + scale // 2
    whole = cv2.dilate(inside, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * (thick // 2) + 1,) * 2))
    index = _pattern(look, half, angle, shape, (left * scale, top * scale), scale)
    index[inside == 0] = _OUTLINE
    index[whole == 0] = _OUTSIDE
    details = SHAPES[look.category].details
    if details:
        turned = _turned([points for _, points in details], look.mirrored, angle)
        for (tone, _), points in zip(details, turned, strict=True):
            polygon = (points * half * scale // UNIT - offset).astype(np.int32)
            cv2.fillPoly(index, [polygon], _DARK if tone == "dark" else _LIGHT, shift=_SUB)
    pixels = _mean(_palette(look)[index], scale)
    alpha = pixels[..., 3].copy()
    share = alpha.astype(np.uint16)
    share += share >> 7  # 0..256, so that opaque is opaque
    wide = _thrice(share)
    shade = _thrice((256 - (_soft(alpha).astype(np.uint16) * 88 >> 8)).astype(np.uint16))
    return Sprite(_lit(pixels) * wide, 256 - wide, shade, alpha >= 128, left, top)


def _thrice(values: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """[H, W] to [H, W, 3]; arithmetic on whole arrays is several times faster than broadcasting over 3 channels."""
    return np.asarray(cv2.merge((values, values, values)), np.uint16)


def _pattern(
    look: Look, half: int, angle: int, shape: tuple[int, int], origin: tuple[int, int], scale: int
) -> NDArray[np.uint8]:
    """0 where the first tone is, 1 where the second is; the pattern turns and grows with the object."""
    if look.texture == "plain":
        return np.zeros(shape, np.uint8)
    turn, period, phase = look.grain
    c, s = rotation(angle + turn)
    step = UNIT * 16 * (1 << 4) // (half * scale)  # shape units a pixel of the index picture, over 2**4
    x = ((np.arange(shape[1]) + origin[0]) * step).astype(np.int32)
    y = ((np.arange(shape[0]) + origin[1]) * step).astype(np.int32)[:, None]
    u = ((c * x + s * y) >> (_FIX + 4)) + (phase + 64 * period)
    column = u // period  # numpy divides by a constant much faster than it takes a remainder
    if look.texture == "striped":
        return (u - column * period < period * 45 // 100).astype(np.uint8)
    v = ((c * y - s * x) >> (_FIX + 4)) + (phase + 64 * period)
    row = v // period
    if look.texture == "checkered":
        return ((column + row) & 1).astype(np.uint8)
    u += (row & 1) * (period // 2)
    a, b = u - u // period * period - period // 2, v - row * period - period // 2
    dots: NDArray[np.uint8] = (a * a + b * b < period * period * 10 // 100).astype(np.uint8)
    return dots


def _palette(look: Look) -> NDArray[np.uint64]:
    """Red, green, blue and alpha by index, each in 16 bits of one number, so that one sum adds all four."""
    paint, second = np.array(look.paint), np.array(look.second)
    dark = np.array((120, 122, 130)) if look.colour == "black" else paint * 30 // 100
    edge = np.array((92, 94, 100)) if look.colour == "black" else paint * 42 // 100
    tones = [paint, second, edge, dark, np.array((250, 248, 242)), edge]
    alpha = (255, 255, 255, 255, 255, 0)
    words = [int(r) | int(g) << 16 | int(b) << 32 | a << 48 for (r, g, b), a in zip(tones, alpha, strict=True)]
    return np.array(words, "<u8")


def _mean(packed: NDArray[np.uint64], scale: int) -> NDArray[np.uint8]:
    """Average blocks of ``scale`` x ``scale`` packed pixels, [H, W] to uint8 [h, w, 4]."""
    total = packed[::scale].copy()
    for i in range(1, scale):
        total += packed[i::scale]
    columns = total[:, ::scale].copy()
    for i in range(1, scale):
        columns += total[:, i::scale]
    lanes = columns.view("<u2").reshape(*columns.shape, 4)
    return (lanes // (scale * scale)).astype(np.uint8)


def _lit(pixels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    """The colours of uint8 [h, w, 4] with a little light from above, uint16 [h, w, 3]."""
    height, width = pixels.shape[:2]
    light = 14 - 30 * np.arange(height, dtype=np.int16) // height
    rows = np.ascontiguousarray(pixels[..., :3]).reshape(height, -1) + light[:, None]
    lit: NDArray[np.uint16] = np.clip(rows, 0, 255).astype(np.uint16).reshape(height, width, 3)
    return lit


SOFT = 4
"""Pixels by which a shadow is larger than its object on every side."""


def _soft(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The object's shadow, uint8 [h + 2 SOFT, w + 2 SOFT]: a box filter of 5 pixels each way."""
    wide = np.pad(alpha, SOFT).astype(np.uint16)
    rows = wide.copy()
    for shift in (1, 2):
        rows[shift:] += wide[:-shift]
        rows[:-shift] += wide[shift:]
    rows //= 5
    both = rows.copy()
    for shift in (1, 2):
        both[:, shift:] += rows[:, :-shift]
        both[:, :-shift] += rows[:, shift:]
    return (both // 5).astype(np.uint8)


Slices = tuple[slice, slice]


def window(left: int, top: int, size: tuple[int, int], frame: tuple[int, int]) -> tuple[Slices, Slices] | None:
    """Where a patch of (h, w) ``size`` at (left, top) meets a frame of (H, W): slices of the frame and of the patch."""
    x1, y1 = max(left, 0), max(top, 0)
    x2, y2 = min(left + size[1], frame[1]), min(top + size[0], frame[0])
    if x1 >= x2 or y1 >= y2:
        return None
    return (slice(y1, y2), slice(x1, x2)), (slice(y1 - top, y2 - top), slice(x1 - left, x2 - left))


def lay(frame: NDArray[np.uint8], item: Sprite, x: int, y: int) -> None:
    """Lay a sprite with its centre on pixel (x, y) of uint8 [H, W, 3], shadow first."""
    size = frame.shape[0], frame.shape[1]
    cut = window(x + item.left - SOFT + 2, y + item.top - SOFT + 3, item.shade.shape[:2], size)
    if cut:
        frame[cut[0]] = frame[cut[0]] * item.shade[cut[1]] >> 8
    cut = window(x + item.left, y + item.top, item.mask.shape, size)
    if cut:
        frame[cut[0]] = (item.ink[cut[1]] + frame[cut[0]] * item.clear[cut[1]]) >> 8


def draw_look(rng: np.random.Generator, category: str, colour: str, texture: str) -> Look:
    """Draw the looks of an object of that kind: paint and its jitter, the pattern's angle, period and phase."""
    word = COLOUR[colour]
    paint = _jitter(rng, word.paints[int(rng.integers(len(word.paints)))], 8)
    turn = (0, 450, -450)[int(rng.integers(3))] + int(rng.integers(-120, 121))
    period = {"plain": 512, "striped": 500, "dotted": 470, "checkered": 350}[texture] + int(rng.integers(-40, 61))
    grain = (turn, period, int(rng.integers(period)))
    return Look(category, colour, texture, paint, _jitter(rng, word.second, 8), grain, bool(rng.integers(2)))


def _jitter(rng: np.random.Generator, colour: RGB, reach: int) -> RGB:
    red, green, blue = (min(max(c + int(rng.integers(-reach, reach + 1)), 0), 255) for c in colour)
    return red, green, blue
