from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.rendering.highlights.none import Nothing
from tests.pipeline.rendering.highlights.marks import marked, rectangle


def test_the_frame_is_shown_as_it_is():
    frame = np.random.default_rng(0).integers(0, 255, (40, 80, 3), dtype=np.uint8)
    shown = Nothing()(marked(rectangle(40, 80, 10, 20, 30, 40), frame)).pixels
    assert (shown == frame).all()


@pytest.mark.parametrize("name", HIGHLIGHTS)
def test_every_registered_highlight_is_built_without_options_and_travels(name):
    """Frozen, picklable, equal after the journey, and it never writes to the frame that all objects share."""
    highlight = HIGHLIGHTS.load(name)()
    assert pickle.loads(pickle.dumps(highlight)) == highlight
    assert dataclasses.is_dataclass(highlight)
    frame = marked(rectangle(40, 80, 10, 20, 30, 40))
    result = highlight(frame)
    assert result.pixels.dtype == np.uint8
    assert result.pixels.shape[2] == 3
    assert (frame.source == 100).all()
