"""CIDEr, ROUGE and BLEU: the public packages' numbers, and what the clean form promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.evaluation.metrics.text.captions import bleu, clean_cider, corpus, official_cider, rouge_l
from capgen.text import normal

word = st.sampled_from(["a", "the", "red", "dog", "Dog", "runs.", "grass", "wall"])
caption = st.lists(word, min_size=1, max_size=9).map(" ".join)
pairs = st.lists(st.tuples(caption, st.lists(word, max_size=9).map(" ".join)), min_size=1, max_size=12)
quick = settings(max_examples=60, deadline=None)


@quick
@given(pairs)
def test_cider_is_pycocoevalcaps(many):
    cider = pytest.importorskip("pycocoevalcap.cider.cider").Cider()
    references, candidates = {i: [r] for i, (r, _) in enumerate(many)}, {i: [c] for i, (_, c) in enumerate(many)}
    _, theirs = cider.compute_score(references, candidates)
    np.testing.assert_allclose(official_cider(many), theirs, atol=1e-12)


@quick
@given(pairs)
def test_rouge_is_pycocoevalcaps(many):
    rouge = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge()
    references, candidates = {i: [r] for i, (r, _) in enumerate(many)}, {i: [c] for i, (_, c) in enumerate(many)}
    _, theirs = rouge.compute_score(references, candidates)
    np.testing.assert_allclose(rouge_l(many), theirs, atol=1e-12)


def test_cider_by_hand():
    """Two documents of two words, none shared: log 2 cancels; one- and two-word runs are right, longer ones absent."""
    assert official_cider([("red dog", "red dog"), ("old wall", "old wall")]) == pytest.approx([5.0, 5.0])
    assert official_cider([("red dog", "red dog"), ("old wall", "red wall")])[1] == pytest.approx(10 / 4 * 0.5)


def test_a_longer_candidate_is_damped_by_its_bigrams():
    """Three words where the reference has two: one bigram more, exp(-1 / 72)."""
    got = official_cider([("red dog", "red dog red"), ("old wall", "old wall")])[0]
    unigram, bigram = 2 / (math.sqrt(5) * math.sqrt(2)), 1 / math.sqrt(2)  # clipped counts over the norms
    assert got == pytest.approx(10 / 4 * (unigram + bigram) * math.exp(-1 / 72))


def test_plain_cider_neither_clips_nor_damps():
    got = official_cider([("red dog", "red dog red"), ("old wall", "old wall")], plain=True)[0]
    assert got == pytest.approx(10 / 4 * (3 / math.sqrt(10) + 1 / math.sqrt(2)))


@quick
@given(st.lists(caption, min_size=1, max_size=8))
def test_clean_cider_is_one_for_equal_captions_and_never_more(references):
    collection = corpus(map(normal, references))
    assert clean_cider([(text, text.upper()) for text in references], collection) == pytest.approx(
        [1.0] * len(references)
    )
    for value in clean_cider([(a, b) for a in references for b in references], collection):
        assert 0.0 <= value <= 1.0


def test_clean_cider_values_rare_words():
    collection = corpus(["a red dog", "a red cat", "a red bird", "a red zebra"])
    common, rare = clean_cider([("a red zebra", "a red"), ("a red zebra", "zebra")], collection)
    assert rare > common


def test_an_empty_candidate_is_worth_nothing():
    assert clean_cider([("a dog", "")], corpus(["a dog"])) == [0.0]
    assert official_cider([("a dog", ""), ("a wall", "a wall")])[0] == 0.0


def test_bleu_of_strings_counts_characters():
    assert bleu([("abcde", "abcde")]) == pytest.approx(1.0)
    assert bleu([("abcdefgh", "abcd")]) == pytest.approx(math.exp(1 - 8 / 4))
    assert bleu([("abcd", "xyz")]) == 0.0
    assert bleu([(["a", "b", "c", "d", "e"], ["a", "b", "c", "d", "x"])]) == pytest.approx(
        (4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25
    )


def test_meteor_reads_every_letter_and_several_references(meteor):
    """Letters beyond ASCII arrive whole under any locale; of several references the best counts."""
    same, other, best = meteor.score(
        [
            (("ein grüner Bär",), "ein grüner Bär"),
            (("ein grüner Bär",), "ein gr?ner B?r"),
            (("a wall", "a red dog"), "a red dog"),
        ]
    )
    assert same == pytest.approx(1.0)
    assert other < 1.0
    assert best == pytest.approx(1.0)


def test_meteor_survives_line_breaks_and_its_own_separator(meteor):
    assert len(meteor.score([(("a dog\nruns",), "a dog ||| runs\n"), (("",), ""), (("a",), "")])) == 3
    assert meteor.score([(("a red dog",), "a red dog")]) == pytest.approx([1.0])
