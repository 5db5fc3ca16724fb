"""English words are known with their inflections and as compounds; words of other languages and garbage are not."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.vocabulary.english_words import is_english, strange_words

ENGLISH = "dog dogs the leaning knives women's muddiest smartphone hoodies treehouse unopened isn't greenish".split()  # noqa: SIM905
STRANGE = "hund kakku päällä deewar abajo wth annd elettrico".split()  # noqa: SIM905


@pytest.mark.parametrize("word", ENGLISH)
def test_words_inflections_and_compounds_are_english(word):
    assert is_english(word)


@pytest.mark.parametrize("word", STRANGE)
def test_other_words_are_strange_each_time_they_are_asked_for(word):
    assert not is_english(word)
    assert strange_words(frozenset({"dog", word, "12", "."})) == [word]


def test_a_word_of_100_kb_costs_no_time():
    assert not is_english("ab" * 50_000)
