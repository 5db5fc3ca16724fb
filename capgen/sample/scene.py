"""Scenes of the sample world: pictures and videos with the truth about every object, each from (seed, index) alone.

The order of work: a plan proposes objects, ``_judge`` measures what is really seen of each and takes out, one by
one, those of which a caption would be doubtful; the rest is painted, given noise, and sent through JPEG. So every
stated fact is decided by pixels and not by intent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.errors import CapgenError
from capgen.sample.backdrop import backdrop
from capgen.sample.paint import Sprite, lay, sprite, window
from capgen.sample.plan import FPS, FRAMES, Actor, image_plan, video_plan
from capgen.sample.words import extent, size_of

_IMAGE, _VIDEO, _EMPTY = 1, 2, 3
_SIZES = ((320, 240), (320, 240), (320, 240), (320, 240), (320, 240), (240, 320), (320, 320), (384, 256))
_QUALITIES = (80, 86, 92)
_MIN_PIXELS = 48
_MIN_FRAMES = 6
_ATTEMPTS = 50


@dataclass(frozen=True, slots=True)
class SceneObject:
    """An object and what is true of it.

    Args:
        motion: None in images, and in videos for an object that leaves the picture and returns.
        masks: bool [T, H, W], the visible pixels: what others cover and what is out of the picture is left out.
        hidden: share of its pixels in the picture that others cover, mean over the frames where it is in the picture.
        moving_s: seconds of its movement; 0 where it stays still.
    """

    category: str
    colour: str
    texture: str
    size: str
    motion: str | None
    masks: NDArray[np.bool_]
    hidden: float
    moving_s: float


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture (T = 1) or a video.

    Args:
        frames: uint8 [T, H, W, 3] RGB, as decoded from ``jpegs``.
        objects: the farthest first.
        jpegs: the frames as files.
    """

    frames: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]
    fps: float
    jpegs: tuple[bytes, ...]


def image_scene(seed: int, index: int) -> Scene:
    """Picture ``index`` of the world ``seed``, with 2 to 9 objects."""
    return _scene(seed, _IMAGE, index)


def video_scene(seed: int, index: int) -> Scene:
    """Video ``index`` of the world ``seed``: 12 frames at 6 a second, with 2 to 7 objects."""
    return _scene(seed, _VIDEO, index)


def empty_scene(seed: int, index: int) -> Scene:
    """A picture without objects."""
    rng = _rng(seed, _EMPTY, index, 0)
    width, height = _SIZES[int(rng.integers(len(_SIZES)))]
    frames, jpegs = _develop(rng, [backdrop(rng, height, width)])
    return Scene(frames, (), 1.0, jpegs)


