from __future__ import annotations

import numpy as np
import pytest
import torch

from capgen.maskcaptioner.data.augment import Geometry, TrainingCanvas, canvas_of, choose_geometry, fit
from capgen.maskcaptioner.data.collate import collate
from capgen.maskcaptioner.data.sizing import largest_size, model_size, prepare
from capgen.maskcaptioner.data.training_clip import TrainClip
from capgen.maskcaptioner.settings import AugmentSettings

CANVAS = TrainingCanvas(48, 64)
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


PICTURES = {
    "fixed": {"height": 48, "width": 64},
    "sides": {"height": None, "width": None, "short_side": 48, "long_side": 64},
    "short side alone": {"height": None, "width": None, "short_side": 48, "long_side": None},
}


def picture_of(kind):
    return {"short_side": 480, "long_side": None, "divisor": 32, "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]} | (
        PICTURES[kind]
    )


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("source", [(90, 120), (120, 90), (100, 100), (48, 64), (20, 30), (30, 200), (200, 30)])
def test_training_at_scale_1_and_prediction_see_the_same_pixels(kind, source):
    picture = picture_of(kind)
    frame = np.random.default_rng(0).integers(0, 255, (*source, 3), np.uint8)
    canvas = canvas_of(AugmentSettings(), picture)
    geometry = fit(canvas, source)
    assert geometry.valid == geometry.scaled == model_size(source, picture)
    clip = TrainClip(
        key="a",
        frames=(0,),
        pixels_THWC=geometry.picture(frame)[None],
        masks_NTHW=None,
        boxes_NT4=np.zeros((0, 1, 4), np.float32),
        visible_NT=np.zeros((0, 1), np.bool_),
        categories=(),
        captions=(),
    )
    trained = collate([clip], {}, picture["divisor"]).pixels(picture["mean"], picture["std"], "cpu")
    predicted, placement = prepare([frame], picture)
    assert placement.valid == geometry.valid
    torch.testing.assert_close(trained, predicted, rtol=0, atol=1e-6)


def test_a_portrait_keeps_the_short_side_that_the_model_has():
    free = picture_of("sides")
    canvas = canvas_of(AugmentSettings(), free)
    assert canvas.scaled((640, 480), 1.0) == model_size((640, 480), free) == (64, 48)
    assert canvas.scaled((480, 640), 1.0) == model_size((480, 640), free) == (48, 64)
    assert canvas.scaled((96, 48), 1.0) == model_size((96, 48), free) == (64, 32)
    assert canvas_of(AugmentSettings(), picture_of("fixed")).scaled((90, 40), 1.0) == (48, 64)


@pytest.mark.parametrize("kind", PICTURES)
@pytest.mark.parametrize("source", [(90, 120), (120, 90), (100, 100)])
def test_what_is_cut_off_is_larger_than_the_model_sees(kind, source):
    canvas = canvas_of(AugmentSettings(), picture_of(kind))
    grown = fit(canvas, source, scale=3.0)
    seen = model_size(source, picture_of(kind))
    assert all(kept >= least for kept, least in zip(grown.valid, seen, strict=True))
    assert grown.valid == largest_size(source, picture_of(kind))


def test_the_settings_own_canvas_is_a_box_into_which_pictures_fit():
    assert canvas_of(AugmentSettings(height=32, width=32), picture_of("fixed")) == TrainingCanvas(32, 32)
    assert canvas_of(AugmentSettings(height=32), picture_of("fixed")) == TrainingCanvas(32, 64)
    assert canvas_of(AugmentSettings(height=32), picture_of("short side alone")) == TrainingCanvas(32, 32)
    assert TrainingCanvas(32, 32).scaled((640, 480), 1.0) == (32, 24)
