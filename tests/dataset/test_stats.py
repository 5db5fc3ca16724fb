"""What a card counts is what was added."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from capgen.dataset.stats import RowOutcome, Stats


def kept(key: str, caption: str, category: str | None = "cup") -> RowOutcome:
    return RowOutcome(key, category, caption, "kept", None)


def test_each_object_counts_once_under_its_split_and_first_reason():
    stats = Stats()
    stats.add_media("train", [2, 0])
    stats.add_objects("train", [kept("a", "A red cup."), RowOutcome("b", "cup", "Sorry.", "dropped", "refusal")])
    stats.add_media("val", [1])
    stats.add_objects("val", [RowOutcome("c", None, None, "failed", "bad_mask")])
    train, val = stats.splits["train"], stats.splits["val"]
    assert (train.media, train.media_without_objects, train.objects, train.kept) == (2, 1, 2, 1)
    assert (val.objects, val.kept, val.failed) == (1, 0, {"bad_mask": 1})
    assert (stats.media, stats.objects, stats.kept) == (3, 3, 1)
    assert (stats.dropped, stats.failed) == ({"refusal": 1}, {"bad_mask": 1})


@given(st.lists(st.integers(0, 80), min_size=1, max_size=60))
def test_mean_and_median_are_those_of_the_captions(lengths):
    stats = Stats()
    stats.add_objects("train", [kept(str(i), " ".join(["word"] * n)) for i, n in enumerate(lengths)])
    assert abs(stats.mean_words() - statistics.mean(lengths)) < 1e-9
    assert stats.median_words() == statistics.median(lengths)
    assert sum(count for _, count in stats.length_table()) == len(lengths)


def test_no_captions_are_no_words():
    assert (Stats().mean_words(), Stats().median_words(), Stats().top_categories(3)) == (0.0, 0.0, [])


def test_top_categories_are_in_one_order_whatever_order_they_came_in():
    stats = Stats()
    stats.add_objects("train", [kept("1", "x", "b"), kept("2", "x", "a"), kept("3", "x", "c"), kept("4", "x", "c")])
    assert stats.top_categories(2) == [("c", 2), ("a", 1)]


def test_examples_show_different_categories():
    stats = Stats()
    stats.add_objects("train", [kept("1", "one", "a"), kept("2", "two", "a"), kept("3", "three", "b")])
    assert stats.examples == {"1": "one", "3": "three"}
