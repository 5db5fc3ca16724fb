"""The texts of tokens that the ``vllm`` engine keeps: the same as the tokenizer's own, and decoded once."""

from __future__ import annotations

import pytest

from capgen.pipeline.engines.vllm import keep_token_texts
from capgen.sample.embedded_model import model_dir


@pytest.fixture
def tokenizers():
    """A tokenizer whose texts are kept, and one as it is."""
    from transformers import AutoTokenizer

    kept, plain = (AutoTokenizer.from_pretrained(str(model_dir())) for _ in range(2))
    keep_token_texts(kept)
    return kept, plain


def test_kept_texts_are_those_of_the_tokenizer(tokenizers):
    kept, plain = tokenizers
    every = range(len(plain))
    expected = [plain.decode([token]) for token in every]
    assert [kept.decode([token]) for token in every] == expected
    assert [kept.decode([token]) for token in every] == expected


def test_a_token_is_decoded_once(tokenizers):
    kept, _ = tokenizers
    assert kept.decode([7]) is kept.decode([7])


def test_texts_of_several_tokens_and_with_options_are_the_tokenizers_own(tokenizers):
    kept, plain = tokenizers
    end = plain.eos_token_id
    kept.decode([end])
    assert kept.decode([end], skip_special_tokens=True) == ""
    assert kept.decode([40, 41, end]) == plain.decode([40, 41, end])


def test_a_second_session_keeps_the_texts_of_the_first(tokenizers):
    kept, _ = tokenizers
    before = kept.decode
    keep_token_texts(kept)
    assert kept.decode is before
