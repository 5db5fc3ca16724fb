"""Pictures of the page outline objects and leave the colours inside them alone."""

import numpy as np
from pycocotools import mask as coco

from capgen.evaluation.reading.tracks import Detection
from capgen.evaluation.reporting.page import _FOUND, _TRUTH, _outline


def test_outlines_leave_the_pixels_inside_masks_as_they_are_and_have_a_dark_and_a_light_edge():
    source = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    bitmap = np.zeros((240, 320), np.uint8, order="F")
    bitmap[40:200, 50:250] = 1
    drawn = source.copy()
    _outline(
        drawn, [(Detection(frame=0, track=1, category=1, score=1.0, caption="", mask=coco.encode(bitmap)), _FOUND)]
    )
    inside = np.s_[46:194, 56:244]
    assert np.array_equal(drawn[inside], source[inside])
    across = drawn[120, 45:55].astype(int)
    assert (np.abs(across - _FOUND).max(1) < 12).any()
    assert (across.max(1) < 80).any()
    assert (across.min(1) > 225).any()


def test_a_prediction_that_equals_the_truth_hides_none_of_the_two():
    drawn = np.full((100, 200, 3), 128, np.uint8)
    one = Detection(frame=0, track=1, category=1, score=1.0, caption="", box=(20.0, 20.0, 150.0, 60.0))
    _outline(drawn, [(one, _TRUTH), (one, _FOUND)])
    pixels = drawn.reshape(-1, 3).astype(int)
    seen = [int((np.abs(pixels - colour).max(1) < 12).sum()) for colour in (_TRUTH, _FOUND)]
    assert min(seen) > 0.3 * max(seen) > 0
