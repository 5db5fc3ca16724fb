"""Places in numbers are dropped; numbers that belong to the object are kept."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.coordinates import LeakedCoordinates

PLACES = """
The kettle located from 84,310 to 560,498 is red.
A red kettle, 455 612 530 648, on the hob.
A crab at [0.12, 0.33, 0.48, 0.71] on the sand.
A crab at (120, 300, 480, 710) on the sand.
A crab, left 0.12, top 0.33, on the sand.
A dog <box> on a lawn.
A dog <box>(12,34),(56,78)</box> on a lawn.
A dog<box>120 34 560 780</box>.
A dog near (120, 45) on a lawn.
A dog at (0.25, 0.4) on a lawn.
A dog with bbox_2d 12 34 56 78.
<loc_123><loc_45><loc_500><loc_600> a dog on a lawn
<|box_start|>(1,2),(3,4)<|box_end|> A dog on a lawn.
A dog at coordinates 12 34 56 78 on a lawn.
A dog located at 340, 220, 410, 300 on a lawn.
A dog about 120 pixels wide on a lawn.
A dog, 34px tall, on a lawn.
A dog with x1=12 and y1=40 on a lawn.
A dog at x: 120, y: 44.
A dog 0.12, 0.34, 0.55, 0.80 on a lawn.
A dog on a lawn, 45% from the left.
A dog on a lawn <12><34><56><78>.
A dog on a lawn [[12, 34, 56, 78]].
<point x="12.5" y="40.1" alt="dog">dog</point>
""".strip().splitlines()

HONEST = """
A page with the equations x = 5 and (3, 14), (6, 28).
A hiking map marked at grid squares B4 and C7.
A ruler with the numbers 100 200 300 400 along its edge.
A red jersey with the number 7 on its back.
A wall clock that shows 10:10.
A digital watch showing 12:34:56.
A scoreboard that shows 98-102.
A phone showing (555) 123-4567 on its screen.
A plate that reads 7 KLM 482.
A runner's bib with the number 1,204.
A ruler marked from 1 to 30 centimeters.
A pair of dice showing 3 and 4.
A box of about 30 x 20 cm.
A speed sign that says 50 km/h.
A sign that reads "(12, 34)" in white.
An elevator panel with buttons 1, 2, 3, 4, 5 and 6.
A 12-megapixel camera with a silver lens.
A toy figure of 8-bit pixel art.
A 100% cotton label on a shirt.
A price tag of 4.99 beside a melon.
A car with two doors (one open) on the left side.
A cake with the numbers 3 and 0 at the top.
A bus with 22 on its front and 1204 on its side.
A bottle of 0.5 liters at the left of a plate.
A jersey with 10 and a jersey with 9 hang at the right.
""".strip().splitlines()


@pytest.mark.parametrize("caption", PLACES)
def test_a_place_in_numbers_is_dropped(caption):
    assert "gives a place in numbers" in (LeakedCoordinates()(CheckedCaption(caption)) or "")


@pytest.mark.parametrize("caption", HONEST)
def test_numbers_of_the_object_are_kept(caption):
    assert LeakedCoordinates()(CheckedCaption(caption)) is None
