"""What templates say of objects: where they are on a frame, and what they are called."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor

from capgen.dataset.types import Box
from capgen.pipeline.settings import Coordinates

_LONGEST_NAME = 200  # characters of a category that a prompt repeats


@dataclass(frozen=True, slots=True)
class Place:
    """Where an object is on one marked frame, as templates see it.

    ``left``, ``top``, ``right``, ``bottom``: in the convention of ``render.coordinates``, rounded outwards: percent of
    the frame, thousandths or pixels of it as whole numbers, or 0 to 1 with three decimals.
    ``normalised``: always ``(left,top,right,bottom)`` from 0 to 1 with two decimals.
    ``area_percent``: the mask's share of the frame in percent, as text with two digits.
    ``frame``: the frame's number, from 1. ``color``: the name of the mark's colour, None where nothing is drawn.
    """

    left: int | str
    top: int | str
    right: int | str
    bottom: int | str
    normalised: str
    area_percent: str
    frame: int
    color: str | None = None


@dataclass(frozen=True, slots=True)
class NumberedObject:
    """An object of a request about several, as templates see it; ``boxes`` has a ``Place`` or None a marked frame."""

    number: int
    category: str | None
    synonyms: tuple[str, ...]
    boxes: tuple[Place | None, ...]


def place(
    box: Box,
    area: int,
    size: tuple[int, int],
    frame: int,
    color: str | None = None,
    *,
    coordinates: Coordinates = "percent",
    sent: tuple[int, int] | None = None,
) -> Place:
    """The place of a box (x, y, width, height) on a frame of ``size`` (width, height) pixels; ``frame`` from 0.

    Args:
        sent: width and height of the frame as the model sees it, for places in pixels; None is ``size``.
    """
    x, y, wide, high = box
    sides = x / size[0], y / size[1], (x + wide) / size[0], (y + high) / size[1]
    share = 100 * area / (size[0] * size[1])
    left, top, right, bottom = _scaled(sides, coordinates, sent or size)
    return Place(
        left=left,
        top=top,
        right=right,
        bottom=bottom,
        normalised="(" + ",".join(f"{side:.2f}" for side in sides) + ")",
        area_percent=f"{share:.0f}" if share >= 10 else f"{share:.2g}",
        frame=frame + 1,
        color=color,
    )


def _scaled(
    sides: tuple[float, float, float, float], coordinates: Coordinates, sent: tuple[int, int]
) -> tuple[int | str, ...]:
    """Left, top, right and bottom, given from 0 to 1, as numbers of a convention, rounded outwards."""
    whole = {"percent": (100, 100), "thousand": (1000, 1000), "unit": (1000, 1000), "pixel": sent}[coordinates]
    lower = [max(0, floor(side * most + 1e-9)) for side, most in zip(sides[:2], whole, strict=True)]
    upper = [min(most, ceil(side * most - 1e-9)) for side, most in zip(sides[2:], whole, strict=True)]
    numbers = (*lower, *upper)
    return tuple(f"{number / 1000:.3f}" for number in numbers) if coordinates == "unit" else numbers


@lru_cache(maxsize=4096)
def told(name: str) -> str:
    """A category as a prompt says it: one line of plain words, without what could pass for a chat's control token."""
    plain = "".join(c if c.isprintable() else " " for c in name[: 4 * _LONGEST_NAME])
    return " ".join(plain.translate({ord("_"): " ", ord("<"): " ", ord(">"): " "}).split())[:_LONGEST_NAME].strip()
