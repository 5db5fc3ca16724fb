"""The twenty silhouettes, as polygons in integer units: ``UNIT`` is half of a shape's longer side, y points down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

import numpy as np
from numpy.typing import NDArray

UNIT = 1024
Tone = Literal["dark", "light"]
Point = tuple[float, float]
Polygon = Sequence[Point]


@dataclass(frozen=True, slots=True)
class Shape:
    """A silhouette (the union of ``body``) and what is drawn on it, in order; points are int64 [N, 2]."""

    body: tuple[NDArray[np.int64], ...]
    details: tuple[tuple[Tone, NDArray[np.int64]], ...]


Drawing = tuple[Sequence[Polygon], Sequence[tuple[Tone, Polygon]]]


def _arc(x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360, steps: int = 24) -> list[Point]:
    """Points of an ellipse's arc, angles in degrees, clockwise on the screen from the right."""
    angles = [(start + (end - start) * i / steps) * pi / 180 for i in range(steps + (abs(end - start) < 360))]
    return [(x + rx * cos(a), y + ry * sin(a)) for a in angles]


def _bar(x1: float, y1: float, x2: float, y2: float) -> list[Point]:
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _mirror(polygon: Polygon) -> list[Point]:
    return [(-x, y) for x, y in polygon]


def _fish() -> Drawing:
    body = [
        _arc(0.12, 0, 0.78, 0.5),
        [(-0.45, 0), (-1, -0.5), (-0.84, 0), (-1, 0.5)],
        [(-0.2, -0.4), (0.0, -0.78), (0.42, -0.4)],
    ]
    return body, [("light", _arc(0.55, -0.14, 0.15, 0.15)), ("dark", _arc(0.58, -0.14, 0.08, 0.08))]


def _car() -> Drawing:
    cabin = [(-0.62, -0.1), (-0.42, -0.58), (0.3, -0.58), (0.58, -0.1)]
    hull = [(-1, 0.32), (-1, -0.06), (-0.62, -0.14), (0.58, -0.14), (0.96, 0.0), (1, 0.32)]
    wheels = [_arc(x, 0.32, 0.26, 0.26) for x in (-0.55, 0.55)]
    panes = [
        [(-0.46, -0.16), (-0.34, -0.46), (-0.1, -0.46), (-0.1, -0.16)],
        [(0.0, -0.16), (0.0, -0.46), (0.24, -0.46), (0.42, -0.16)],
    ]
    hubs = [_arc(x, 0.32, 0.1, 0.1) for x in (-0.55, 0.55)]
    return [cabin, hull, *wheels], [
        *(("light", p) for p in panes),
        *(("dark", w) for w in wheels),
        *(("light", h) for h in hubs),
    ]


def _house() -> Drawing:
    body = [_bar(-0.72, -0.12, 0.72, 0.9), [(-0.98, -0.08), (0, -0.95), (0.98, -0.08)], _bar(0.4, -0.9, 0.66, -0.3)]
    door, pane = _bar(-0.46, 0.3, -0.1, 0.9), _bar(0.16, 0.2, 0.52, 0.54)
    return body, [("dark", door), ("light", pane), ("dark", _bar(-0.98, -0.12, 0.98, -0.04))]


def _pine_tree() -> Drawing:
    tiers = [
        [(0, -1), (-0.42, -0.42), (0.42, -0.42)],
        [(0, -0.75), (-0.6, 0.1), (0.6, 0.1)],
        [(0, -0.4), (-0.78, 0.68), (0.78, 0.68)],
    ]
    trunk = _bar(-0.16, 0.6, 0.16, 1)
    return [*tiers, trunk], [("dark", _bar(-0.16, 0.7, 0.16, 1))]


def _star() -> Drawing:
    radii = (1.0, 0.46)
    points = [(radii[i % 2] * sin(i * pi / 5), -radii[i % 2] * cos(i * pi / 5)) for i in range(10)]
    return [points], []


def _heart() -> Drawing:
    points = []
    for step in range(40):
        a = 2 * pi * step / 40
        points.append((sin(a) ** 3, -(13 * cos(a) - 5 * cos(2 * a) - 2 * cos(3 * a) - cos(4 * a)) / 16))
    return [points], [("light", _arc(-0.46, -0.4, 0.17, 0.11))]