def _rng(*words: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def _scene(seed: int, kind: int, index: int) -> Scene:
    for attempt in range(_ATTEMPTS):
        rng = _rng(seed, kind, index, attempt)
        width, height = _SIZES[int(rng.integers(len(_SIZES)))] if kind == _IMAGE else _SIZES[0]
        plan = (image_plan if kind == _IMAGE else video_plan)(rng, width, height)
        drift = _drift(rng, 1 if kind == _IMAGE else FRAMES, width)
        takes = [_Take.of(actor, drift) for actor in plan]
        sights = _judge(takes, height, width)
        if len(sights) >= 2:
            break
    else:
        raise CapgenError(f"scene {index} of world {seed} could not be cast in {_ATTEMPTS} attempts")
    takes = [take for take, _ in sights]
    frames, jpegs = _develop(rng, list(_paint(rng, takes, drift, height, width)))
    objects = tuple(_fact(take.actor, sight) for take, sight in sights)
    return Scene(frames, objects, 1.0 if kind == _IMAGE else float(FPS), jpegs)


Drift = list[tuple[int, int]]


def _drift(rng: np.random.Generator, frames: int, width: int) -> Drift:
    """How far the scene has shifted on every frame: the camera's own slow movement, at most 3 % of the width."""
    reach = width * 3 // 100
    x, y = (int(rng.integers(-reach, reach + 1)) for _ in range(2))
    if frames == 1 or rng.integers(100) < 40:
        x = y = 0
    return [(x * k // max(frames - 1, 1), y * k // max(frames - 1, 1)) for k in range(frames)]


@dataclass(frozen=True, slots=True)
class _Take:
    """An actor with its sprite and its place on every frame, camera included."""

    actor: Actor
    sprites: tuple[Sprite, ...]
    places: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, actor: Actor, drift: Drift) -> _Take:
        known: dict[tuple[int, int], Sprite] = {}
        sprites = []
        for half, angle in zip(actor.half, actor.angle, strict=True):
            if (half, angle) not in known:
                known[half, angle] = sprite(actor.look, half, angle)
            sprites.append(known[half, angle])
        places = tuple((x + dx, y + dy) for x, y, (dx, dy) in zip(actor.x, actor.y, drift, strict=True))
        return cls(actor, tuple(sprites), places)


@dataclass(frozen=True, slots=True)
class _Sight:
    """What is seen of an object: per frame its pixels in the picture, the visible ones and their box."""

    masks: NDArray[np.bool_]
    own: tuple[int, ...]
    seen: tuple[int, ...]
    boxes: tuple[tuple[int, int, int, int] | None, ...]
    whole: int

    @property
    def hidden(self) -> float:
        shares = [1 - seen / own for seen, own in zip(self.seen, self.own, strict=True) if own]
        return sum(shares) / len(shares) if shares else 1.0


def _look(takes: list[_Take], height: int, width: int) -> list[_Sight]:
    """Measure every object. The frontmost object at a pixel owns it."""
    frames = len(takes[0].places)
    top = np.full((frames, height, width), -1, np.int8)
    own: list[list[int]] = []
    for number, take in enumerate(takes):
        counts = []
        for k, ((x, y), item) in enumerate(zip(take.places, take.sprites, strict=True)):
            cut = window(x + item.left, y + item.top, item.mask.shape, (height, width))
            mask = item.mask[cut[1]] if cut else None
            counts.append(int(np.count_nonzero(mask)) if mask is not None else 0)
            if cut and mask is not None:
                top[k][cut[0]][mask] = number
        own.append(counts)
    return [_sight(top, number, take, own[number]) for number, take in enumerate(takes)]


def _sight(top: NDArray[np.int8], number: int, take: _Take, own: list[int]) -> _Sight:
    masks = top == number
    seen, boxes = [], []
    for mask in masks:
        columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
        seen.append(int(np.count_nonzero(mask)))
        box = None
        if seen[-1]:
            box = int(columns[0]), int(rows[0]), int(columns[-1] - columns[0] + 1), int(rows[-1] - rows[0] + 1)
        boxes.append(box)
    whole = max(int(np.count_nonzero(item.mask)) for item in take.sprites[:1])
    return _Sight(masks, tuple(own), tuple(seen), tuple(boxes), whole)


def _judge(takes: list[_Take], height: int, width: int) -> list[tuple[_Take, _Sight]]:
    """The objects whose facts can be seen, the others taken out one at a time, the most hidden first."""
    takes = list(takes)
    while takes:
        sights = _look(takes, height, width)
        doubtful = [(sight.hidden, i) for i, sight in enumerate(sights) if not _plain_to_see(takes[i].actor, sight)]
        if not doubtful:
            return list(zip(takes, sights, strict=True))
        takes.pop(max(doubtful)[1])
    return []


def _plain_to_see(actor: Actor, sight: _Sight) -> bool:
    """Whether size, looks and motion of an object can be told from what is seen of it."""
    frames = len(sight.seen)
    if sum(seen >= _MIN_PIXELS for seen in sight.seen) < min(frames, _MIN_FRAMES) or sight.hidden > actor.hidden_limit:
        return False
    if max(sight.own) < sight.whole * 0.5 or _size(sight) is None:
        return False
    return actor.motion is None or _motion_shows(actor.motion, sight)


def _size(sight: _Sight) -> str | None:
    """The size word of the median extent over the frames on which the object is seen."""
    height, width = sight.masks.shape[1:]
    extents = sorted(extent(box, width, height) for box in sight.boxes if box)
    return size_of(extents[len(extents) // 2])


def _motion_shows(motion: str, sight: _Sight) -> bool:
    """Whether the first and the last visible box tell the motion: moved ones by 10 % of the width along it."""
    boxes = [box for box in sight.boxes if box]
    first, last = boxes[0], boxes[-1]
    across = (last[0] + last[2] / 2) - (first[0] + first[2] / 2)
    down = (last[1] + last[3] / 2) - (first[1] + first[3] / 2)
    need = sight.masks.shape[2] * 0.1
    if motion == "growing":
        return bool(max(last[2] / first[2], last[3] / first[3]) >= 1.5)
    if motion in ("still", "turning"):
        return bool(max(abs(across), abs(down)) <= need * 0.6)
    along, aside = (across, down) if motion in ("left", "right") else (down, across)
    return bool(along * (1 if motion in ("right", "down") else -1) >= max(need, 2 * abs(aside)))


def _fact(actor: Actor, sight: _Sight) -> SceneObject:
    look, size = actor.look, _size(sight)
    assert size is not None
    return SceneObject(
        look.category, look.colour, look.texture, size, actor.motion, sight.masks, sight.hidden, actor.moving_s
    )


def _paint(
    rng: np.random.Generator, takes: list[_Take], drift: Drift, height: int, width: int
) -> Iterator[NDArray[np.uint8]]:
    margin = width * 3 // 100 + 1 if len(drift) > 1 else 0
    scene = backdrop(rng, height + 2 * margin, width + 2 * margin)
    for k, (dx, dy) in enumerate(drift):
        top, left = margin - dy, margin - dx
        frame = scene[top : top + height, left : left + width].copy()
        for take in takes:
            lay(frame, take.sprites[k], *take.places[k])
        yield frame


def _develop(rng: np.random.Generator, frames: list[NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], tuple[bytes, ...]]:
    """Sensor noise and JPEG: what the camera would have stored, and what a reader of the file sees."""
    reach = (3, 7, 15)[int(rng.integers(3))]
    options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITIES[int(rng.integers(len(_QUALITIES)))]]
    jpegs, seen = [], []
    for frame in frames:
        one, two = rng.integers(0, 256, (2, *frame.shape), np.uint8) & np.uint8(reach)
        noisy = cv2.subtract(cv2.add(frame, one + two), np.full_like(frame, reach))
        _, data = cv2.imencode(".jpg", cv2.cvtColor(noisy, cv2.COLOR_RGB2BGR), options)
        jpegs.append(data.tobytes())
        seen.append(np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR_RGB), np.uint8))
    return np.stack(seen), tuple(jpegs)
