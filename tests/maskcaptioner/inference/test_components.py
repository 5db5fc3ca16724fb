from __future__ import annotations

import numpy as np

from capgen import rle
from capgen.maskcaptioner.inference.components import largest_components


def test_stray_pixels_go_and_the_box_is_the_objects():
    mask = np.zeros((60, 260), np.bool_)
    mask[20:38, 10:28] = True
    mask[5, 250] = mask[50, 3] = True
    clean = largest_components(mask)
    assert rle.box(rle.encode(mask), mask.shape) == (3, 5, 248, 46)
    assert rle.box(rle.encode(clean), mask.shape) == (10, 20, 18, 18)


def test_an_object_that_something_hides_in_part_keeps_its_pieces():
    mask = np.zeros((40, 90), np.bool_)
    mask[10:30, 5:35] = mask[10:30, 50:65] = True
    assert np.array_equal(largest_components(mask), mask)
    mask[0, 80:88] = True  # 8 of 908 pixels
    assert largest_components(mask).sum() == 900


def test_one_piece_and_an_empty_mask_stay_as_they_are():
    mask = np.zeros((10, 10), np.bool_)
    assert not largest_components(mask).any()
    mask[2, 2] = mask[3, 3] = True  # they touch at a corner
    assert np.array_equal(largest_components(mask), mask)
