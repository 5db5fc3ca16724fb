"""Talk that no phrase knows is caught by how it is worded; a detailed caption of an object is not."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.marker_leak import MarkerLeak
from capgen.pipeline.checks.meta_talk import MetaTalk
from capgen.pipeline.checks.wording.classes import CODES, from_readable, readable
from capgen.pipeline.checks.wording.net import features, kind_of, talk

LEAKS = (
    "A brown dog with a red collar lies on a rug, ringed by a thin cyan loop.",
    "A brown dog asleep on a step, the one the drawn contour follows.",
)
TALK = (
    "A brown dog with a red collar, captured beautifully by the photographer in this composition.",
    "As requested, the caption describes only the dog inside the marked region of the image.",
)
FINE = (
    "The dog has a short brown coat and a white patch on its chest. It appears to be resting on a rug.",
    "A brown dog with a red collar.",
)


def said(caption, category="dog"):
    return CheckedCaption(caption, "stop", category, (category,))


def test_names_colours_and_numbers_count_as_such_whatever_they_are():
    assert features(said("A red dog with 3 dots."))[1] == features(said("A blue dog with 7 dots."))[1]


def test_codes_can_be_read_and_written_back():
    codes = "".join(map(CODES.__getitem__, ("outlined", "in", "cyan", "by", "a", "reddish", "3", "dog", "quickly")))
    assert readable(codes) == "V in G by a C 0 x y"
    assert from_readable(readable(codes)) == codes


KINDS = {"giraffe": "n", "banana": "f", "cushion": "p", "kettle": "o", "zzz": "u", None: "u"}


@pytest.mark.parametrize(("category", "kind"), KINDS.items())
def test_animals_food_and_patterned_things_are_told_apart(category, kind):
    assert kind_of(category) == kind


@pytest.mark.parametrize("caption", LEAKS)
def test_marks_that_no_phrase_knows_are_told_by_the_wording(caption):
    found = talk(said(caption))
    assert found is not None
    assert found.leaks
    assert MarkerLeak()(said(caption))


@pytest.mark.parametrize("caption", TALK)
def test_talk_is_told_by_the_wording(caption):
    assert talk(said(caption)) is not None
    assert MetaTalk()(said(caption)) or MarkerLeak()(said(caption))


@pytest.mark.parametrize("caption", FINE)
def test_a_caption_of_the_object_is_none(caption):
    assert talk(said(caption)) is None
    assert MetaTalk()(said(caption)) is None
    assert MarkerLeak()(said(caption)) is None


def test_the_weights_can_be_left_out():
    assert MarkerLeak(weights=False)(said(LEAKS[0])) is None
