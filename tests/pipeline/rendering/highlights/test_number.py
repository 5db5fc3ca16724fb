from dataclasses import replace

import numpy as np
import pytest

from capgen.errors import UserError
from capgen.pipeline.rendering.highlights.box import BoxOutline
from capgen.pipeline.rendering.highlights.colour import parse
from capgen.pipeline.rendering.highlights.number import NumberTag
from capgen.pipeline.rendering.prompt import load_prompt, with_marks
from tests.pipeline.rendering.highlights.marks import marked


def rectangle(top: int, left: int) -> np.ndarray:
    bitmap = np.zeros((200, 300), dtype=bool)
    bitmap[top : top + 40, left : left + 60] = True
    return bitmap


def numbered(bitmap: np.ndarray, number: int | None):
    return replace(marked(bitmap, patch=1, pixels=300 * 200), number=number)


@pytest.mark.parametrize(("top", "left"), [(80, 100), (0, 0), (160, 240)])
def test_the_number_stands_at_the_boxs_corner_inside_the_picture_in_the_marks_colour(top, left):
    frame = numbered(rectangle(top, left), 12)
    boxed = BoxOutline(color="cyan")(frame)
    shown = NumberTag()(boxed)
    changed = np.argwhere((shown.pixels != boxed.pixels).any(-1))
    assert len(changed)
    height, width = shown.pixels.shape[:2]
    (high, _), (low, _) = changed.min(0), changed.max(0)
    assert low - high <= 13
    assert abs(high - max(0, top - 13)) <= 2
    label = shown.pixels[changed[:, 0], changed[:, 1]]
    assert (label == parse("cyan")).all(-1).mean() > 0.4
    assert (height, width) == boxed.pixels.shape[:2]


def test_a_label_covers_no_other_label():
    """Two boxes whose upper left corners are the same: the second label stands above the first."""
    first = NumberTag()(BoxOutline(color="cyan")(numbered(rectangle(80, 100), 1)))
    second = NumberTag()(replace(first, number=2))
    (_, top, _, bottom), (_, above, _, under) = second.labels
    assert (above, under) == (top - (bottom - top), top)


def test_two_numbers_look_different_and_an_object_without_one_is_refused():
    frame = numbered(rectangle(80, 100), 1)
    other = numbered(rectangle(80, 100), 2)
    assert (NumberTag()(frame).pixels != NumberTag()(other).pixels).any()
    with pytest.raises(ValueError, match="no number"):
        NumberTag()(numbered(rectangle(80, 100), None))


def test_a_prompt_about_one_object_takes_no_numbers_and_one_about_several_no_close_ups():
    with pytest.raises(UserError, match="number needs numbers"):
        with_marks(load_prompt("marked_v1", category=True), "box+number")
    with pytest.raises(UserError, match="crop shows one object alone"):
        with_marks(load_prompt("numbered_v1", category=True), "crop+number")
