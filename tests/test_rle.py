import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

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


def damaged():
    """Compressed counts that pycocotools would follow beyond its memory, or for ever."""
    whole = coco.frPyObjects({"size": list(SIZE), "counts": [3, 5, 40]}, *SIZE)["counts"]
    return {
        "nothing": b"",
        "cut": whole[:-1] + bytes([whole[-1] + 32]),
        "short": whole[:-1],
        "other characters": whole + b"\xff",
        "blank": whole + b" ",
        "negative": b"O" + whole,  # -1
        "negative that adds up": _code([3, -5, 50]),
        "huge": b"oooooooooooo0",
    }


def _code(runs):
    """COCO's compressed form of the first three runs, which are no differences yet."""
    out = bytearray()
    for run in runs:
        rest, more = run, True
        while more:
            group, rest = rest & 31, rest >> 5
            more = not ((rest == 0 and not group & 16) or (rest == -1 and group & 16))
            out.append(48 + group + 32 * more)
    return bytes(out)


@pytest.mark.parametrize("kind", damaged())
def test_damaged_counts_are_found_one_by_one_and_among_many(kind):
    bad = damaged()[kind]
    good = rle.encode(bitmap((0, 0), (3, 4))).encode()
    with pytest.raises(rle.MaskFault):
        rle.compressed(bad, SIZE)
    covered = rle.covered_pixels([good, bad, good])
    assert covered.tolist()[::2] == [48, 48]
    assert covered[1] != 48


@given(st.lists(st.lists(st.booleans(), min_size=48, max_size=48), min_size=1, max_size=6))
def test_sound_counts_cover_their_picture(pixels):
    counts = [rle.encode(np.array(one).reshape(SIZE)).encode() for one in pixels]
    assert rle.covered_pixels(counts).tolist() == [48] * len(counts)
    assert [rle.compressed(one, SIZE) for one in counts] == counts


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20))
def test_listed_and_compressed_counts_are_one_mask(runs):
    runs = [*runs, 48 - sum(runs)]
    if runs[-1] < 0:
        with pytest.raises(rle.MaskFault):
            rle.compressed(runs, SIZE)
        return
    flat = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool).reshape(SIZE[::-1]).T
    assert rle.compressed(runs, SIZE).decode() == rle.encode(flat)


@pytest.mark.parametrize("counts", [[48.5], ["48"], [-1, 49], [100, -52], [1 << 70], []])
def test_listed_counts_that_cannot_be_are_refused(counts):
    with pytest.raises(rle.MaskFault):
        rle.compressed(counts, SIZE)


@pytest.mark.parametrize("far", [1e8, -1e8, 1e18, float("inf"), float("nan")])
def test_a_far_vertex_is_refused_before_anything_is_drawn(far):
    with pytest.raises(rle.MaskFault, match="far outside the picture"):
        rle.usable_polygons([[0, 0, 5, 0, far, 5]], SIZE)


def test_polygons_that_cannot_be_drawn_are_left_out_and_the_rest_is_one_mask():
    kept = rle.usable_polygons(
        [[1, 1, 3, 1], [1, 1, 3, 1, 3], [0, 0, 4, 0, 4, 3, 0, 3], [5, 3, 8, 3, 8, 6, 5, 6]], SIZE
    )
    assert len(kept) == 2
    counts, nothing = rle.rasterise([kept, []], SIZE)
    assert rle.area(counts.decode(), SIZE) == 12 + 9
    assert nothing == rle.empty(SIZE)
    assert rle.area(nothing.decode(), SIZE) == 0


def test_an_outline_without_end_is_refused():
    size = (1000, 1000)
    with pytest.raises(rle.MaskFault, match="too long"):
        rle.usable_polygons([[0, 0, 8000, 8000] * 1000], size)


def test_more_masks_than_a_byte_counts_are_measured():
    counts = [rle.encode(bitmap((0, 0), (0, n % 8))).encode() for n in range(600)]
    assert rle.areas(counts, SIZE).tolist() == [1 if n % 8 == 0 else 2 for n in range(600)]
    assert rle.areas([], SIZE).shape == (0,)
