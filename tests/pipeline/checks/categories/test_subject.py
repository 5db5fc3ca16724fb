"""The first noun phrase of a sentence is found, with what it is made of, and the noun at its head."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.categories.grammar import COMMA
from capgen.pipeline.checks.categories.nouns import nouns
from capgen.pipeline.checks.categories.subject import subjects

PAIRS = frozenset({"pair", "pile"})
HEADS = {
    "a plate next to a fork": "plate",
    "a small brown dog with a red collar": "dog",
    "a pair of old boots by the door": "boot",
    "a kitten bats at a ball of yarn": "kitten",
    "two hands hold a cup": "hand",
    "a fishing boat with peeling paint": "boat",
    "a wall mounted television showing a map": "television",
    "a three tier wedding cake with roses": "cake",
    "there is a horse in the field": "horse",
    "a squirrel upside down on a feeder": "squirrel",
    "two brown cows graze side by side": "cow",
    "a silver lighter flips open": "lighter",
    "a narrow rowboat painted green drifts away": "rowboat",
    "a potted fern hanging from a hook": "fern",
    "a price tag strung from the handle": "tag",
    "a black and silver hair dryer with a cord": "dryer",
    "a taxi with its light off": "taxi",
    "a green sign that reads": "sign",
    "a metal trash can overflowing with cups": "can",
    "a ball 20 cm wide": "ball",
    f"a chrome toaster {COMMA} crumbs around its base": "toaster",
    f"a long {COMMA} narrow boat": "boat",
}


def found(sentence):
    return next(subjects(f". {sentence} .".split(), nouns(), PAIRS, frozenset({"bowl"})))


@pytest.mark.parametrize(("sentence", "head"), HEADS.items())
def test_the_head_of_the_first_noun_phrase_is_found(sentence, head):
    assert found(sentence).head[-1] == head


def test_what_a_thing_holds_belongs_to_the_subject():
    words = [word for phrase, _ in found("a bowl with soup on a table").phrases for word in phrase]
    assert "soup" in words
    assert "table" not in words


def test_the_subject_of_a_sentence_that_begins_elsewhere_is_found_or_known_not_to_be():
    assert found("in short grass stands an old tree").head[-1] == "tree"
    assert found("sitting on a branch is a bird").head[-1] == "bird"
    assert not found("next to the sink plates are stacked").first
