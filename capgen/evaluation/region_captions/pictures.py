"""The pictures that a judge is shown: the whole one, the region's surroundings, and masks as black and white."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from capgen.evaluation.region_captions.crops import RegionCrops
from capgen.images import Pixels

_LEAST = 56
"""Pixels of a focal crop's box at least, as in DAM's focal crops."""


def black_and_white(mask: NDArray[np.bool_]) -> Pixels:
    """A mask as an RGB picture: white inside."""
    return np.repeat(mask[..., None].astype(np.uint8) * 255, 3, axis=2)


def masked_picture(crops: RegionCrops, key: str) -> tuple[str | Pixels, ...]:
    """The picture of a region and its mask."""
    return "The picture:", crops.picture(key), "The mask of the object, white:", black_and_white(crops.mask(key))


def focal_box(mask: NDArray[np.bool_]) -> tuple[slice, slice]:
    """Rows and columns of a region with its own width and height around it on each side.

    Raises:
        ValueError: the mask is empty.
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise ValueError("the mask is empty")
    return _three_times(rows, mask.shape[0]), _three_times(columns, mask.shape[1])


def _three_times(inside: NDArray[np.intp], limit: int) -> slice:
    first, last = int(inside[0]), int(inside[-1]) + 1
    length = max(last - first, _LEAST)
    start = int((first + last) / 2 - length / 2)
    return slice(max(start - length, 0), min(start + 2 * length, limit))


def regions_of_picture(pixels: Pixels, masks: Sequence[NDArray[np.bool_]]) -> tuple[str | Pixels, ...]:
    """The picture, then of each region its surroundings and its mask there, named ``<Prompt0>`` and on."""
    parts: list[str | Pixels] = ["The picture:", pixels]
    for number, mask in enumerate(masks):
        box = focal_box(mask)
        parts += [f"<Prompt{number}>:", np.ascontiguousarray(pixels[box])]
        parts += [f"The mask of <Prompt{number}>, white:", black_and_white(mask[box])]
    return tuple(parts)
