"""Of tracks that cover one object only the best is kept."""

import numpy as np
import pytest

from capgen import rle
from capgen.maskcaptioner.inference.overlap import without_duplicates


def square(x, side=10):
    mask = np.zeros((40, 60), dtype=bool)
    mask[5 : 5 + side, x : x + side] = True
    return {"size": [40, 60], "counts": rle.encode(mask)}


def box(x, side=10):
    return float(x), 5.0, float(side), float(side)


@pytest.mark.parametrize("shape", [square, box])
def test_the_better_of_two_that_cover_the_same_stays(shape):
    best, again, other = ({t: shape(x + 3 * t) for t in range(4)} for x in (2, 3, 30))
    assert without_duplicates([best, again, other], 0.7) == [0, 2]
    assert without_duplicates([best, again, other], 0.9) == [0, 1, 2]
    assert without_duplicates([best, again, other], 1.0) == [0, 1, 2]


@pytest.mark.parametrize("shape", [square, box])
def test_overlap_counts_over_all_frames_of_the_worse(shape):
    stays, passes = {t: shape(20) for t in range(4)}, {t: shape(20 - 10 * t if t < 2 else 0) for t in range(4)}
    assert without_duplicates([stays, passes], 0.5) == [0, 1]
    assert without_duplicates([{0: shape(20)}, {1: shape(20)}], 0.2) == [0, 1]


@pytest.mark.parametrize("shape", [square, box])
def test_a_piece_of_a_better_track_goes_and_a_worse_track_that_is_longer_stays(shape):
    whole, piece = {t: shape(20) for t in range(4)}, {0: shape(20)}
    assert without_duplicates([whole, piece], 0.7) == [0]
    assert without_duplicates([piece, whole], 0.7) == [0, 1]


def test_what_overlaps_a_duplicate_alone_stays():
    """Ten wide each: the second overlaps the first by 6 of 14, the third the second by as much, the first hardly."""
    first, second, third = ({0: square(x)} for x in (2, 6, 10))
    assert without_duplicates([first, second, third], 0.4) == [0, 2]


def test_without_tracks_there_is_nothing_to_compare():
    assert without_duplicates([], 0.5) == []
