"""A tiny model of each family with a profile, asked through the real engine: what the profile says is what happens.

Three families are tried with ``make test-engines``; all, half an hour on two cores, with ``pytest -m families``.
"""

import pytest

from capgen.pipeline.planning.model_profiles import model_profiles
from tests.families import molmo2
from tests.families.models import BUILDERS, PROCESSORS
from tests.families.process import probe, processors

ALWAYS = ("qwen3.5", "gemma4", "internvl")
"""Linear attention with thinking, sliding windows with thinking in special tokens, and tiles."""


def _each():
    return [
        pytest.param(name, marks=[pytest.mark.engines if name in ALWAYS else pytest.mark.families]) for name in BUILDERS
    ]


@pytest.fixture(scope="module", params=_each())
def asked(request):
    """A model's name, and what a probe of it saw."""
    if request.param == "molmo2" and not molmo2.PROCESSORS.is_dir():
        pytest.skip(f"Molmo 2's processors are of a transformers that is not here: {molmo2.REMEDY}")
    return request.param, probe(request.param)


@pytest.fixture
def facts(asked):
    return asked[1]


@pytest.fixture
def profile(facts):
    return model_profiles()[facts["profile"]]


def test_the_profile_is_found_by_the_architecture_and_every_request_is_answered(asked, facts):
    name, _ = asked
    assert facts["profile"] == BUILDERS[name][0]
    assert facts["why"].startswith("the architecture ")
    for answer in facts["answers"]:
        assert (answer["finish_reason"], answer["output_tokens"]) == ("length", 6)


def test_every_picture_becomes_as_many_tokens_as_the_profile_predicts(facts, profile):
    for picture in facts["pictures"]:
        if profile.visual.rule == "crops":  # the marks around the parts of a picture are the encoder's too
            assert picture["tokens"] == picture["predicted"] + profile.visual.extra
            continue
        around = picture["length"] - picture["tokens"]
        per_row = profile.visual.per_row * picture["size"][1] // max(1, profile.visual.side)
        assert picture["tokens"] + per_row == picture["predicted"]
        assert 0 <= around - per_row <= 5  # what stands around a picture, or between its rows


def test_a_later_object_of_a_picture_finds_the_picture_in_the_cache(facts, profile):
    """All whole blocks of what they share; with a state between tokens, at the latest from the third object on."""
    whole = facts["shared_prefix"] // facts["block"] * facts["block"]
    cached = [answer["cached_tokens"] for answer in facts["answers"]]
    assert whole > 0
    assert cached[2] == whole
    assert cached[1] == whole or (profile.prefix == "coarse" and cached[1] == 0)


def test_thinking_is_off_in_the_rendered_prompt(facts, profile):
    if profile.thinking == "none":
        assert facts["prompt_thinking"] is None
        assert not profile.model.template
        return
    assert facts["prompt_thinking"] != facts["prompt"]
    begin, end = profile.model.reasoning[0]
    opened, closed = facts["prompt"][1].rfind(begin), facts["prompt"][1].rfind(end)
    assert opened < closed or (opened, closed) == (-1, -1)


def test_reasoning_is_no_part_of_the_answer(facts, profile):
    """The model is made to think between the family's marks, which are special tokens with some, and to answer."""
    assert len(facts["thought"]) == len(profile.model.reasoning or ())
    for said in facts["thought"]:
        assert (said["text"], said["finish_reason"]) == ("A red cup.", "stop")


def test_a_template_that_loops_for_ever_fails_its_request_alone(facts):
    refused, later = facts["endless"]
    assert refused.startswith("RequestRefused: ")
    assert "the chat template of model 'm' was not done after 0.2 s" in refused
    assert later == "length"


def test_log_probabilities_come_back(facts):
    """Those of the words that a row keeps, with reasoning before them and without."""
    for said in (facts["said"], *facts["thought"]):
        assert said["text"] == "A red cup."
        assert said["logprob_min"] <= said["logprob_mean"] <= 0


def test_families_that_the_cpu_cannot_run_are_right_up_to_their_processor():
    pytest.importorskip("vllm")
    found = processors()
    assert set(found) == set(PROCESSORS)
    for name, seen in found.items():
        assert all(picture["tokens"] == picture["predicted"] for picture in seen["pictures"]), (name, seen["pictures"])
        if model_profiles()[name].thinking == "switch":
            assert seen["prompt_end"] != seen["prompt_end_thinking"]
            assert seen["prompt_end"].rstrip().endswith("</think>")
