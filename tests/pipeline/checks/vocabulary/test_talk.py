"""Talk that no phrase knows is caught by the weight of its words; a detailed caption of an object is not."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.meta_talk import MetaTalk
from capgen.pipeline.checks.vocabulary.talk import features, talk

TALK = (
    "The dog that was outlined here is what should be described in this image.",
    "As requested, the caption describes only the dog inside the marked region of the image.",
)
FINE = (
    "The dog has a short brown coat and a white patch on its chest. It appears to be resting on a rug.",
    "A brown dog with a red collar.",
)


def said(caption):
    return CheckedCaption(caption, "stop", "dog", ("dog",))


def test_names_colours_and_numbers_count_as_such_whatever_they_are():
    assert features(said("A red dog with 3 dots.")) == features(said("A blue dog with 7 dots."))
    assert ("<C>", "<N>") in features(said("A red dog with 3 dots."))[1]


@pytest.mark.parametrize("caption", TALK)
def test_talk_is_told_by_the_words_that_weigh_most(caption):
    assert talk(said(caption))


@pytest.mark.parametrize("caption", FINE)
def test_a_caption_of_the_object_is_none(caption):
    assert talk(said(caption)) is None
    assert MetaTalk()(said(caption)) is None
