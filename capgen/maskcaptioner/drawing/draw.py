"""Marks on a frame: outlines, boxes and name tags, in a colour that stays with its track.

Masks are not filled unless that is asked for: a veil changes the colours that captions name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.types import Box
from capgen.images import Pixels
from capgen.maskcaptioner.drawing.text import Ink, paste, tag
from capgen.maskcaptioner.inference.track import Track

_PALETTE: tuple[Ink, ...] = (
    (255, 196, 37),
    (66, 165, 255),
    (255, 99, 92),
    (52, 211, 153),
    (200, 120, 255),
    (255, 145, 48),
    (34, 211, 238),
    (250, 112, 196),
    (163, 230, 53),
    (129, 140, 248),
    (222, 184, 135),
    (20, 184, 166),
)
"""Bright, and far from one another; neighbours in the list are far apart in hue."""
_GOLDEN = 0.61803398875
_FILL = 0.36
_DARK: Ink = (16, 18, 22)
_LIGHT: Ink = (244, 246, 248)
_DARK_SHARE = 0.6
_STACKED = 6  # tags of objects that fill the picture lie under one another
_CORNERED = 44  # pixels: a smaller box is told by its mask alone
_SHORT, _LONG = 480, 1920  # pixels: smaller pictures are enlarged, so that text can be read; larger ones reduced


@dataclass(frozen=True, slots=True)
class Style:
    """How large things are drawn.

    Args:
        width, height: of the picture that is made, in pixels, both even.
    """

    width: int
    height: int

    @property
    def font(self) -> int:
        """Pixels of the letters in tags."""
        return min(22, max(13, round(min(self.width, self.height) / 36)))

    @property
    def line(self) -> int:
        """Pixels of a contour."""
        return min(3, max(1, round(min(self.width, self.height) / 300)))


def film_style(height: int, width: int) -> Style:
    """The size of an annotated frame: shorter side at least 480, longer side at most 1920 pixels, both sides even."""
    scale = min(max(1.0, _SHORT / min(height, width)), _LONG / max(height, width))
    return Style(max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2))


def colour(rank: int) -> Ink:
    """The colour of the track of that rank, from 0; beyond the palette hues go round by the golden section."""
    if rank < len(_PALETTE):
        return _PALETTE[rank]
    hue = (rank * _GOLDEN) % 1
    shade = np.array([[[round(hue * 179), 150 + 40 * (rank % 3), 255 - 30 * (rank % 2)]]], np.uint8)
    red, green, blue = cv2.cvtColor(shade, cv2.COLOR_HSV2RGB)[0, 0].tolist()
    return red, green, blue


def class_of(track: Track) -> str:
    """The class as people write it; empty where there is none."""
    return plain_class(track.category or "")


def plain_class(name: str) -> str:
    """A class's name without the data's underscores."""
    return name.replace("_", " ")


def name_of(track: Track) -> str:
    """What a tag says: the number, and the class where there is one."""
    return f"{track.track_id} {class_of(track)}".rstrip()


@dataclass(slots=True)
class Painter:
    """Draws tracks on frames, which come in any order but look calm in their own.

    Args:
        tracks: all that will be drawn; a track's colour is its rank here.
        style: size of the pictures that are made.
        fill: tint masks, which changes the colours of objects.
    """

    tracks: Sequence[Track]
    style: Style
    fill: bool = False
    _sides: dict[int, int] = field(default_factory=dict)

    def paint(self, frame: Pixels, index: int) -> Pixels:
        """The frame at the style's size with all tracks that are on frame ``index``."""
        style = self.style
        grows = style.width > frame.shape[1]
        resized = cv2.resize(
            frame, (style.width, style.height), interpolation=cv2.INTER_CUBIC if grows else cv2.INTER_AREA
        )
        canvas = np.ascontiguousarray(resized, dtype=np.uint8)
        shown = [(rank, place) for rank, track in enumerate(self.tracks) if (place := seen(track, index)) is not None]
        shapes = [(rank, self._mask(rank, place, frame), self._box(rank, place, frame)) for rank, place in shown]
        shapes.sort(key=lambda shape: -shape[2][2] * shape[2][3])
        if self.fill:
            for rank, mask, box in shapes:
                _fill(canvas, mask, box, colour(rank))
        strokes = [(rank, _strokes(mask, box)) for rank, mask, box in shapes]
        rims = canvas.copy()
        for _, lines in strokes:
            cv2.polylines(rims, lines, False, _DARK, style.line + 5, cv2.LINE_AA)
        cv2.addWeighted(rims, _DARK_SHARE, canvas, 1 - _DARK_SHARE, 0, dst=canvas)
        for rank, lines in strokes:
            cv2.polylines(canvas, lines, False, _LIGHT, style.line + 3, cv2.LINE_AA)
            cv2.polylines(canvas, lines, False, colour(rank), style.line + 1, cv2.LINE_AA)
        self._tags(canvas, [(rank, box) for rank, _, box in shapes])
        return canvas

    def _mask(self, rank: int, place: int, frame: Pixels) -> NDArray[np.uint8] | None:
        """Mask of a track, 0 or 1, at the style's size; enlarged masks get smooth edges."""
        found = self.tracks[rank].masks
        if found is None:
            return None
        height, width = found[place]["size"]
        bitmap = rle.decode(found[place]["counts"], (height, width)).astype(np.uint8) * 255
        large = cv2.resize(bitmap, (self.style.width, self.style.height), interpolation=cv2.INTER_LINEAR)
        if self.style.width > frame.shape[1]:
            # Linear interpolation leaves the steps of the bitmap's pixels: a blur as wide as one of them rounds them.
            reach = self.style.width / frame.shape[1]
            large = cv2.GaussianBlur(large, (0, 0), reach * 0.5)
        return np.asarray(large > 127, np.uint8)

    def _box(self, rank: int, place: int, frame: Pixels) -> Box:
        """x, y, width, height at the style's size."""
        across, down = self.style.width / frame.shape[1], self.style.height / frame.shape[0]
        x, y, width, height = self.tracks[rank].boxes[place]
        return x * across, y * down, width * across, height * down

    def _tags(self, canvas: Pixels, boxes: Sequence[tuple[int, Box]]) -> None:
        """Name tags, small objects first, none over another where there is room."""
        taken: list[Box] = []
        for rank, box in reversed(boxes):
            patch = tag(name_of(self.tracks[rank]), colour(rank), self.style.font)
            spot = self._spot(rank, box, patch.shape[1], patch.shape[0], taken)
            taken.append((*spot, patch.shape[1], patch.shape[0]))
            paste(canvas, patch, *spot)

    def _spot(self, rank: int, box: Box, width: int, height: int, taken: Sequence[Box]) -> tuple[int, int]:
        """Top-left corner of a tag: where it was last if that is free, else the first free side of the box."""
        x, y, wide, high = box
        gap = self.style.line + 1
        sides = [
            (x, y - height - gap),
            (x + wide - width, y - height - gap),
            (x, y + high + gap),
            (x + wide - width, y + high + gap),
            (x + (wide - width) / 2, y + gap),
            (x + (wide - width) / 2, y + high - height - gap),
            (x + (wide - width) / 2, y + (high - height) / 2),
            *((x + gap, y + gap + row * (height + gap)) for row in range(_STACKED)),
        ]
        last = self._sides.get(rank, 0)
        order = [last, *(side for side in range(len(sides)) if side != last)]
        costs = [self._cost((*sides[side], width, height), taken) for side in order]
        best = int(np.argmin(costs))  # the first of equals: the last side, then the list's order
        self._sides[rank] = order[best]
        left, top = sides[order[best]]
        return (
            round(min(max(0, left), max(0, self.style.width - width))),
            round(min(max(0, top), max(0, self.style.height - height))),
        )

    def _cost(self, place: Box, taken: Sequence[Box]) -> float:
        """Pixels of the tag that lie outside the picture or on other tags."""
        inside = _overlap(place, (0, 0, self.style.width, self.style.height))
        return round(place[2] * place[3] - inside) + sum(_overlap(place, other) for other in taken)


