"""How checks are built from a pipeline file and how they judge."""

from __future__ import annotations

import dataclasses
import itertools
import json
import pickle
import re
import time
import types
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capgen.errors import UnknownName, UserError
from capgen.pipeline.checks import CHECKS, marker_leak, meta_talk, refusal
from capgen.pipeline.checks.base import CheckedCaption, build_checks, judge
from capgen.pipeline.settings import CheckSettings
from capgen.pipeline.view import normal_finish_reason
from capgen.sample.words import CATEGORIES, COLOURS, MOTIONS, SIZES, TEXTURES, caption

ALL = build_checks(CheckSettings().all_names, {})
LVIS = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "lvis_val_100" / "lvis_val_100.json"


def codes(caption, finish_reason="stop", checks=ALL, **known):
    return [code for code, _ in judge(checks, CheckedCaption(caption, finish_reason, **known))]


def test_the_default_checks_are_the_registered_ones_but_for_the_one_that_needs_a_calibrated_model():
    assert [name for name, _ in ALL] == [name for name in CHECKS if name != "unsure"]


@pytest.mark.parametrize("name", CHECKS)
def test_every_registered_check_builds_travels_and_defaults_all_options(name):
    ((code, check),) = build_checks([name], {})
    assert code == name
    assert pickle.loads(pickle.dumps(check)) == check
    assert type(check)() == check
    assert type(check).__dataclass_params__.frozen


def test_options_reach_their_check():
    checks = build_checks(["length"], {"length": {"min_words": 5}})
    assert codes("A red ball.", checks=checks) == ["length"]
    assert codes("A red ball on the grass.", checks=checks) == []


@pytest.mark.parametrize(
    ("names", "options", "message"),
    [
        (["length"], {"length": {"min_word": 3}}, "checks.options.length.min_word"),
        (["length"], {"length": {"min_words": "three"}}, "checks.options.length.min_words"),
        (["length"], {"length": {"min_words": 9, "max_words": 3}}, "checks.options.length"),
        (["empty"], {"empty": {"final": False}}, "checks.options.empty.final"),
        (["length"], {"repetition": {}}, "checks.options.repetition"),
        (["length", "empty", "length"], {}, "checks.names"),
        (["repetition"], {"repetition": {"max_share": 2}}, "checks.options.repetition"),
    ],
)
def test_a_wrong_option_is_named_in_one_line(names, options, message):
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        build_checks(names, options)
    assert "\n" not in str(caught.value)


def test_an_unknown_check_is_named_with_the_nearest_known_one():
    with pytest.raises(UnknownName, match="did you mean 'length'"):
        build_checks(["lenght"], {})


@dataclasses.dataclass(frozen=True, slots=True)
class NoCats:
    """A check as a user would write it in a module of their own."""

    word: str = "cat"
    final = False

    def __call__(self, said):
        return f"speaks of a {self.word}" if self.word in said.caption else None


def test_a_check_of_ones_own_is_named_by_its_module():
    name = f"{__name__}:NoCats"
    checks = build_checks([name], {name: {"word": "dog"}})
    assert judge(checks, CheckedCaption("A dog.")) == ((name, "speaks of a dog"),)


def test_a_name_that_is_no_check_is_a_users_mistake():
    with pytest.raises(UserError, match="math:pi"):
        build_checks(["math:pi"], {})


def test_all_that_is_wrong_is_said_in_the_order_of_the_checks():
    caption = "Sorry, but the image shows a dog outlined in red outlined in red outlined in red."
    assert codes(caption) == ["refusal", "marker_leak", "meta_talk", "repetition"]
    backwards = build_checks(["repetition", "meta_talk", "marker_leak", "refusal"], {})
    assert codes(caption, checks=backwards) == ["repetition", "meta_talk", "marker_leak", "refusal"]


def test_nothing_more_is_said_of_an_empty_or_unfinished_caption():
    assert codes("") == ["empty"]
    assert codes("", finish_reason="error") == ["empty"]
    assert codes("The image shows a dog outlined in", finish_reason="length") == ["not_stopped"]


def test_what_came_before_a_final_check_is_still_said():
    checks = build_checks(["refusal", "not_stopped", "length"], {})
    assert codes("Sorry, I", finish_reason="length", checks=checks) == ["refusal", "not_stopped"]


@pytest.mark.parametrize("caption", ["", " \n\t ", "...", "\u200b", "!?", "--", "***"])
def test_a_caption_without_words_is_empty(caption):
    assert codes(caption) == ["empty"]


