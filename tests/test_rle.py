import numpy as np
import pytest

from capgen import rle

SIZE = (6, 8)


def bitmap(*pixels):
    canvas = np.zeros(SIZE, np.bool_)
    for y, x in pixels:
        canvas[y, x] = True
    return canvas


def test_a_mask_comes_back_as_it_went_in():
    rng = np.random.default_rng(0)
    for _ in range(20):
        canvas = rng.random(SIZE) < 0.4
        assert np.array_equal(rle.decode(rle.encode(canvas), SIZE), canvas)


def test_box_and_area_are_those_of_the_pixels():
    counts = rle.encode(bitmap((1, 2), (4, 5)))
    assert rle.box(counts, SIZE) == (2, 1, 4, 4)
    assert rle.area(counts, SIZE) == 2


def test_an_empty_mask_overlaps_nothing_itself_included():
    empty, dot = rle.encode(bitmap()), rle.encode(bitmap((0, 0)))
    assert rle.iou([empty, dot], [empty, dot], SIZE).tolist() == [[0, 0], [0, 1]]
    assert rle.iou([], [dot], SIZE).shape == (0, 1)


def test_overlap_is_intersection_over_union():
    a, b = rle.encode(bitmap((0, 0), (0, 1))), rle.encode(bitmap((0, 1), (0, 2)))
    assert rle.iou([a], [b], SIZE)[0, 0] == pytest.approx(1 / 3)
