from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.pipeline.rendering.highlights.base import GREY, Fit, Window, show, whole
from tests.pipeline.rendering.highlights.marks import marked, rectangle


@given(
    width=st.integers(1, 5000),
    height=st.integers(1, 5000),
    patch=st.sampled_from([1, 14, 28, 32]),
    budget=st.integers(1, 1 << 20),
    enlarge=st.sampled_from([1.0, 4.0]),
)
def test_a_picture_is_whole_patches_within_the_budget(width, height, patch, budget, enlarge):
    across, down = Fit(patch, budget).size(width, height, enlarge)
    assert across % patch == down % patch == 0
    assert patch <= across
    assert patch <= down
    assert across * down <= max(budget, patch * patch)
    assert max(across / down, down / across) <= 100


@given(width=st.integers(100, 2000), height=st.integers(100, 2000))
def test_the_default_sizes_keep_the_aspect_within_a_sixth(width, height):
    wide, high = Fit(32, 448 * 448).size(width, height)
    if max(width / height, height / width) < 2 and width * height > 448 * 448:
        assert abs(np.log((wide / high) / (width / height))) < np.log(7 / 6)


def test_a_picture_that_fits_already_keeps_its_pixels_and_its_memory():
    frame = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)
    assert np.shares_memory(show(frame, whole(frame), Fit(32, 448 * 448)), frame)


def test_a_small_frame_is_not_enlarged_and_a_close_up_at_most_four_times():
    assert Fit(8, 448 * 448).size(64, 48) == (64, 48)
    assert Fit(8, 448 * 448).size(20, 20, enlarge=4.0) == (80, 80)


def test_square_pictures_have_exactly_their_side_even_if_it_is_no_multiple_of_the_patch():
    frame = np.zeros((48, 64, 3), dtype=np.uint8)
    assert show(frame, whole(frame), Fit(32, 100 * 100, square=True)).shape == (100, 100, 3)


def test_what_lies_beyond_the_frame_is_grey():
    frame = np.full((10, 20, 3), 250, dtype=np.uint8)
    shown = show(frame, Window(0, -5, 20, 20), Fit(1, 400, square=True))
    assert (shown[:5] == GREY).all()
    assert (shown[5:15] == 250).all()
    assert (shown[15:] == GREY).all()


@pytest.mark.parametrize("factor", [1.2, 1.7, 2.0, 3.3, 6.5])
def test_shrinking_averages_instead_of_picking_pixels(factor):
    """Stripes finer than the picture's pixels become their mean, not a moiré of black and white."""
    side = int(64 * factor)
    frame = np.zeros((side, side, 3), dtype=np.uint8)
    frame[:, ::2] = 255
    shown = show(frame, whole(frame), Fit(64, 64 * 64)).astype(float)
    assert shown.shape == (64, 64, 3)
    if factor >= 1.5:
        assert shown.std() < 0.35 * frame.std()
    assert abs(shown.mean() - frame.mean()) < 4


def test_the_mask_follows_window_and_size():
    bitmap = rectangle(40, 80, 10, 20, 30, 40)
    at_home = marked(bitmap)
    assert (at_home.bitmap() == bitmap * 255).all()
    half = marked(bitmap, pixels=800)
    assert half.size == (40, 16)
    assert abs(half.bitmap().mean() / 255 - bitmap.mean()) < 0.06


def test_a_speck_stays_on_the_mask_however_small_the_picture():
    speck = marked(rectangle(400, 400, 200, 200, 201, 201), pixels=64 * 64)
    assert speck.bitmap().sum() > 0
    left, top, right, bottom = speck.edges()
    assert (right - left, bottom - top) == (1, 1)


def test_edges_are_those_of_the_box_at_the_pictures_scale():
    assert marked(rectangle(40, 80, 10, 20, 30, 40)).edges() == (20, 10, 40, 30)
