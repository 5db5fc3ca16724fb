"""Captions whose subject is another thing, and that describe the object or only mention it."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.wrong_category import WrongCategory


def says(caption, category):
    return WrongCategory()(CheckedCaption(caption, category=category, synonyms=(category,)))


@pytest.mark.parametrize(
    ("category", "caption"),
    [
        ("cardigan", "A woman in a long grey cardigan with wooden buttons stirs a pot."),
        ("helmet", "The cyclist wears a glossy white helmet with red stripes."),
        ("fishing_rod", "An old man holds a long fishing rod bent by the pull of a fish."),
        ("giraffe", "Two visitors hold out branches and the giraffe curls its tongue around one."),
        ("cock", "The rooster's red comb flops to one side as he crows."),
    ],
)
def test_a_caption_that_describes_the_object_behind_another_subject_is_kept(category, caption):
    assert says(caption, category) is None


@pytest.mark.parametrize(
    ("category", "caption"),
    [
        ("basket", "A tabby cat lies curled up in a basket."),
        ("wineglass", "A woman holding a wineglass tilts her head back and laughs."),
        ("bat_(animal)", "A man swings a polished baseball bat at the ball."),
        ("person", "A white van is parked beside an old man."),
    ],
)
def test_a_caption_that_only_mentions_the_object_or_a_namesake_is_about_something_else(category, caption):
    assert says(caption, category) is not None
