"""Plain sentences, of which no check has to look for signs, numbers or a second sentence."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.vocabulary.plain_form import is_plain_sentence, plain, plain_text, watch


@pytest.mark.parametrize("caption", ["A red mug on a table.", "A dog's collar, blue-grey and worn."])
def test_letters_commas_apostrophes_hyphens_and_a_full_stop_are_a_plain_sentence(caption):
    assert is_plain_sentence(caption)


@pytest.mark.parametrize(
    "caption",
    [
        "A mug",
        "A mug. A cup.",
        "A mug!",
        "A mug, 7 cm high.",
        "A caf\u00e9.",
        'A "mug".',
        "A\nmug.",
        "A mug...",
        "",
        "<b>.",
    ],
)
def test_anything_else_is_none(caption):
    assert not is_plain_sentence(caption)


@pytest.mark.parametrize(
    ("caption", "text"),
    [
        ("A red mug, half-full.", " . a red mug half full . "),
        ("Two mugs! One's blue", " . two mugs . one's blue . "),
        ("'Tis the dogs' bowl...", " . tis the dogs bowl . "),
        ("A caf\u00e9\nsign\nIn Paris", " . a caf\u00e9 sign . in paris . "),
        ("", " . "),
    ],
)
def test_words_stand_between_blanks_and_sentences_between_full_stops(caption, text):
    assert plain_text(caption) == plain(caption).text == text
    assert plain(caption).words == set(text.split())


def test_a_list_that_is_watched_for_is_found_in_every_caption_that_has_a_word_of_it():
    plain("A green mug.")  # known before the lists are
    green, long = watch(frozenset({"green", "red"})), watch(lambda word: len(word) > 8)
    assert green != long
    assert plain("A green mug.").lists & (green | long) == green
    assert plain("A photograph of a red mug.").lists & (green | long) == green | long
    assert not plain("A mug.").lists & (green | long)
    assert not plain('A mug that reads "green".').lists & green
