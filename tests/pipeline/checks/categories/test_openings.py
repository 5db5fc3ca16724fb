"""Where the main clause of a sentence begins, behind what says where, how or when."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.base import CheckedCaption
from capgen.pipeline.checks.categories.grammar import COMMA
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.categories.openings import main_clause
from capgen.pipeline.checks.categories.wrong_category import WrongCategory


@pytest.mark.parametrize(
    ("sentence", "subject"),
    [
        ("on the wooden desk sits an old typewriter", "an"),
        ("mounted above the fireplace is a television", "a"),
        ("draped over a branch , the leopard lets one paw dangle", "the"),
        ("on top of the chimney a stork stands on one leg", "a"),
        ("listening intently , he wears glasses", "he"),
        ("its ears pricked , the small dog looks up", "the"),
    ],
)
def test_the_subject_is_found_behind_a_place_a_manner_and_a_verb(sentence, subject):
    words, begins = main_clause([COMMA if word == "," else word for word in sentence.split()], nouns())
    assert begins
    assert words[0] == subject or words[0] == sentence.partition(f" {subject} ")[2].split()[0]


@pytest.mark.parametrize("sentence", ["a red bus on a street", "painted tiles cover the wall", "two cows graze"])
def test_a_sentence_that_begins_with_its_subject_is_left_as_it_is(sentence):
    assert main_clause(sentence.split(), nouns()) == (sentence.split(), True)


@pytest.mark.parametrize(
    ("category", "caption", "kept"),
    [
        ("zebra", "On the wooden desk sits an old black typewriter.", False),
        ("typewriter", "On the wooden desk sits an old black typewriter.", True),
        ("carrot", "He wears a navy suit and adjusts his cufflinks.", False),
        ("suit_(clothing)", "He wears a navy suit and adjusts his cufflinks.", True),
        ("horse", "He stands in the snow with his ears back.", True),
    ],
)
def test_such_sentences_are_captions_of_their_subject(category, caption, kept):
    assert (WrongCategory()(CheckedCaption(caption, category=category, synonyms=(category,))) is None) == kept
