"""The same said twice of one image is said once; said of another image it is another caption."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from capgen.pipeline.releasing.dedup import Said, duplicates

CAPTIONS = st.sampled_from(["A red cup.", "a  RED cup", "A blue cup.", "?!", "?", "“A red cup”"])
ROWS = st.lists(st.tuples(st.sampled_from("mn"), st.sampled_from(["cup", "plate", None]), CAPTIONS), max_size=25)


def said(*rows: tuple[str, str | None, str]) -> list[Said]:
    return [Said(medium, f"k{number}", category, caption) for number, (medium, category, caption) in enumerate(rows)]


def test_the_later_object_is_the_duplicate_and_names_the_first():
    rows = said(
        ("m", "cup", "A red cup."), ("m", "cup", "A blue cup."), ("m", "cup", "A red cup."), ("m", "cup", "A red cup.")
    )
    assert duplicates(rows) == {"k2": "k0", "k3": "k0"}


def test_case_blanks_and_punctuation_make_no_other_caption():
    assert duplicates(said(("m", "cup", "A red cup."), ("m", "cup", "a  RED cup"))) == {"k1": "k0"}


def test_other_images_and_other_categories_may_say_the_same():
    assert duplicates(said(("m", "cup", "It is red."), ("n", "cup", "It is red."), ("m", "plate", "It is red."))) == {}


def test_objects_without_a_category_are_compared_with_each_other():
    assert duplicates(said(("m", None, "It is red."), ("m", None, "It is red."))) == {"k1": "k0"}


def test_captions_without_any_word_are_compared_as_they_stand():
    assert duplicates(said(("m", "cup", "?!"), ("m", "cup", "?"), ("m", "cup", " ?! "))) == {"k2": "k0"}


@given(ROWS)
def test_what_is_left_has_no_duplicates_and_nothing_is_lost(rows):
    rows = said(*rows)
    repeated = duplicates(rows)
    left = [row for row in rows if row.key not in repeated]
    assert duplicates(left) == {}
    assert set(repeated.values()) <= {row.key for row in left}
    by_key = {row.key: row for row in rows}
    assert all(
        (by_key[a].medium, by_key[a].category) == (by_key[b].medium, by_key[b].category) for a, b in repeated.items()
    )
