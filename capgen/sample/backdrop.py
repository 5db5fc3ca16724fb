"""Muted backgrounds that objects stand out from: gradients, hills, planks, tiles, clouds, soft shapes."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Canvas = NDArray[np.int16]
_MUTED = (
    (196, 184, 164), (168, 178, 160), (160, 174, 186), (186, 164, 158), (176, 172, 180), (150, 158, 152),
    (202, 194, 182), (146, 152, 166), (184, 176, 146), (166, 156, 146),
)  # fmt: skip


def backdrop(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    """A background, uint8 [H, W, 3], drawn from ``rng``."""
    kind = _KINDS[int(rng.integers(len(_KINDS)))]
    canvas = kind(rng, height, width)
    canvas += _grey(_clouds(rng, height, width, 6, 9))
    return np.clip(canvas, 40, 226).astype(np.uint8)


def _tone(rng: np.random.Generator) -> NDArray[np.int16]:
    base = np.array(_MUTED[int(rng.integers(len(_MUTED)))], np.int16)
    return base + np.int16(rng.integers(-22, 15))


def _near(rng: np.random.Generator, tone: NDArray[np.int16], reach: int) -> NDArray[np.int16]:
    return tone + np.int16(rng.integers(-reach, reach + 1)) + rng.integers(-5, 6, 3).astype(np.int16)


def _flat(tone: NDArray[np.int16], height: int, width: int) -> Canvas:
    return np.broadcast_to(tone, (height, width, 3)).copy()


def _clouds(rng: np.random.Generator, height: int, width: int, cells: int, reach: int) -> Canvas:
    """Smooth noise between -reach and reach, int16 [H, W]; the exact resize is the same on every machine."""
    coarse = rng.integers(0, 2 * reach + 1, (cells, cells), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR_EXACT).astype(np.int16) - reach


def _grey(values: NDArray[np.int16]) -> Canvas:
    """[H, W] on three channels; numpy broadcasts over so short an axis several times slower than it adds."""
    return np.asarray(cv2.merge((values, values, values)), np.int16)


def _gradient(rng: np.random.Generator, height: int, width: int) -> Canvas:
    first = _tone(rng)
    second = _near(rng, _tone(rng), 10)
    across, down = int(rng.integers(0, 3)), int(rng.integers(1, 4))
    ramp = (
        np.arange(width, dtype=np.int32) * across * height + np.arange(height, dtype=np.int32)[:, None] * down * width
    )
    ramp = (ramp * 256 // (height * width * (across + down))).astype(np.int16)
    channels = [low + (ramp * (high - low) >> 8) for low, high in zip(first, second, strict=True)]
    return np.asarray(cv2.merge(channels), np.int16)


def _hills(rng: np.random.Generator, height: int, width: int) -> Canvas:
    sky = np.array((184, 198, 208), np.int16)
    canvas = _flat(_near(rng, sky, 10), height, width)
    canvas += (np.arange(height)[:, None, None] * 24 // height).astype(np.int16)
    ground = np.array(((150, 160, 132), (176, 164, 138), (154, 158, 150))[int(rng.integers(3))], np.int16)
    for layer in range(3):
        tone = _near(rng, ground - np.int16(10 * layer), 6)
        base = height * (40 + 18 * layer + int(rng.integers(-5, 6))) // 100
        steps = rng.integers(-height // 9, height // 9, 5).astype(np.int32)
        xs = np.linspace(0, width, 33).astype(np.int32)
        coarse = (steps + height).astype(np.uint16)[None, :]
        ridge = cv2.resize(coarse, (33, 1), interpolation=cv2.INTER_LINEAR_EXACT)[0].astype(np.int32) - height + base
        points = np.concatenate([np.stack([xs, ridge], 1), [[width, height], [0, height]]]).astype(np.int32)
        cv2.fillPoly(canvas, [points], [int(v) for v in tone])
    return canvas


def _planks(rng: np.random.Generator, height: int, width: int) -> Canvas:
    wood = np.array(((172, 150, 124), (150, 134, 118), (186, 172, 148))[int(rng.integers(3))], np.int16)
    canvas = np.empty((height, width, 3), np.int16)
    plank = int(rng.integers(34, 62))
    grain = rng.integers(0, 25, (height // 2 + 1, 5), np.uint8)
    veins = cv2.resize(grain, (width, height), interpolation=cv2.INTER_LINEAR_EXACT).astype(np.int16) - 12
    for top in range(0, height, plank):
        canvas[top : top + plank] = _near(rng, wood, 9)
        joint = int(rng.integers(width))
        canvas[top : top + plank, joint : joint + 2] -= 34
    canvas += _grey(veins)
    canvas[::plank] -= 40
    canvas[1::plank] -= 20
    return canvas


def _tiles(rng: np.random.Generator, height: int, width: int) -> Canvas:
    tile = int(rng.integers(38, 72))
    tone = _tone(rng)
    rows, columns = height // tile + 1, width // tile + 1
    shades = rng.integers(-9, 10, (rows, columns)).astype(np.int16)
    canvas = tone + np.repeat(np.repeat(shades, tile, 0), tile, 1)[:height, :width, None]
    joint = np.int16(22 if rng.integers(2) else -26)
    for start in (0, 1):
        canvas[start::tile] += joint
        canvas[:, start::tile] += joint
    return canvas.astype(np.int16)


def _cloudy(rng: np.random.Generator, height: int, width: int) -> Canvas:
    canvas = _flat(_tone(rng), height, width)
    for cells, reach in ((4, 20), (14, 12), (60, 9)):
        canvas += _grey(_clouds(rng, height, width, cells, reach))
    return canvas


def _bokeh(rng: np.random.Generator, height: int, width: int) -> Canvas:
    """Large soft discs that overlap."""
    tone = _tone(rng)
    canvas = _flat(tone, height, width)
    for _ in range(int(rng.integers(6, 12))):
        centre = int(rng.integers(width)), int(rng.integers(height))
        axes = int(rng.integers(height // 9, height // 3)), int(rng.integers(height // 9, height // 3))
        mark = np.zeros((height // 4, width // 4), np.uint8)
        cv2.ellipse(mark, (centre[0] // 4, centre[1] // 4), (axes[0] // 4, axes[1] // 4), 0, 0, 360, 255, -1)
        soft = cv2.resize(mark, (width, height), interpolation=cv2.INTER_LINEAR_EXACT).astype(np.int16)
        canvas += _grey(soft * np.int16(rng.integers(-16, 17)) // 255)
    return canvas


_KINDS: tuple[Callable[[np.random.Generator, int, int], Canvas], ...] = (
    _gradient, _hills, _planks, _tiles, _cloudy, _bokeh,
)  # fmt: skip
