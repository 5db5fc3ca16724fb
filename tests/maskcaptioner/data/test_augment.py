from __future__ import annotations

import numpy as np
import pytest

from capgen.maskcaptioner.data.augment import Canvas, Geometry, canvas_of, choose_geometry
from capgen.maskcaptioner.settings import AugmentSettings

CANVAS = Canvas(48, 64)
SETTINGS = AugmentSettings(scale=(0.3, 2.0))


def many(settings, captions, canvas=CANVAS, source=(90, 120)):
    return [choose_geometry(settings, canvas, source, captions, np.random.default_rng(i)) for i in range(200)]


def relative(geometry: Geometry) -> float:
    return geometry.scaled[0] / CANVAS.height


@pytest.mark.parametrize("flip", [False, True])
def test_masks_boxes_and_pixels_go_the_same_way(flip):
    picture = np.zeros((90, 120, 3), np.uint8)
    picture[30:60, 20:50] = 255
    geometry = Geometry((90, 120), (90, 120), top=10, left=5, valid=(48, 64), flip=flip)
    mask = geometry.mask(picture[..., 0] > 0)
    assert np.array_equal(geometry.picture(picture)[..., 0] > 0, mask)
    x, y, w, h = geometry.box((20.0, 30.0, 30.0, 30.0))
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    assert (columns[0], rows[0], len(columns), len(rows)) == (x, y, w, h)


def test_the_crop_lies_inside_the_scaled_picture_and_jitter_uses_its_range():
    found = many(SETTINGS, [])
    for g in found:
        assert g.valid[0] <= CANVAS.height
        assert g.valid[1] <= CANVAS.width
        assert g.top + g.valid[0] <= g.scaled[0]
        assert g.left + g.valid[1] <= g.scaled[1]
    scales = [relative(g) for g in found]
    assert min(scales) < 0.5
    assert max(scales) > 1.8
    assert {g.flip for g in found} == {False, True}


def test_a_caption_that_cannot_be_mirrored_is_never_flipped():
    assert not any(g.flip for g in many(SETTINGS, ["A red cup.", "A sign that says stop."]))


def test_size_words_bound_the_scale_only_where_sizes_are_the_pictures():
    own = AugmentSettings(scale=(0.3, 2.0), sizes="picture", size_slack=0.1)
    assert all(0.88 < relative(g) < 1.12 for g in many(own, ["A small red cup."]))
    assert max(relative(g) for g in many(own, ["A red cup."])) > 1.8
    assert max(relative(g) for g in many(SETTINGS, ["A small red cup."])) > 1.8


def test_nothing_is_cut_off_where_a_caption_names_a_place():
    for g in many(SETTINGS, ["A cup in the corner of the picture."]):
        assert g.valid == g.scaled


def test_a_model_of_one_size_sees_stretched_pictures_as_at_inference():
    fixed = {"height": 48, "width": 64, "short_side": 480, "long_side": None}
    canvas = canvas_of(AugmentSettings(), fixed)
    assert canvas.scaled((90, 40), 1.0) == (48, 64)
    free = fixed | {"height": None, "width": None, "short_side": 48, "long_side": 64}
    assert canvas_of(AugmentSettings(), free).scaled((96, 48), 1.0) == (48, 24)
    assert canvas_of(AugmentSettings(height=32, width=32), fixed) == Canvas(32, 32)
