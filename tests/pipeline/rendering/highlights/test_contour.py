from __future__ import annotations

import cv2
import numpy as np

from capgen.pipeline.rendering.highlights.box import BoxOutline
from capgen.pipeline.rendering.highlights.colour import PALETTE
from capgen.pipeline.rendering.highlights.contour import Contour
from tests.pipeline.rendering.highlights.marks import marked, rectangle, where

RED = PALETTE["red"]


def test_the_line_follows_the_mask_and_its_holes_and_hides_none_of_it():
    bitmap = rectangle(48, 80, 10, 20, 38, 60)
    bitmap[20:28, 34:46] = False
    shown = Contour(color="red", thickness=1)(marked(bitmap)).pixels
    near = cv2.dilate(bitmap.view(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))).view(bool)
    assert where(shown, RED) == set(zip(*np.nonzero(near & ~bitmap), strict=True))
    assert (shown[~near | bitmap] == 100).all()


def test_it_tells_the_object_from_its_box():
    """A diagonal object: the far corners of its box stay free."""
    bitmap = np.eye(48, dtype=bool)
    shown = Contour(color="red")(marked(bitmap)).pixels
    assert (shown[:12, -12:] == 100).all()
    assert where(shown, RED)


def test_highlights_can_follow_each_other():
    frame = marked(rectangle(40, 80, 10, 20, 30, 40))
    both = Contour(color="red", thickness=1)(BoxOutline(color="green", thickness=1)(frame)).pixels
    assert where(both, RED)
    assert where(both, PALETTE["green"])


def test_a_later_highlight_leaves_the_earlier_picture_alone():
    boxed = BoxOutline(color="green", thickness=1)(marked(rectangle(40, 80, 10, 20, 30, 40)))
    before = boxed.pixels.copy()
    Contour(color="red")(boxed)
    assert (boxed.pixels == before).all()


def test_an_object_that_fills_the_picture_is_not_an_error():
    shown = Contour()(marked(np.ones((32, 32), dtype=bool))).pixels
    assert (shown == 100).all()
