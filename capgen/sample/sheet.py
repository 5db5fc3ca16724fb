"""A contact sheet: scenes of the sample world side by side, for README and for a look at a seed."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from capgen.errors import MissingFile
from capgen.sample.scene import Scene

_GAP = 6
_PAPER = 255


def contact_sheet(
    source: Path | Iterable[Scene], *, columns: int, rows: int, cell: tuple[int, int] = (320, 240)
) -> NDArray[np.uint8]:
    """Pictures in a grid, row by row, each scaled to fit its cell and centred on white.

    Args:
        source: the folder of a world (its pictures, or its videos where it has none), or scenes. A picture takes one
            cell; a video takes a whole row: ``columns`` of its frames, evenly spaced in time.
        cell: width and height of a cell in pixels.

    Returns:
        uint8 [H, W, 3] RGB. Cells that the source does not fill stay white.

    Raises:
        MissingFile: the folder holds no world.
    """
    pictures = _of_world(source, columns) if isinstance(source, Path) else _of_scenes(source, columns)
    width, height = cell
    sheet = np.full((rows * (height + _GAP) + _GAP, columns * (width + _GAP) + _GAP, 3), _PAPER, np.uint8)
    for number, picture in enumerate(islice(pictures, columns * rows)):
        fitted = _fit(picture, width, height)
        row, column = divmod(number, columns)
        top = _GAP + row * (height + _GAP) + (height - fitted.shape[0]) // 2
        left = _GAP + column * (width + _GAP) + (width - fitted.shape[1]) // 2
        sheet[top : top + fitted.shape[0], left : left + fitted.shape[1]] = fitted
    return sheet


def _of_scenes(scenes: Iterable[Scene], columns: int) -> Iterable[NDArray[np.uint8]]:
    for scene in scenes:
        if len(scene.frames) == 1:
            yield scene.frames[0]
        else:
            yield from (scene.frames[k] for k in _spread(len(scene.frames), columns))


def _of_world(world: Path, columns: int) -> Iterable[NDArray[np.uint8]]:
    if not (world / "facts.json").is_file():
        raise MissingFile(world / "facts.json", "write a world there with `capgen sample`")
    pictures = sorted(world.glob("lvis/*2017/*.jpg"), key=lambda path: path.name)
    if not pictures:
        for video in sorted(world.glob("lv-vis/*/JPEGImages/*"), key=lambda path: path.name):
            frames = sorted(video.glob("*.jpg"))
            pictures += [frames[k] for k in _spread(len(frames), columns)]
    for path in pictures:
        with Image.open(path) as image:
            yield np.asarray(image.convert("RGB"))


def _spread(length: int, count: int) -> list[int]:
    """``count`` indices from the first to the last."""
    return [int(k) for k in np.linspace(0, length - 1, count).round()]


def _fit(picture: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    image = Image.fromarray(picture)
    scale = min(width / image.width, height / image.height)
    if scale == 1:
        return picture
    return np.asarray(image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS))
