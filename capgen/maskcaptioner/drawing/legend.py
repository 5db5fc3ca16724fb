"""The list of captions: a colour chip, the number and class, the caption."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image, ImageDraw

from capgen.display import plain
from capgen.images import Pixels
from capgen.maskcaptioner.drawing.draw import class_of, colour, plain_class
from capgen.maskcaptioner.drawing.text import Ink, font, ink_on, wrap
from capgen.maskcaptioner.inference.track import Track

GROUND: Ink = (22, 24, 29)
INK: Ink = (236, 238, 242)
FAINT: Ink = (150, 156, 168)
WARNING: Ink = (255, 196, 37)
_DIM = 0.32


@dataclass(frozen=True)
class Legend:
    """Captions of tracks, ``width`` pixels wide.

    Args:
        size: pixels of the letters.
        lines: at most so many lines a caption.
    """

    tracks: Sequence[Track]
    width: int
    size: int
    lines: int = 2

    @cached_property
    def columns(self) -> int:
        """As many as make the list shortest, none narrower than about 28 letters."""
        most = max(1, min(3, len(self.tracks), self.width // (self.size * 18)))
        return min(
            range(1, most + 1), key=lambda columns: (-(-len(self.tracks) // columns) * self._tall(columns), columns)
        )

    @property
    def pad(self) -> int:
        """Pixels round the list and between its columns."""
        return round(self.size * 0.8)

    @cached_property
    def rows(self) -> list[Pixels]:
        """Each track's entry, all of one size."""
        texts = self._texts(self.columns)
        tall = max((len(text) for text in texts), default=1)
        return [self._row(rank, text, self._inner(self.columns), tall) for rank, text in enumerate(texts)]

    @cached_property
    def row_height(self) -> int:
        """Pixels of one entry; 0 where there is none."""
        return self.rows[0].shape[0] if self.rows else 0

    def height(self, entries: int) -> int:
        """Pixels of the list with so many entries, even."""
        down = -(-entries // self.columns)
        return -(-(2 * self.pad + down * self.row_height) // 2) * 2 if entries else 0

    def draw(self, ranks: Sequence[int], height: int, dim: Collection[int] = (), note: str = "") -> Pixels:
        """The entries of those ranks, column by column, on ``height`` pixels; ``dim`` ones are faint."""
        panel = np.empty((height, self.width, 3), np.uint8)
        panel[:] = GROUND
        down = max(1, -(-len(ranks) // self.columns))
        for number, rank in enumerate(ranks):
            row = self.rows[rank]
            if rank in dim:
                row = _faint(row)
            x = self.pad + (number // down) * (row.shape[1] + self.pad)
            y = self.pad + (number % down) * self.row_height
            panel[y : y + row.shape[0], x : x + row.shape[1]] = row[: height - y]
        return self._noted(panel, note) if note else panel

    def _inner(self, columns: int) -> int:
        return (self.width - self.pad * (columns + 1)) // columns

    def _texts(self, columns: int) -> list[list[str]]:
        room = self._inner(columns) - self._indent
        return [wrap(track.caption or "(no caption)", font(self.size), room, self.lines) for track in self.tracks]

    def _tall(self, columns: int) -> int:
        """Lines of an entry: the heading and the longest caption."""
        return 1 + max((len(text) for text in self._texts(columns)), default=1)

    @property
    def _indent(self) -> int:
        return round(self.size * 2.6)

    def _row(self, rank: int, text: Sequence[str], width: int, tall: int) -> Pixels:
        """One entry: chip, class and score in small faint letters, caption."""
        track, size = self.tracks[rank], self.size
        small, step = round(size * 0.76), round(size * 1.32)
        height = round(small * 1.5) + tall * step + round(size * 0.55)
        image = Image.new("RGB", (width, height), GROUND)
        pen = ImageDraw.Draw(image)
        chip = round(size * 1.9)
        paint = colour(rank)
        image.paste(_chip(str(track.track_id), paint, chip, round(size * 0.88)), (0, round(size * 0.2)))
        head = class_of(track) or "object"
        seen_on = f"{len(track.frames)} frames" if len(track.frames) != 1 else "1 frame"
        about = f"{head}  ·  {track.score:.2f}  ·  {seen_on}"
        if track.caption_category is not None:
            about += f"  ·  the caption says {plain_class(track.caption_category)}"
        pen.text((self._indent, small), plain(about[:400]), fill=FAINT, font=font(small), anchor="ls")
        for number, line in enumerate(text):
            y = round(small * 1.5) + number * step + size
            pen.text((self._indent, y), line, fill=INK if track.caption else FAINT, font=font(size), anchor="ls")
        return np.asarray(image)

    def _noted(self, panel: Pixels, note: str) -> Pixels:
        """The panel with a remark at its lower right."""
        image = Image.fromarray(panel)
        small = round(self.size * 0.76)
        spot = (panel.shape[1] - self.pad, panel.shape[0] - round(small * 0.4))
        ImageDraw.Draw(image).text(spot, note, fill=FAINT, font=font(small), anchor="rs")
        return np.asarray(image)


def banner(note: str, width: int, size: int, paint: Ink = WARNING) -> Pixels:
    """A strip with a warning or a title, ``width`` pixels wide and of even height.

    Args:
        size: pixels of the letters; ``paint``: their colour.
    """
    pad = round(size * 0.8)
    lines = wrap(note, font(size), width - 2 * pad, 3)
    height = -(-(round(size * 1.32) * len(lines) + pad) // 2) * 2
    image = Image.new("RGB", (width, height), GROUND)
    pen = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        pen.text((pad, pad // 2 + round(size * 1.32) * number + size), line, fill=paint, font=font(size), anchor="ls")
    return np.asarray(image)


def _chip(text: str, paint: Ink, side: int, size: int) -> Image.Image:
    """A rounded square of a colour with a number in it."""
    fine = 3
    image = Image.new("RGB", (side * fine, side * fine), GROUND)
    pen = ImageDraw.Draw(image)
    pen.rounded_rectangle((0, 0, side * fine - 1, side * fine - 1), radius=side * fine * 0.26, fill=paint)
    face = font(size * fine if len(text) < 3 else round(size * fine * 0.8), bold=True)
    pen.text((side * fine / 2, side * fine / 2), text, fill=ink_on(paint), font=face, anchor="mm")
    return image.resize((side, side), Image.Resampling.LANCZOS)


def _faint(row: Pixels) -> Pixels:
    ground = np.array(GROUND, np.float32)
    return np.rint(ground + (row - ground) * np.float32(_DIM)).astype(np.uint8)
