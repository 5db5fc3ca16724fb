"""How long a caption may be, with and without blanks between words."""

from __future__ import annotations

import pytest

from capgen.pipeline.checks.answer.length import Length
from capgen.pipeline.checks.base import CheckedCaption

SIXTY = " ".join(f"w{i}" for i in range(60))


@pytest.mark.parametrize(
    "caption",
    [
        "A red ball.",
        "A large red striped ring moving left.",
        SIXTY,
        "一只黑狗",
        "一个穿红色衬衫的男人在街上走路。",
        "黒い犬が座る",
    ],
)
def test_a_caption_of_fair_length_is_kept(caption):
    assert Length()(CheckedCaption(caption)) is None


@pytest.mark.parametrize(
    ("caption", "message"),
    [
        ("Dog.", "1 words, fewer than 3"),
        ("A dog!", "2 words, fewer than 3"),
        ("狗", "1 words, fewer than 3"),
        (f"{SIXTY} more", "61 words, more than 60"),
        ("很" * 120, "80 words, more than 60"),
        ("w" * 1001, "1001 characters, more than 1000"),
    ],
)
def test_a_caption_too_short_or_too_long_is_dropped(caption, message):
    assert Length()(CheckedCaption(caption)) == message


def test_the_limits_are_options():
    assert Length(min_words=1)(CheckedCaption("Dog.")) is None
    assert Length(max_words=4)(CheckedCaption("A big red ball rolls.")) == "5 words, more than 4"
    with pytest.raises(ValueError, match="leave no length"):
        Length(min_words=5, max_words=4)
