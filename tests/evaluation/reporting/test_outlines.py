"""Pictures of the page outline objects and leave the colours inside them alone."""

import numpy as np
from pycocotools import mask as coco

from capgen.evaluation.reading.tracks import Detection
from capgen.evaluation.reporting.page import _FOUND, _outline


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
