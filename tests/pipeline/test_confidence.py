"""A caption's confidence is that of its content words, whatever the tokenizer cuts them into."""

import math

import pytest

from capgen.pipeline.confidence import confidence, content_words

TEXT = "A large red fire hydrant."


def test_function_words_the_opening_and_punctuation_are_left_out():
    tokens = [("A", -9.0), (" large", -8.0), (" red", -0.5), (" fire", -0.1), (" hydrant", -0.3), (".", -7.0), ("", -6)]
    found = confidence(tokens, TEXT)
    assert found.least == -0.5
    assert found.mean == pytest.approx(-0.3, abs=1e-4)


@pytest.mark.parametrize(
    "tokens",
    [
        [("A", -9.0), (" large", -8.0), (" r", -0.2), ("ed", -0.3), (" fire", -0.1), (" hyd", -0.1), ("rant.", -0.2)],
        [("A", -9.0), ("large", -8.0), ("red", -0.5), ("fire", -0.1), ("hydrant", -0.3), (".", -7.0), ("</s>", -1.0)],
        [("A large", -9.0), (" red", -0.5), (" fire", -0.1), (" ", 0.0), ("hydrant", -0.3), (".", -7.0)],
    ],
)
def test_pieces_of_words_blanks_and_end_tokens_change_nothing(tokens):
    found = confidence(tokens, TEXT)
    assert (found.least, found.mean) == (-0.5, pytest.approx(-0.3, abs=1e-4))


def test_a_character_in_several_tokens_counts_once_it_is_whole():
    tokens = [("A", 0.0), (" red", 0.0), (" cr", -0.1), ("�", -0.2), ("è", -0.1), ("me", -0.1), (".", 0.0)]
    assert confidence(tokens, "A red crème.").least == pytest.approx(-0.5, abs=1e-4)


def test_only_words_after_the_reasoning_count():
    text = "<think>It may be blue.</think> A large red cup."
    pieces = ["<think>", "It", " may", " be", " blue", ".", "</think>", " A", " large", " red", " cup", "."]
    values = [0, -9, -9, -9, -9, 0, 0, 0, -9, -0.25, -0.5, 0]
    assert confidence(zip(pieces, values, strict=True), text, "A large red cup.").least == -0.5


def test_a_caption_of_one_content_word_has_that_ones_confidence():
    assert confidence([("A", -3.0), (" dog", -0.75), (".", 0.0)], "A dog.").least == -0.75


@pytest.mark.parametrize(
    ("tokens", "text"),
    [
        ([], "A dog."),
        ([("A", -1.0), (" cat", -1.0), (".", -1.0)], "A dog."),
        ([("A", -1.0)], "A dog on a mat."),
        ([("A", -1.0), (" dog", -math.inf), (".", 0.0)], "A dog."),
        ([("...", -1.0)], "..."),
        ([("", -1.0)], ""),
    ],
)
def test_tokens_that_are_not_the_texts_own_give_nothing(tokens, text):
    assert confidence(tokens, text) is None


def test_content_words_of_a_caption():
    assert content_words("A man is on the red bench, next to his dog.") == ["man", "red", "bench", "dog"]
