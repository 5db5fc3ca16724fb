from __future__ import annotations

import numpy as np
import pytest

from capgen.pipeline.rendering.highlights.tint import Tint
from tests.pipeline.rendering.highlights.marks import marked, rectangle


def test_the_object_is_mixed_with_the_colour_and_the_rest_is_untouched():
    bitmap = rectangle(40, 80, 10, 20, 30, 40)
    shown = Tint(color="red", alpha=0.4)(marked(bitmap)).pixels
    assert (shown[~bitmap] == 100).all()
    assert (np.abs(shown[bitmap].astype(int) - [162, 60, 60]) <= 1).all()


def test_what_is_seen_through_the_veil_keeps_its_texture():
    frame = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    bitmap = rectangle(40, 80, 10, 20, 30, 40)
    shown = Tint(color="red", alpha=0.4)(marked(bitmap, frame)).pixels
    assert np.corrcoef(shown[bitmap][:, 1], frame[bitmap][:, 1])[0, 1] > 0.99


def test_an_object_is_not_tinted_with_its_own_colour():
    frame = np.full((40, 80, 3), 100, dtype=np.uint8)
    bitmap = rectangle(40, 80, 10, 20, 30, 40)
    frame[bitmap] = (255, 0, 0)
    assert Tint()(marked(bitmap, frame)).color != "red"


@pytest.mark.parametrize("alpha", [0, 1.5])
def test_a_veil_that_shows_nothing_is_refused(alpha):
    with pytest.raises(ValueError, match="alpha"):
        Tint(alpha=alpha)
