from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.pipeline.rendering.highlights.base import GREY, Window
from capgen.pipeline.rendering.highlights.box import BoxOutline
from capgen.pipeline.rendering.highlights.colour import PALETTE
from capgen.pipeline.rendering.highlights.crop import Crop, window
from tests.pipeline.rendering.highlights.marks import marked, rectangle, where


def test_the_margin_is_in_box_widths_and_heights():
    assert window((100, 200, 40, 60), (640, 480), margin=1.0, square=False) == Window(60, 140, 120, 180)
    assert window((100, 200, 40, 60), (640, 480), margin=0.5, square=False) == Window(80, 170, 80, 120)


def test_a_small_object_gets_at_least_48_pixels():
    assert window((100, 200, 4, 2), (640, 480), margin=1.0, square=False) == Window(78, 177, 48, 48)


def test_a_window_is_moved_inside_the_frame_instead_of_cut_off():
    assert window((0, 440, 40, 40), (640, 480), margin=1.0, square=False) == Window(0, 360, 120, 120)


def test_a_square_window_takes_more_context_on_the_short_side_and_pads_where_the_frame_ends():
    assert window((100, 200, 40, 60), (640, 480), margin=1.0, square=True) == Window(30, 140, 180, 180)
    assert window((0, 100, 640, 100), (640, 480), margin=1.0, square=True) == Window(0, -80, 640, 640)


@given(
    frame=st.tuples(st.integers(1, 900), st.integers(1, 900)),
    corner=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    extent=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    margin=st.sampled_from([0.0, 0.5, 1.0, 3.0]),
    square=st.booleans(),
)
def test_the_object_is_always_inside_its_window_and_the_window_inside_the_frame(frame, corner, extent, margin, square):
    left, top = (int(c * (side - 1)) for c, side in zip(corner, frame, strict=True))
    wide, high = (1 + int(e * (side - 1 - at)) for e, side, at in zip(extent, frame, (left, top), strict=True))
    shown = window((left, top, wide, high), frame, margin=margin, square=square)
    assert shown.x <= left
    assert shown.y <= top
    assert left + wide <= shown.x + shown.width
    assert top + high <= shown.y + shown.height
    if square:
        assert shown.width == shown.height
    for at, length, side in ((shown.x, shown.width, frame[0]), (shown.y, shown.height, frame[1])):
        if length <= side:
            assert at >= 0
            assert at + length <= side
    if not square:
        assert shown.width <= frame[0]
        assert shown.height <= frame[1]


def test_the_picture_shows_the_window():
    frame = np.zeros((160, 160, 3), dtype=np.uint8)
    frame[64:96, 64:96] = 200
    shown = Crop(margin=1.0)(marked(rectangle(160, 160, 64, 64, 96, 96), frame)).pixels
    assert shown.shape[0] == shown.shape[1]
    third = shown.shape[0] // 3
    assert (shown[third + 2 : 2 * third - 2, third + 2 : 2 * third - 2] == 200).all()
    assert (shown[: third - 2] == 0).all()


def test_the_box_is_drawn_on_the_close_up_thin_and_in_its_place():
    bitmap = rectangle(480, 640, 200, 300, 220, 330)
    shown = BoxOutline(color="green", thickness=1)(Crop()(marked(bitmap, patch=32, pixels=320 * 320))).pixels
    rows, columns = zip(*where(shown, PALETTE["green"]), strict=True)
    height, width = shown.shape[:2]
    assert abs(min(columns) / width - 1 / 3) < 0.02
    assert abs(max(columns) / width - 2 / 3) < 0.02
    assert abs(min(rows) / height - 1 / 3) < 0.02
    assert (shown[height // 2] == PALETTE["green"]).all(axis=-1).sum() == 2


def test_the_close_up_of_a_square_fit_is_square_and_padded_with_grey():
    bitmap = rectangle(40, 160, 10, 10, 30, 150)
    shown = Crop()(marked(bitmap, pixels=64 * 64, square=True)).pixels
    assert shown.shape == (64, 64, 3)
    assert (shown[0] == GREY).all()
    assert (shown[32] == 100).all()


def test_the_margin_is_the_render_settings_unless_the_prompt_names_one():
    bitmap = rectangle(480, 640, 200, 300, 240, 340)
    assert Crop()(marked(bitmap, margin=2.0)).window.width == 200
    assert Crop(margin=1.0)(marked(bitmap, margin=2.0)).window.width == 120


def test_cropping_after_drawing_is_refused():
    with pytest.raises(ValueError, match="before"):
        Crop()(BoxOutline()(marked(rectangle(40, 80, 10, 20, 30, 40))))
