"""What servers send is read as they mean it; one odd value costs its own answer at most."""

import json

import pytest

from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.engines.completion import count, error_text, named_limit, read_completion
from capgen.pipeline.engines.reasoning import special_tokens, split_reasoning, without_reasoning


def completion(message, reason="stop", **more):
    return json.dumps({"choices": [{"message": message, "finish_reason": reason}]} | more).encode()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("A cup.", "A cup."),
        ([{"type": "text", "text": "A "}, {"type": "output_text", "text": "cup."}], "A cup."),
        (
            [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}, {"type": "text", "text": "A cup."}],
            "A cup.",
        ),
        (["A ", "cup."], "A cup."),
        ({"type": "text", "text": "A cup."}, "A cup."),
        ([{"type": "text", "text": {"value": "A cup.", "annotations": []}}], "A cup."),
        ([{"text": "A cup."}], "A cup."),
        ([], ""),
        (None, ""),
        ("<think>Is it?</think>\n\nA cup.", "A cup."),
        ("Is it?</think>A cup.", "A cup."),
        ("<think>It never ends", ""),
        ("[THINK]Hm[/THINK]A cup.", "A cup."),
    ],
)
def test_a_caption_is_read_from_text_and_from_parts_without_reasoning(content, text):
    assert read_completion(completion({"content": content})).answer().text == text


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("Stop", "stop"),
        ("end_turn", "stop"),
        ("eos_token", "stop"),
        ("LENGTH", "length"),
        ("MAX_TOKENS", "length"),
        ("model_length", "length"),
        ("SAFETY", "safety"),
        ("content_filter", "content_filter"),
        (None, "none"),
        ("", "none"),
        (7, "7"),
    ],
)
def test_finish_reasons_in_any_case_and_in_the_servers_words(given, kept):
    assert read_completion(completion({"content": "A cup."}, given)).answer().finish_reason == kept


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (9, 9),
        (9.0, 9),
        ("9", 9),
        ("9.0", 9),
        (None, 0),
        (-1, 0),
        (2**31 - 1, 2**31 - 1),
        (2**31, 0),
        (10**400, 0),
        (1e300, 0),
        (float("nan"), 0),
        (float("inf"), 0),
        ("many", 0),
        ("nan", 0),
        (True, 0),
        ([9], 0),
    ],
)
def test_a_number_of_tokens_that_no_row_can_hold_is_not_known(given, kept):
    assert count(given) == kept
    data = completion({"content": "A cup."}, usage={"prompt_tokens": given, "completion_tokens": given})
    answer = read_completion(data).answer()
    assert (answer.text, answer.prompt_tokens, answer.output_tokens) == ("A cup.", kept, kept)


@pytest.mark.parametrize("usage", [None, [], "9", {}, {"prompt_tokens_details": 3}, {"prompt_tokens_details": None}])
def test_counts_may_be_missing(usage):
    answer = read_completion(completion({"content": "A cup."}, usage=usage)).answer()
    assert (answer.text, answer.prompt_tokens, answer.cached_tokens) == ("A cup.", 0, 0)


@pytest.mark.parametrize(("given", "name"), [(7, "7"), ("x", "x"), (None, None), ("", None), ({}, None), (1.5, None)])
def test_ids_may_be_numbers_or_anything(given, name):
    assert read_completion(completion({"content": "A cup."}, id=given)).identity == name


@pytest.mark.parametrize("where", ["field", "beside", "in text"])
def test_json_nested_deeply_is_a_fault_of_its_request(where):
    nest = b"[" * 5000 + b"]" * 5000
    body = {
        "field": b'{"choices": [{"message": {"content": ' + nest + b'}, "finish_reason": "stop"}]}',
        "beside": b'{"x": ' + nest + b', "choices": [{"message": {"content": "A cup."}}]}',
        "in text": nest,
    }[where]
    with pytest.raises(EngineFault, match="no chat completion"):
        read_completion(body).answer()
    assert error_text(body)[1] == ""


def test_a_lone_surrogate_does_not_reach_a_row():
    data = b'{"choices": [{"message": {"content": "A \\ud83d cup."}, "finish_reason": "stop"}], "x": NaN}'
    assert read_completion(data).answer().text == "A ? cup."