def seen(track: Track, index: int) -> int | None:
    """The place of frame ``index`` in the track's lists; None where it is not on that frame."""
    place = bisect_left(track.frames, index)
    return place if place < len(track.frames) and track.frames[place] == index else None


def _overlap(a: Box, b: Box) -> float:
    across = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    down = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(0.0, across) * max(0.0, down)


def _fill(canvas: Pixels, mask: NDArray[np.uint8] | None, box: Box, paint: Ink) -> None:
    """Tint the mask, or more lightly the box, in place."""
    if mask is None:
        x, y, right, bottom = (max(0, round(side)) for side in (box[0], box[1], box[0] + box[2], box[1] + box[3]))
        share = _FILL / 3
    else:
        x, y, width, height = cv2.boundingRect(mask)
        right, bottom, share = x + width, y + height, _FILL
    piece = canvas[y:bottom, x:right]
    if not piece.size:
        return
    tinted = cv2.addWeighted(piece, 1 - share, np.full_like(piece, paint), share, 0)
    if mask is None:
        piece[:] = tinted
    else:
        # OpenCV's masked copy: indexing with a boolean array takes twenty times as long.
        piece[:] = cv2.copyTo(tinted, mask[y:bottom, x:right], np.ascontiguousarray(piece))


def _strokes(mask: NDArray[np.uint8] | None, box: Box) -> list[NDArray[np.int32]]:
    """Lines to draw for an object: the outline of its mask and the corners of its box, or the box alone."""
    x, y, width, height = box
    if mask is None:
        ring = [(x, y), (x + width, y), (x + width, y + height), (x, y + height), (x, y)]
        return [_points(ring)]
    contours, _ = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    lines = [np.concatenate([contour, contour[:1]])[:, 0].astype(np.int32) for contour in contours]
    return lines + (_corners(box) if min(width, height) >= _CORNERED else [])


def _corners(box: Box) -> list[NDArray[np.int32]]:
    """The four corners of a box as short strokes: they say where it ends without a fence through the picture."""
    x, y, width, height = box
    arm = min(18.0, width / 5, height / 5)
    ends = ((x, arm), (x + width, -arm)), ((y, arm), (y + height, -arm))
    return [
        _points([(at_x + to_x, at_y), (at_x, at_y), (at_x, at_y + to_y)])
        for at_x, to_x in ends[0]
        for at_y, to_y in ends[1]
    ]


def _points(places: Sequence[tuple[float, float]]) -> NDArray[np.int32]:
    return np.array(places).round().astype(np.int32)
