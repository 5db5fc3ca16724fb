"""The same said twice of one image is said once; said of another image it stays and is marked."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.dataset.release_record import DedupRules
from capgen.pipeline.releasing.dedup import RepeatedCaption, hash_captions, join_captions, repeated_captions
from capgen.pipeline.releasing.repetition import near_duplicates
from capgen.pipeline.releasing.repetition.near_duplicates import earlier_ones
from capgen.pipeline.releasing.repetition.shingles import Shingler
from capgen.text import words

CAPTIONS = st.sampled_from(["A red cup.", "a  RED cup", "A blue cup.", "?!", "?", "“A red cup”"])
ROWS = st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from(["cup", "plate", None]), CAPTIONS), max_size=25)
PARTS = 3
LONG = "A small red cup with a white handle stands on the wooden table near the window."
NEAR = "A small red cup with a white handle stands on the wooden table near the door."


def table(rows, first: int = 0) -> pa.Table:
    keys = [f"k{first + number}" for number in range(len(rows))]
    media, categories, captions = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    columns = {"key": keys, "media_id": media, "category": categories, "caption": captions}
    texts = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return pa.table(texts | {"status": pa.array(["kept"] * len(rows), pa.string())})


def repetitions(*shards, **rules) -> dict[str, RepeatedCaption]:
    """Shards of (medium, category, caption), each a range of its own; keys are numbered through."""
    kinds, first, hashed, tables = DedupRules(**rules), 0, [], []
    for rows in shards:
        captions, within = hash_captions([table(rows, first)], kinds)
        first += len(rows)
        hashed.append(captions.by_category(PARTS))
        tables.append(within)
    tables += [join_captions([one[part] for one in hashed], kinds) for part in range(PARTS)]
    return repeated_captions(tables)


def left_out(*shards, **rules) -> dict[str, str]:
    return {key: one.dup_of for key, one in repetitions(*shards, **rules).items() if one.reason}


def test_the_later_object_is_the_duplicate_and_names_the_first():
    rows = [("m", "cup", caption) for caption in ("A red cup.", "A blue cup.", "A red cup.", "A red cup.")]
    assert left_out(rows) == {"k2": "k0", "k3": "k0"}


def test_case_blanks_and_punctuation_make_no_other_caption():
    assert left_out([("m", "cup", "A red cup."), ("m", "cup", "a  RED cup")]) == {"k1": "k0"}


def test_what_says_nearly_the_same_of_one_image_is_left_out_with_its_similarity():
    found = repetitions([("m", "cup", LONG), ("m", "cup", NEAR)])
    assert found == {"k1": RepeatedCaption("k0", pytest.approx(13 / 15, abs=1e-6), "duplicate")}
    assert found["k1"].message() == "nearly the same caption as k0 (similarity 0.87)"
    assert left_out([("m", "cup", LONG), ("m", "cup", NEAR)], near=0.9) == {}
    assert left_out([("m", "cup", LONG), ("m", "cup", NEAR)], near=1.0) == {}


def test_of_other_images_it_is_marked_and_stays_unless_the_scope_is_the_release():
    rows = [("m", "cup", LONG)], [("n", "cup", NEAR), ("n", "cup", "Another cup."), ("o", "cup", LONG)]
    assert {key: one.reason for key, one in repetitions(*rows).items()} == {"k1": None, "k3": None}
    assert left_out(*rows, scope="release") == {"k1": "k0", "k3": "k0"}


def test_other_categories_may_say_the_same():
    assert repetitions([("m", "cup", "It is red."), ("m", "plate", "It is red."), ("n", None, "It is red.")]) == {}


def test_objects_without_a_category_are_compared_with_each_other():
    assert left_out([("m", None, "It is red."), ("m", None, "It is red.")]) == {"k1": "k0"}


def test_captions_without_any_word_are_compared_as_they_stand():
    assert left_out([("m", "cup", "?!"), ("m", "cup", "?"), ("m", "cup", " ?! ")]) == {"k2": "k0"}


def test_one_sentence_stands_for_one_category_no_oftener_than_the_cap_says():
    rows = [(f"m{number}", "cup", "A cup.") for number in range(4)] + [("m9", "plate", "A cup.")]
    found = repetitions(rows[:3], rows[3:], per_sentence=2)
    assert {key: one.reason for key, one in found.items()} == {
        "k1": None,
        "k2": "said_too_often",
        "k3": "said_too_often",
    }
    assert found["k3"].dup_of == "k0"
    assert repetitions(rows, per_sentence=9).keys() == {"k1", "k2", "k3"}


def test_how_the_run_was_cut_into_shards_decides_nothing():
    rows = [(f"m{i // 3}", "cup", f"A cup numbered {i % 5} with a lid stands on a round table") for i in range(30)]
    assert repetitions(rows) == repetitions(rows[:6], rows[6:9], rows[9:]) != {}


@settings(deadline=None)
@given(ROWS)
def test_what_is_left_has_no_duplicates_and_nothing_is_lost(rows):
    gone = left_out(rows)
    by_key = {f"k{number}": row for number, row in enumerate(rows)}
    assert left_out([row for key, row in by_key.items() if key not in gone]) == {}
    assert set(gone.values()) <= by_key.keys() - gone.keys()
    assert all(by_key[a][:2] == by_key[b][:2] for a, b in gone.items())


def shingles(caption: str) -> frozenset[tuple[str, ...]]:
    said = words(caption)
    return frozenset(tuple(said[i : i + 3]) for i in range(max(1, len(said) - 2)))


def jaccard(one: str, other: str) -> float:
    a, b = shingles(one), shingles(other)
    return len(a & b) / len(a | b)


def one_by_one(captions: list[str], threshold: float) -> list[int]:
    """The same by comparing each caption with all earlier ones that repeat nothing."""
    of: list[int] = []
    for number, caption in enumerate(captions):
        earlier = (i for i in range(number) if of[i] < 0 and jaccard(captions[i], caption) >= threshold - 1e-6)
        of.append(next(earlier, -1))
    return of


@pytest.mark.parametrize("chunk", [4, 4096])
@settings(deadline=None)
@given(
    texts=st.lists(st.lists(st.sampled_from("abcd"), min_size=1, max_size=12).map(" ".join), max_size=40),
    threshold=st.sampled_from([0.5, 0.65, 0.8, 0.95]),
)
def test_the_join_finds_what_comparing_all_with_all_finds(chunk, texts, threshold):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near_duplicates, "_CHUNK", chunk)
        patch.setattr(near_duplicates, "_WAITING", 16)
        found = earlier_ones(Shingler(3).sets(texts), threshold)
    assert [jaccard(texts[i], texts[j]) for i, j in enumerate(found.of) if j >= 0] == pytest.approx(
        [s for s, j in zip(found.similarity, found.of, strict=True) if j >= 0], abs=1e-6
    )
    unequal = list(dict.fromkeys(texts))  # those with equal words are settled before, whatever they resemble
    again = earlier_ones(Shingler(3).sets(unequal), threshold).of
    assert again.tolist() == one_by_one(unequal, threshold)


def test_planted_near_duplicates_are_found_and_no_pair_under_a_half_is():
    rng = random.Random(5)
    vocabulary = [f"word{number}" for number in range(300)]
    originals = [" ".join(rng.choices(vocabulary, k=rng.randint(10, 30))) for _ in range(400)]
    planted = []
    for original in originals:
        said = original.split()
        for _ in range(rng.choice((1, 1, 6))):
            said[rng.choice((-1, rng.randrange(len(said))))] = rng.choice(vocabulary)
        planted.append(" ".join(said))
    found = earlier_ones(Shingler(3).sets([*originals, *planted]), 0.8)
    truth = np.array([jaccard(one, other) for one, other in zip(originals, planted, strict=True)])
    marked = found.of[400:] == np.arange(400)
    assert marked[truth >= 0.8].all()
    assert (truth >= 0.8).sum() > 30
    assert not marked[truth < 0.5].any()
    assert (truth < 0.5).sum() > 50