def test_an_answer_longer_than_any_caption_is_a_fault():
    with pytest.raises(EngineFault, match="200,000 characters"):
        read_completion(completion({"content": "x" * 200_000})).answer()


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_in_a_field_of_its_own_is_noticed_and_no_caption(name):
    read = read_completion(completion({"content": None, name: "Let me think."}, "length"))
    assert read.reasons
    assert (read.answer().text, read.answer().finish_reason) == ("", "length")


def test_reasoning_by_a_models_own_marks():
    assert split_reasoning("a <r>b</r> c", [("<r>", "</r>")]) == ("a  c", "b")
    assert split_reasoning("  no marks ", [("<r>", "</r>")]) == ("  no marks ", "")


@pytest.mark.parametrize(
    ("status", "sentence", "named"),
    [
        (
            400,
            "This model's maximum context length is 4096 tokens. However, you asked for 4200",
            "tokens of prompt",
        ),
        (400, "At most 1 image(s) may be provided in one prompt.", "pictures in one request"),
        (400, "image dimensions exceed max allowed size: 8000 pixels", "size of a picture"),
        (413, "Request Entity Too Large", "bytes of a request"),
        (413, "", "bytes of a request"),
        (400, "Unsupported parameter: 'max_tokens' is not supported with this model.", "token_limit"),
        (422, "unsupported media type: image/webp", "image_format"),
        (400, "model x does not support images", "take none"),
        (400, "something else", ""),
    ],
)
def test_the_limit_that_a_refusal_names_is_told_with_its_remedy(status, sentence, named):
    hint = named_limit(status, sentence)
    assert (named in hint) if named else hint == ""


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"error": {"message": "too long", "code": 400}}, ("too long", "400")),
        ([{"error": {"message": "bad", "status": "INVALID_ARGUMENT"}}], ("bad", "INVALID_ARGUMENT")),
        ({"error": "plain", "error_type": "validation"}, ("plain", "")),
        ({"object": "error", "message": "old vLLM", "code": 400}, ("old vLLM", "400")),
        (
            {"detail": [{"loc": ["body"], "msg": "required"}]},
            ('[{"loc": ["body"], "msg": "required"}]', ""),
        ),
    ],
)
def test_the_sentence_of_an_error_is_found_where_servers_put_it(body, told):
    assert error_text(json.dumps(body).encode()) == told


def test_log_probabilities_become_those_of_the_captions_words():
    pieces = [("A", -2.0), (" red", -3.0), (" cup", -0.25), (".", -4.0)]
    given = {"content": [{"token": token, "logprob": value, "top_logprobs": []} for token, value in pieces]}
    body = json.dumps({"choices": [{"message": {"content": "A red cup."}, "finish_reason": "stop", "logprobs": given}]})
    answer = read_completion(body.encode()).answer()
    assert (answer.logprob_min, answer.logprob_mean) == (-0.25, -0.25)


@pytest.mark.parametrize(
    "given", [None, {}, 3, {"content": None}, {"content": [1]}, {"content": [{"token": "A", "logprob": "x"}]}]
)
def test_log_probabilities_that_are_none_cost_nothing_but_the_confidence(given):
    body = json.dumps({"choices": [{"message": {"content": "A cup."}, "finish_reason": "stop", "logprobs": given}]})
    answer = read_completion(body.encode()).answer()
    assert (answer.text, answer.logprob_min) == ("A cup.", None)


def test_reasoning_between_special_tokens_is_noticed_and_they_are_no_part_of_the_answer():
    """Decoded without special tokens the marks would be gone; with them, they and all others are taken out here."""
    from tests.families import tiny_tokenizers

    pytest.importorskip("transformers")
    marks = [("[THINK]", "[/THINK]")]
    tokenizer = tiny_tokenizers.generic("<s>", "</s>", ("<s>", "[THINK]", "[/THINK]"))
    specials = special_tokens(tokenizer, marks)
    assert {"[THINK]", "[/THINK]", "</s>"} <= set(specials)
    said = tokenizer.decode(tokenizer.encode("[THINK]Hm.[/THINK]A cup.</s>"))
    assert without_reasoning(said, marks, specials) == "A cup."
    plain = tiny_tokenizers.generic("<s>", "</s>", ("<s>",), ("<think>", "</think>"))
    assert special_tokens(plain, [("<think>", "</think>")]) == ()
