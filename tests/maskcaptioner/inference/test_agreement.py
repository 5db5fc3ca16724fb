from __future__ import annotations

import pytest

from capgen.maskcaptioner.inference.agreement import named_instead

CLASSES = ["cup_(drinking)", "star", "hot_air_balloon", "balloon"]


@pytest.mark.parametrize(
    ("category", "caption", "named"),
    [
        ("star", "A small red cup.", "cup_(drinking)"),
        ("star", "A red star beside a cup.", None),
        ("cup_(drinking)", "A Cup that moves left.", None),
        ("star", "A hot air balloon.", "hot_air_balloon"),
        ("star", "Something red.", None),
        ("star", "A starling cupboard.", None),
        (None, "A cup.", None),
        ("star", None, None),
    ],
)
def test_a_caption_of_another_class_is_told_from_one_that_names_its_own_or_none(category, caption, named):
    assert named_instead(category, caption, CLASSES) == named