@pytest.mark.parametrize("reason", ["length", "abort", "error", "repetition", "", "tool_calls"])
def test_only_stop_is_a_finished_caption(reason):
    assert codes("A red ball on the grass.", finish_reason=reason) == ["not_stopped"]
    assert codes("A red ball on the grass.", finish_reason="stop") == []


@pytest.mark.parametrize(
    "reason", ["STOP", "Stop", "end_turn", "eos", "EOS_TOKEN", "stop_sequence", "FinishReason.STOP"]
)
def test_other_words_for_stop_are_understood(reason):
    assert normal_finish_reason(reason) == "stop"
    assert codes("A red ball on the grass.", finish_reason=reason) == []


@pytest.mark.parametrize("reason", ["length", "LENGTH", "MAX_TOKENS", "max_tokens", "FINISH_REASON_MAX_TOKENS"])
def test_other_words_for_length_are_understood(reason):
    assert normal_finish_reason(reason) == "length"
    assert codes("A red ball on the grass.", finish_reason=reason) == ["not_stopped"]


@pytest.mark.parametrize(("given", "said"), [(None, "none"), ("", "none"), ("SAFETY", "safety"), (7, "7")])
def test_any_other_finish_reason_keeps_the_servers_word(given, said):
    assert normal_finish_reason(given) == said


@pytest.mark.parametrize("module", [marker_leak, meta_talk, refusal])
def test_no_pattern_repeats_without_bound(module):
    """A search with bounded repeats does a bounded amount of work at each character, so it is linear."""
    parse = re._parser.parse  # the standard library's own view of a pattern
    patterns = [phrase.pattern for phrase in module._BOOK.phrases]
    patterns += [value for value in vars(module).values() if isinstance(value, re.Pattern)]
    assert len(patterns) > 10
    for pattern in patterns:
        assert parse(pattern.pattern, pattern.flags).getwidth()[1] < 500, pattern.pattern


@pytest.mark.parametrize(
    "long",
    [
        "x" * 100_000,
        " " * 100_000,
        "\n" * 100_000,
        "a " * 50_000,
        "the image " * 10_000,
        "in the box " * 9_000,
        "outlined in thin thin thin thin " * 3_000,
        "a sign reads sorry but " * 4_500,
        "." * 100_000,
        "a.\n" * 33_000,
        "<|" * 50_000,
        "[1,2," * 20_000,
        "(" * 100_000,
        "\u4e00\u4e8c" * 50_000,
        "ab" * 50_000,
    ],
    ids=lambda long: long[:12].encode("ascii", "replace").decode().replace("\n", "|"),
)
def test_a_caption_of_100_kb_is_judged_at_once(long):
    started = time.process_time()
    assert codes(long)
    assert codes("A dog sits. " + long)
    assert time.process_time() - started < 3, "a quadratic search would take minutes"


@given(st.text(max_size=200), st.text(max_size=20), st.one_of(st.none(), st.text(max_size=20)))
def test_any_text_is_judged_without_an_error(caption, finish_reason, category):
    judge(ALL, CheckedCaption(caption, finish_reason, category, (category,) if category else ()))


def test_every_sentence_of_the_sample_world_is_kept():
    values = (SIZES, TEXTURES, COLOURS, CATEGORIES, (None, *MOTIONS))
    sentences = list(itertools.product(*([value and value.name for value in kind] for kind in values)))
    assert len(sentences) > 10_000
    for size, texture, colour, category, motion in sentences[::11]:
        facts = types.SimpleNamespace(size=size, texture=texture, colour=colour, category=category, motion=motion)
        assert codes(caption(facts), category=category) == []
        assert codes(caption(facts)) == []


@pytest.mark.skipif(not LVIS.is_file(), reason="needs ../shared")
def test_every_category_of_lvis_can_be_captioned():
    names = {c["name"]: tuple(c["synonyms"]) for c in json.loads(LVIS.read_text("utf-8"))["categories"]}
    assert len(names) > 1200
    for name, synonyms in names.items():
        spoken = re.sub(r"_?\(.*?\)", "", name).replace("_", " ")
        for sentence in (
            f"A small red {spoken} on a wooden table, next to a window.",
            f"The {spoken} has blue stripes and stands beside a wall.",
            f"A {spoken} in the garden, which two children look at.",
        ):
            assert codes(sentence, category=name, synonyms=synonyms) == [], sentence
            assert codes(sentence) == [], sentence
