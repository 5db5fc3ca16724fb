from __future__ import annotations

import numpy as np
import pytest

from capgen.pipeline.rendering.highlights.box import BoxOutline
from capgen.pipeline.rendering.highlights.colour import PALETTE
from tests.pipeline.rendering.highlights.marks import marked, rectangle, where

GREEN = PALETTE["green"]


def test_the_line_lies_just_outside_of_the_object_and_nowhere_else():
    bitmap = rectangle(40, 80, 10, 20, 30, 40)
    frame = marked(bitmap)
    shown = BoxOutline(color="green", thickness=2)(frame).pixels
    outer, inner = rectangle(40, 80, 8, 18, 32, 42), bitmap
    assert where(shown, GREEN) == set(zip(*np.nonzero(outer & ~inner), strict=True))
    assert (shown[~outer | inner] == 100).all()


def test_an_object_that_fills_the_frame_gets_its_line_on_the_rim():
    shown = BoxOutline(color="green", thickness=1)(marked(rectangle(40, 80, 0, 0, 40, 80))).pixels
    rim = np.ones((40, 80), dtype=bool)
    rim[1:-1, 1:-1] = False
    assert where(shown, GREEN) == set(zip(*np.nonzero(rim), strict=True))


def test_the_line_is_as_thin_on_a_picture_made_small():
    bitmap = rectangle(400, 800, 100, 200, 300, 400)
    shown = BoxOutline(color="green", thickness=1)(marked(bitmap, pixels=20_000)).pixels
    assert shown.shape[0] * shown.shape[1] <= 20_000
    column = (shown[shown.shape[0] // 2] == GREEN).all(axis=-1)
    assert column.sum() == 2


@pytest.mark.parametrize(("side", "line"), [(96, 1), (320, 2)])
def test_lines_are_one_pixel_wide_on_small_pictures_and_two_on_others(side, line):
    bitmap = rectangle(side, side, side // 4, side // 4, side // 2, side // 2)
    shown = BoxOutline(color="green")(marked(bitmap, pixels=side * side)).pixels
    assert (shown[side * 3 // 8] == GREEN).all(axis=-1).sum() == 2 * line


def test_the_colour_stands_out_from_a_ground_of_any_colour_and_is_named():
    for rgb in PALETTE.values():
        frame = np.full((40, 80, 3), rgb, dtype=np.uint8)
        result = BoxOutline()(marked(rectangle(40, 80, 10, 20, 30, 40), frame))
        assert result.color in PALETTE
        chosen = PALETTE[result.color]
        assert chosen != rgb
        assert where(result.pixels, chosen)


def test_the_shared_frame_is_not_drawn_on():
    frame = marked(rectangle(40, 80, 10, 20, 30, 40))
    before = frame.source.copy()
    BoxOutline()(frame)
    assert (frame.source == before).all()


@pytest.mark.parametrize("options", [{"color": "greenish"}, {"thickness": 0}])
def test_a_box_that_cannot_be_drawn_is_refused_when_it_is_made(options):
    with pytest.raises(ValueError):
        BoxOutline(**options)
