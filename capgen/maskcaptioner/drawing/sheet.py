"""The contact sheet: a few frames with their marks over all captions, one picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from capgen.display import plain
from capgen.images import Pixels
from capgen.maskcaptioner.drawing.draw import Painter, Style
from capgen.maskcaptioner.drawing.legend import FAINT, GROUND, INK, Legend, banner
from capgen.maskcaptioner.drawing.text import font
from capgen.maskcaptioner.inference.track import Track

WIDTH = 1440
_PAD = 20
_LETTERS = 19
_MOST = 60
"""Captions on a sheet; the file of tracks has them all."""


def chosen(count: int, number: int = 9) -> list[int]:
    """At most ``number`` frames of ``count``, evenly spread: the middles of equal stretches."""
    number = min(count, number)
    return [int((i + 0.5) * count / number) for i in range(number)]


@dataclass(slots=True)
class Sheet:
    """Collects small marked frames, and lays them out at the end.

    Args:
        size: height, width of the input's frames.
        times: when each frame is shown, in seconds; None where there is no time.
        fill: tint masks, which changes the colours of objects.
    """

    tracks: Sequence[Track]
    size: tuple[int, int]
    frames: Sequence[int]
    times: Sequence[float] | None = None
    fill: bool = False
    _cells: list[tuple[int, Pixels]] = field(default_factory=list)

    def add(self, frame: Pixels, index: int) -> None:
        """Take the frame if it is one of those that were chosen."""
        if index in self.frames:
            self._cells.append((index, Painter(self.tracks, self._style, self.fill).paint(frame, index)))

    def draw(self, title: str, warning: str = "") -> Pixels:
        """The sheet, uint8 [H, 1440, 3], with a ``warning`` under its title."""
        shown = self.tracks[:_MOST]
        legend = Legend(shown, WIDTH - 2 * _PAD + 2 * round(_LETTERS * 0.8), _LETTERS, lines=4)
        hidden = len(self.tracks) - len(shown)
        note = f"and {hidden} more in tracks.json" if hidden else ""
        parts = [self._heading(title), *([banner(warning, WIDTH, _LETTERS)] if warning else []), self._grid()]
        if shown:
            listed = legend.draw(range(len(shown)), legend.height(len(shown)) + (_PAD if note else 0), note=note)
            parts.append(_fit(listed, _PAD - legend.pad))
        return np.concatenate(parts)

    @property
    def _columns(self) -> int:
        count = max(1, len(self.frames))
        wide = self.size[1] >= self.size[0]
        return count if count <= 2 else 2 if count == 4 and wide else 3 if wide else min(count, 5)

    @property
    def _style(self) -> Style:
        """Size of a small frame; a lone one is no higher than it would be on a screen."""
        width = (WIDTH - _PAD * (self._columns + 1)) // self._columns
        scale = min(width / self.size[1], 1000 / self.size[0])
        return Style(max(2, round(self.size[1] * scale)), max(2, round(self.size[0] * scale)))

    def _heading(self, title: str) -> Pixels:
        image = Image.new("RGB", (WIDTH, round(_LETTERS * 3)), GROUND)
        pen, base = ImageDraw.Draw(image), round(_LETTERS * 2)
        name, _, rest = title.partition("\n")
        pen.text((_PAD, base), plain(name), fill=INK, font=font(round(_LETTERS * 1.15), bold=True), anchor="ls")
        pen.text((WIDTH - _PAD, base), plain(rest), fill=FAINT, font=font(round(_LETTERS * 0.85)), anchor="rs")
        return np.asarray(image)

    def _grid(self) -> Pixels:
        style, columns = self._style, self._columns
        below = 0 if self.times is None else round(_LETTERS * 1.4)
        step = style.height + below + _PAD // 2
        rows = -(-len(self._cells) // columns)
        image = Image.new("RGB", (WIDTH, max(1, rows * step)), GROUND)
        pen = ImageDraw.Draw(image)
        for number, (index, cell) in enumerate(self._cells):
            x, y = _PAD + number % columns * (style.width + _PAD), number // columns * step
            image.paste(Image.fromarray(cell), (x, y))
            if self.times is not None:
                when = f"frame {index}  ·  {_time(self.times[index])}"
                face = font(round(_LETTERS * 0.74))
                pen.text((x, y + style.height + round(_LETTERS * 0.95)), when, fill=FAINT, font=face, anchor="ls")
        return np.asarray(image)


def _time(seconds: float) -> str:
    return f"{int(seconds // 60)}:{seconds % 60:04.1f}"


def _fit(list_: Pixels, left: int) -> Pixels:
    """The list moved right by ``left`` pixels onto the sheet's width."""
    wide = np.empty((list_.shape[0], WIDTH, 3), np.uint8)
    wide[:] = GROUND
    start, source = max(0, left), max(0, -left)
    piece = list_[:, source : source + WIDTH - start]
    wide[:, start : start + piece.shape[1]] = piece
    return wide
