from __future__ import annotations

import numpy as np
import pytest

from capgen.pipeline.rendering.highlights.spotlight import Spotlight
from tests.pipeline.rendering.highlights.marks import marked, rectangle


def test_the_object_keeps_its_pixels_and_the_background_is_dimmed_and_softened():
    frame = np.random.default_rng(0).integers(60, 255, (48, 80, 3), dtype=np.uint8)
    bitmap = rectangle(48, 80, 10, 20, 30, 40)
    shown = Spotlight(dim=0.5, soften=8)(marked(bitmap, frame)).pixels
    assert (shown[bitmap] == frame[bitmap]).all()
    background, original = shown[~bitmap].astype(float), frame[~bitmap].astype(float)
    assert abs(background.mean() / original.mean() - 0.5) < 0.05
    assert background.std() < 0.25 * original.std()


def test_softening_does_not_move_light():
    """A bright half stays on its side."""
    frame = np.zeros((48, 80, 3), dtype=np.uint8)
    frame[:, 40:] = 200
    shown = Spotlight(dim=0.5)(marked(rectangle(48, 80, 0, 0, 4, 4), frame)).pixels
    assert (shown[8:, :32] == 0).all()
    assert (shown[8:, 48:] == 100).all()


@pytest.mark.parametrize("options", [{"dim": 1}, {"dim": -0.1}, {"soften": 0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError):
        Spotlight(**options)
