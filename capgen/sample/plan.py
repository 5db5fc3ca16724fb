"""Casts a scene: which objects, where, how large, and how they move. Positions are whole pixels, times whole frames.

A plan is a proposal: ``scene`` measures what is really seen and takes out what would make a caption doubtful.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from capgen.sample.paint import TURN, Look, draw_look, spans
from capgen.sample.shapes import UNIT
from capgen.sample.words import CATEGORIES, CATEGORY, COLOURS, TEXTURES

FRAMES, FPS = 12, 6
_WEIGHTS = np.array([category.weight for category in CATEGORIES])
_SHARES = np.cumsum(_WEIGHTS)
_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_EXTENTS = {"tiny": (65, 100), "small": (105, 195), "medium": (285, 405), "large": (510, 720)}
"""Extents that are drawn, in thousandths of the picture; well inside the ranges of ``words.SIZES``."""


@dataclass(frozen=True, slots=True)
class Actor:
    """An object and its course.

    Args:
        x, y: centre on every frame, in pixels.
        half: half of the longer side on every frame, in 1/16 pixels.
        angle: tenths of a degree on every frame.
        moving_s: how long it moves, in seconds; 0 where it does not.
        hidden_limit: the largest share of it that others may hide.
        reach: width and height of its box in pixels, for placing.
    """

    look: Look
    motion: str | None
    x: tuple[int, ...]
    y: tuple[int, ...]
    half: tuple[int, ...]
    angle: tuple[int, ...]
    moving_s: float
    hidden_limit: float
    reach: tuple[int, int]


def _kinds(rng: np.random.Generator, count: int) -> list[tuple[str, str, str]]:
    """Categories, colours and textures with distractors: later objects often share one of them with an earlier one."""
    kinds: list[tuple[str, str, str]] = []
    for _ in range(count):
        for _ in range(4):
            category = CATEGORIES[int(np.searchsorted(_SHARES, rng.integers(int(_SHARES[-1])), "right"))].name
            colour = COLOURS[int(rng.integers(len(COLOURS)))].name
            texture = TEXTURES[int(rng.integers(len(TEXTURES)))].name
            if kinds:
                twin = kinds[int(rng.integers(len(kinds)))]
                dice = int(rng.integers(100))
                category = twin[0] if dice < 34 else category
                colour = twin[1] if 22 <= dice < 58 else colour
            if (category, colour, texture) not in kinds:
                break
        kinds.append((category, colour, texture))
    return kinds


def _size(rng: np.random.Generator, room: int) -> str:
    """A size class; large ones only while there is room for them."""
    dice = int(rng.integers(100))
    if dice < 26 and room > 0:
        return "large"
    return "medium" if dice < 60 else "small" if dice < 93 else "tiny"


def _halves(look: Look, angle: int, extent: int, width: int, height: int) -> tuple[int, tuple[int, int]]:
    """Half of the longer side (1/16 px) that gives the box that extent (thousandths), and the box in pixels."""
    across, down = spans(look, angle)
    half = min(extent * width * 16 * UNIT // (1000 * across), extent * height * 16 * UNIT // (1000 * down))
    return half, (across * half // (16 * UNIT) + 2, down * half // (16 * UNIT) + 2)


def _overlap(a: Actor, b: Actor) -> float:
    """The largest share of the smaller box that two courses have in common, looked at on three frames."""
    worst = 0.0
    for k in {0, len(a.x) // 2, len(a.x) - 1}:
        width = min(a.reach[0], b.reach[0], (a.reach[0] + b.reach[0]) // 2 - abs(a.x[k] - b.x[k]))
        height = min(a.reach[1], b.reach[1], (a.reach[1] + b.reach[1]) // 2 - abs(a.y[k] - b.y[k]))
        if width > 0 and height > 0:
            worst = max(worst, width * height / min(a.reach[0] * a.reach[1], b.reach[0] * b.reach[1]))
    return worst


def _angle(rng: np.random.Generator, category: str) -> int:
    return int(rng.integers(TURN)) if CATEGORY[category].symmetric else int(rng.integers(-250, 251))


def _settle(actors: list[Actor], propose: Iterable[Actor], limit: float) -> None:
    """Take the first proposal that overlaps no other actor by more than ``limit``; none is taken if all do."""
    for actor in propose:
        if all(_overlap(actor, other) <= limit for other in actors):
            actors.append(actor)
            return


def _place(rng: np.random.Generator, span: int, reach: int, cut: int) -> int:
    """A coordinate along an axis: inside the picture, or with ``cut`` percent of the object beyond one border."""
    if cut:
        beyond = reach * cut // 100 - reach // 2
        return -beyond if rng.integers(2) else span + beyond
    low, high = reach // 2 + 2, span - reach // 2 - 2
    return int(rng.integers(low, high + 1)) if low < high else span // 2


def image_plan(rng: np.random.Generator, width: int, height: int) -> list[Actor]:
    """The objects of a picture, the farthest first."""
    count = 2 + int(rng.integers(0, 5)) + int(rng.integers(0, 4))
    actors: list[Actor] = []
    large = 0
    for kind in _kinds(rng, count):
        look = draw_look(rng, *kind)
        size = _size(rng, 2 - large)
        large += size == "large"
        low, high = _EXTENTS[size]
        angle = _angle(rng, kind[0])
        half, reach = _halves(look, angle, int(rng.integers(low, high + 1)), width, height)
        crowded = int(rng.integers(100)) < 55
        limit, hidden = (0.85, 0.68) if crowded else (0.4, 0.5)
        actor = Actor(look, None, (0,), (0,), (half,), (angle,), 0.0, hidden, reach)
        _settle(actors, (_somewhere(rng, actor, width, height) for _ in range(10)), limit)
    return _depth(rng, actors)


def _somewhere(rng: np.random.Generator, actor: Actor, width: int, height: int) -> Actor:
    """The actor at a place in the picture, now and then cut by a border."""
    cut = int(rng.integers(12, 42)) if rng.integers(100) < 13 else 0
    side = int(rng.integers(2))
    x = _place(rng, width, actor.reach[0], cut if side else 0)
    y = _place(rng, height, actor.reach[1], 0 if side else cut)
    return replace(actor, x=(x,), y=(y,))


def _depth(rng: np.random.Generator, actors: list[Actor]) -> list[Actor]:
    """Larger ones mostly behind, so that small ones stay to be seen; now and then the other way round."""
    order = [actor.reach[0] * actor.reach[1] * int(rng.integers(8, 100)) for actor in actors]
    return [actors[i] for i in sorted(range(len(actors)), key=lambda i: -order[i])]


def _progress(start: int, frames: int) -> list[int]:
    """How much of a movement is done on every frame, in 1/256."""
    return [256 * min(max(k - start, 0), frames) // frames for k in range(FRAMES)]


def _motion(rng: np.random.Generator, category: str, size: str) -> str:
    dice = int(rng.integers(100))
    names = ("left", "right", "up", "down", "still", "growing", "turning")
    motion = names[int(np.searchsorted((15, 30, 44, 58, 71, 85), dice, "right"))]
    if (motion == "turning" and CATEGORY[category].symmetric) or (motion == "growing" and size == "tiny"):
        return "still"
    return motion


def _course(rng: np.random.Generator, actor: Actor, width: int, height: int, away: bool) -> Actor:
    """The actor with a place and a course through the picture."""
    reach = actor.reach
    x, y = _place(rng, width, reach[0], 0), _place(rng, height, reach[1], 0)
    if away:
        return _leave_and_return(rng, actor, y, width)
    if actor.motion not in _DIRECTIONS:
        return replace(actor, x=(x,) * FRAMES, y=(y,) * FRAMES)
    across, down = _DIRECTIONS[actor.motion]
    span, size, sign = (width, reach[0], across) if across else (height, reach[1], down)
    distance = int(rng.integers(width * 19 // 100, width * 42 // 100))
    beyond = size * int(rng.integers(20, 70)) // 100 if rng.integers(100) < 25 else 0
    low, high = size // 2 + 2 - beyond, span - size // 2 - 2 + beyond - distance
    first = int(rng.integers(low, high + 1)) if low < high else (low + high) // 2
    seconds = 1 + int(rng.integers(100) < 62)
    start = 0 if seconds == 2 else int(rng.integers(0, FPS))
    done = _progress(start, seconds * FPS)
    steps = [first + distance * (p if sign > 0 else 256 - p) // 256 for p in done]
    path = tuple(steps)
    x_path, y_path = (path, (y,) * FRAMES) if across else ((x,) * FRAMES, path)
    return replace(actor, x=x_path, y=y_path, moving_s=float(seconds))


def _leave_and_return(rng: np.random.Generator, actor: Actor, y: int, width: int) -> Actor:
    """Out of the picture over the nearer border and back in: no single word is true of that, so none is said."""
    reach = actor.reach[0]
    inside, outside = reach // 2 + int(rng.integers(4, 30)), -reach // 2 - 6
    gone, back = int(rng.integers(3, 5)), int(rng.integers(6, 8))
    path = []
    for k in range(FRAMES):
        share = max(gone - k, k - back, 0) * 256 // 4
        path.append(outside + (inside - outside) * min(share, 256) // 256)
    flip = bool(rng.integers(2))
    return replace(actor, motion=None, x=tuple(width - p if flip else p for p in path), y=(y,) * FRAMES)


def _changing(rng: np.random.Generator, actor: Actor, half: int, angle: int) -> Actor:
    """Growing and turning: sizes and angles by frame, for a whole number of seconds."""
    seconds = 1 + int(rng.integers(100) < 70)
    start = 0 if seconds == 2 else int(rng.integers(0, FPS))
    done = _progress(start, seconds * FPS)
    if actor.motion == "growing":
        half_path = tuple(half * (620 + (760 * p >> 8)) // 1000 for p in done)
        larger = actor.reach[0] * 138 // 100, actor.reach[1] * 138 // 100
        return replace(actor, half=half_path, angle=(angle,) * FRAMES, reach=larger, moving_s=float(seconds))
    sweep = int(rng.integers(700, 1500)) * (1 if rng.integers(2) else -1)
    angles = tuple(angle + (sweep * p >> 8) for p in done)
    side = max(actor.reach)
    return replace(actor, half=(half,) * FRAMES, angle=angles, reach=(side, side), moving_s=float(seconds))


def _cast(rng: np.random.Generator, kind: tuple[str, str, str], size: str, width: int, height: int) -> Actor:
    """An actor with its looks, size and motion, not yet placed."""
    look = draw_look(rng, *kind)
    motion = _motion(rng, kind[0], size)
    angle = _angle(rng, kind[0])
    low, high = _EXTENTS[size]
    high = high * 85 // 100 if size == "large" else high
    half, reach = _halves(look, angle, int(rng.integers(low, high + 1)), width, height)
    crowded = int(rng.integers(100)) < 45
    still = (0,) * FRAMES
    actor = Actor(
        look, motion, still, still, (half,) * FRAMES, (angle,) * FRAMES, 0.0, 0.62 if crowded else 0.42, reach
    )
    return _changing(rng, actor, half, angle) if motion in ("growing", "turning") else actor


def video_plan(rng: np.random.Generator, width: int, height: int) -> list[Actor]:
    """The objects of a video, the farthest first."""
    count = 3 + int(rng.integers(0, 4)) + int(rng.integers(0, 3))
    actors: list[Actor] = []
    large = 0
    for kind in _kinds(rng, count):
        size = _size(rng, 1 - large)
        large += size == "large"
        actor = _cast(rng, kind, size, width, height)
        away = size != "large" and not actor.moving_s and int(rng.integers(100)) < 5
        _settle(
            actors,
            (_course(rng, actor, width, height, away) for _ in range(10)),
            0.8 if actor.hidden_limit > 0.5 else 0.35,
        )
    ordered = _depth(rng, actors)
    if rng.integers(100) < 22:
        _pass_behind(rng, ordered, width)
    return ordered


def _pass_behind(rng: np.random.Generator, actors: list[Actor], width: int) -> None:
    """Send a small actor behind a broad one that stands, so that it is out of sight for a while; in place."""
    screens = [a for a in actors if a.motion == "still" and 70 <= a.reach[0] <= width * 45 // 100]
    movers = [a for a in actors if a.motion in ("left", "right") and a.reach[0] <= 52 and a.reach[1] <= 52]
    if not screens or not movers:
        return
    screen, mover = screens[0], movers[0]
    distance = min(screen.reach[0] + 2 * mover.reach[0] + int(rng.integers(20, 60)), width - mover.reach[0])
    low, high = mover.reach[0] // 2, width - mover.reach[0] // 2 - distance
    first = min(max(screen.x[0] - distance // 2, low), max(high, low))
    done = _progress(0, 2 * FPS)
    path = tuple(first + distance * (p if mover.motion == "right" else 256 - p) // 256 for p in done)
    actors.remove(mover)
    behind = replace(mover, x=path, y=(screen.y[0],) * FRAMES, moving_s=2.0, hidden_limit=0.7)
    actors.insert(0, behind)
