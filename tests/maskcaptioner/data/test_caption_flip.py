from __future__ import annotations

import pytest

from capgen.maskcaptioner.data.caption_flip import can_mirror, mirrored, names_place, names_size
from capgen.sample.words import MOTIONS


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ("A small plain red fish moving left.", "A small plain red fish moving right."),
        ("Right of the car, a cup moving LEFT.", "Left of the car, a cup moving RIGHT."),
        ("A wheel turning anticlockwise.", "A wheel turning clockwise."),
        ("A bright lamp that stays still.", "A bright lamp that stays still."),
        ("The leftmost boat drifts rightwards.", "The rightmost boat drifts leftwards."),
    ],
)
def test_a_caption_is_mirrored_word_for_word(caption, expected):
    assert mirrored(caption) == expected


@pytest.mark.parametrize(
    "caption",
    [
        'A sign that reads "stop".',
        "A red shirt with the number 7.",
        "A dog right behind the car.",
        "A suitcase left behind on a bench.",
        "A cup right next to a plate.",
        "A left-facing duck.",
        "A weather vane that points east.",
        "A clock at three o'clock.",
    ],
)
def test_a_caption_that_a_mirror_could_falsify_forbids_the_flip(caption):
    assert mirrored(caption) is None
    assert not can_mirror(["A red cup.", caption])


def test_every_motion_of_the_sample_world_is_mirrored_to_the_true_one():
    truth = {"left": "right", "right": "left"}
    phrases = {motion.name: motion.phrase for motion in MOTIONS}
    for name, phrase in phrases.items():
        assert mirrored(phrase) == phrases[truth.get(name, name)]


def test_mirroring_twice_gives_the_caption_back():
    for motion in MOTIONS:
        for phrase in (motion.phrase, *motion.synonyms):
            assert mirrored(mirrored(phrase) or "") == phrase


def test_size_and_place_words_are_found():
    assert names_size(["A red cup.", "A large house."])
    assert not names_size(["A red cup that is enlarged."])
    assert names_place(["A boat in the corner of the picture."])
    assert not names_place(["A chair with a broken corner."])
