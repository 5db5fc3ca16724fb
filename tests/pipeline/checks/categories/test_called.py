"""The table of what else objects are called: names of LVIS, words that captions use, and no other thing's."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.called import called
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.categories.wrong_category import WrongCategory

CATEGORIES = sorted(name for name in nouns().categories if called(name))


def test_it_is_about_categories_of_lvis_and_has_words_in_the_singular_and_small_letters():
    assert len(CATEGORIES) > 600
    words = [word for name in CATEGORIES for word in called(name)]
    assert all(word == word.lower() and word.replace(" ", "").replace("-", "").isalnum() for word in words)
    assert called("no such category") == frozenset()


@pytest.mark.parametrize("category", CATEGORIES[::25])
def test_a_caption_may_speak_of_each_of_its_words(category):
    for word in called(category):
        article = "An" if word[0] in "aeiou" else "A"
        assert WrongCategory()(CheckedCaption(f"{article} {word} is on the left.", category=category)) is None, word


def test_words_are_for_their_category_alone():
    assert "cassette" in called("videotape")
    assert WrongCategory()(CheckedCaption("A cassette is on the left.", category="giraffe")) is not None
