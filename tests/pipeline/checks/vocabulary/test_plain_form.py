"""Plain sentences, of which no check has to look for signs, numbers or a second sentence."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.vocabulary.plain_form import is_plain_sentence


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