def _cup() -> Drawing:
    body = [(-0.85, -0.62), (0.45, -0.62), (0.3, 0.72), (-0.7, 0.72)]
    handle = _arc(0.42, -0.02, 0.5, 0.46, -95, 95) + _arc(0.42, -0.02, 0.24, 0.22, 95, -95)
    rim = _arc(-0.2, -0.62, 0.65, 0.15)
    return [body, handle, rim], [("dark", _arc(-0.2, -0.62, 0.55, 0.09))]


def _butterfly() -> Drawing:
    upper = [(0.05, 0.05), (0.25, -0.6), (0.6, -0.85), (0.95, -0.8), (1.0, -0.45), (0.8, -0.1), (0.35, 0.1)]
    lower = [(0.05, 0.0), (0.5, 0.05), (0.78, 0.3), (0.72, 0.66), (0.45, 0.8), (0.2, 0.5)]
    trunk = _arc(0, 0, 0.1, 0.6)
    feeler = [(0.0, -0.5), (0.2, -0.95), (0.27, -0.92), (0.06, -0.45)]
    wings = [upper, lower, _mirror(upper), _mirror(lower)]
    return [*wings, trunk, feeler, _mirror(feeler)], [("dark", trunk), ("dark", feeler), ("dark", _mirror(feeler))]


def _shirt() -> Drawing:
    half = [(0, -0.72), (0.26, -0.82), (0.52, -0.76), (1, -0.3), (0.74, 0.04), (0.5, -0.14), (0.52, 0.86), (0, 0.86)]
    return [half, _mirror(half)], [("dark", _arc(0, -0.84, 0.27, 0.26, 0, 180))]


def _mushroom() -> Drawing:
    cap = [*_arc(0, 0.02, 0.98, 0.86, 180, 360), (0.8, 0.16), (-0.8, 0.16)]
    stem = [(-0.26, 0.1), (0.26, 0.1), (0.36, 0.9), (-0.36, 0.9)]
    return [cap, stem], [
        ("light", [(-0.26, 0.16), (0.26, 0.16), (0.36, 0.9), (-0.36, 0.9)]),
        ("dark", _bar(-0.8, 0.07, 0.8, 0.16)),
    ]


def _umbrella() -> Drawing:
    scallops: list[Point] = []
    for centre in (0.75, 0.25, -0.25, -0.75):
        scallops += _arc(centre, 0.02, 0.25, 0.2, 0, -180, 8)
    canopy = _arc(0, 0.02, 1, 0.9, 180, 360) + scallops
    stick = _bar(-0.07, -0.1, 0.07, 0.8)
    hook = _arc(-0.2, 0.76, 0.27, 0.24, 0, 180) + _arc(-0.2, 0.76, 0.12, 0.1, 180, 0)
    tip = _bar(-0.06, -1.0, 0.06, -0.8)
    return [canopy, stick, hook, tip], [("dark", _bar(-0.07, -0.12, 0.07, 0.8)), ("dark", hook), ("dark", tip)]


def _sailboat() -> Drawing:
    hull = [(-0.95, 0.42), (0.95, 0.42), (0.6, 0.88), (-0.65, 0.88)]
    mast = _bar(-0.06, -1, 0.06, 0.45)
    main, jib = [(0.06, -0.95), (0.82, 0.28), (0.06, 0.28)], [(-0.06, -0.75), (-0.06, 0.28), (-0.68, 0.28)]
    return [hull, mast, main, jib], [("dark", mast), ("dark", _bar(-0.9, 0.42, 0.9, 0.5))]


def _boot() -> Drawing:
    leg = [(-0.62, -0.95), (0.1, -0.95), (0.14, 0.1), (0.62, 0.28), (0.86, 0.52), (0.88, 0.76), (-0.62, 0.76)]
    sole = [
        (-0.66, 0.72),
        (0.9, 0.72),
        (0.9, 0.95),
        (-0.1, 0.95),
        (-0.12, 0.86),
        (-0.22, 0.86),
        (-0.24, 0.95),
        (-0.66, 0.95),
    ]
    cuff = _bar(-0.7, -0.98, 0.18, -0.74)
    return [leg, sole, cuff], [("dark", sole), ("light", cuff)]


def _key() -> Drawing:
    bow = _arc(-0.55, 0, 0.45, 0.45)
    shaft = _bar(-0.2, -0.14, 0.98, 0.14)
    bits = [_bar(0.38, 0.1, 0.58, 0.5), _bar(0.74, 0.1, 0.98, 0.42)]
    return [bow, shaft, *bits], [("dark", _arc(-0.6, 0, 0.17, 0.17))]


def _arrow() -> Drawing:
    return [[(-1, -0.3), (0.1, -0.3), (0.1, -0.78), (1, 0), (0.1, 0.78), (0.1, 0.3), (-1, 0.3)]], []


def _moon() -> Drawing:
    crescent = _arc(0, 0, 1, 1, 50, 310, 28) + _arc(0.5, 0, 0.78, 0.78, 282, 78, 22)
    return [crescent], [("dark", _arc(-0.52, -0.3, 0.08, 0.11))]


def _rocket() -> Drawing:
    half = [(0, -1), (0.2, -0.72), (0.32, -0.35), (0.33, 0.2), (0.24, 0.62), (0, 0.62)]
    fin = [(0.28, 0.12), (0.68, 0.5), (0.68, 0.92), (0.2, 0.6)]
    nozzle = [(-0.16, 0.6), (0.16, 0.6), (0.24, 0.86), (-0.24, 0.86)]
    body = [half, _mirror(half), fin, _mirror(fin), nozzle]
    return body, [("dark", nozzle), ("dark", _arc(0, -0.24, 0.2, 0.2)), ("light", _arc(0, -0.24, 0.13, 0.13))]


def _crown() -> Drawing:
    ring = [(-0.8, 0.68), (-0.94, -0.4), (-0.44, 0.06), (0, -0.62), (0.44, 0.06), (0.94, -0.4), (0.8, 0.68)]
    balls = [_arc(x, y, 0.13, 0.13) for x, y in ((-0.88, -0.44), (0, -0.66), (0.88, -0.44))]
    return [ring, *balls], [("dark", _bar(-0.82, 0.42, 0.82, 0.68)), *(("light", ball) for ball in balls)]


def _cactus() -> Drawing:
    trunk = [*_arc(0, -0.72, 0.25, 0.25, 180, 360), (0.25, 0.7), (-0.25, 0.7)]
    left = [
        *_arc(-0.66, -0.32, 0.16, 0.16, 180, 360),
        (-0.5, -0.02),
        (-0.2, -0.02),
        (-0.2, 0.28),
        (-0.6, 0.28),
        (-0.82, 0.1),
    ]
    right = [
        *_arc(0.64, -0.55, 0.16, 0.16, 180, 360),
        (0.8, -0.06),
        (0.58, 0.12),
        (0.2, 0.12),
        (0.2, -0.18),
        (0.48, -0.18),
    ]
    pot = [(-0.5, 0.58), (0.5, 0.58), (0.38, 0.98), (-0.38, 0.98)]
    return [trunk, left, right, pot], [("dark", pot)]


def _hot_air_balloon() -> Drawing:
    envelope = [*_arc(0, -0.32, 0.72, 0.68, 150, 390, 28), (0.2, 0.52), (-0.2, 0.52)]
    basket = [(-0.22, 0.66), (0.22, 0.66), (0.17, 1), (-0.17, 1)]
    ropes = _bar(-0.2, 0.5, 0.2, 0.7)
    return [envelope, basket, ropes], [("light", ropes), ("dark", basket), ("dark", _bar(-0.2, 0.44, 0.2, 0.53))]


_DRAWINGS: dict[str, Callable[[], Drawing]] = {
    "fish": _fish, "car": _car, "house": _house, "pine_tree": _pine_tree, "star": _star, "heart": _heart, "cup": _cup,
    "butterfly": _butterfly, "shirt": _shirt, "mushroom": _mushroom, "umbrella": _umbrella, "sailboat": _sailboat,
    "boot": _boot, "key": _key, "arrow": _arrow, "moon": _moon, "rocket": _rocket, "crown": _crown, "cactus": _cactus,
    "hot_air_balloon": _hot_air_balloon,
}  # fmt: skip


def _build(drawing: Drawing) -> Shape:
    """Centre the drawing on its box and scale its longer side to 2 units; whole numbers, equal on every machine."""
    body, details = drawing
    points = np.array([point for polygon in body for point in polygon])
    low, high = points.min(0), points.max(0)
    centre, half = (low + high) / 2, (high - low).max() / 2

    def place(polygon: Polygon) -> NDArray[np.int64]:
        placed: NDArray[np.int64] = np.rint((np.array(polygon) - centre) / half * UNIT).astype(np.int64)
        return placed

    return Shape(tuple(place(p) for p in body), tuple((tone, place(p)) for tone, p in details))


SHAPES: dict[str, Shape] = {name: _build(drawing()) for name, drawing in _DRAWINGS.items()}
