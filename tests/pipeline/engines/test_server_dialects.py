"""Ten servers that speak the OpenAI API, each with its accent: what they answer becomes a caption.

The bodies are written after the servers' own documents and sources, as read in November 2026; ``{text}`` is the
caption. A real server on this machine sends them.
"""

import json
import re

import pytest

from capgen.pipeline.engines.base import RequestRefused
from capgen.pipeline.engines.reasoning import how_to_switch_off
from tests.pipeline.engines.asking import ask, engine, view
from tests.pipeline.engines.chatserver import ChatServer, http

CAPTION = "A tall cup with a blue rim."

DIALECTS = {
    "vllm": {
        "id": "chatcmpl-8d1f6a0c",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "Qwen/Qwen3-VL-8B-Instruct",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": CAPTION,
                    "refusal": None,
                    "annotations": None,
                    "audio": None,
                    "function_call": None,
                    "tool_calls": [],
                    "reasoning": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
                "stop_reason": None,
                "token_ids": None,
            }
        ],
        "service_tier": None,
        "usage": {
            "prompt_tokens": 40,
            "total_tokens": 49,
            "completion_tokens": 9,
            "prompt_tokens_details": {"cached_tokens": 32},
        },
        "prompt_logprobs": None,
        "kv_transfer_params": None,
    },
    "sglang": {
        "id": "6b8a5c3d2e",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "default",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": CAPTION,
                    "reasoning_content": "The object inside the box is a cup.",
                    "tool_calls": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
                "matched_stop": 151645,
            }
        ],
        "usage": {
            "prompt_tokens": 40,
            "total_tokens": 49,
            "completion_tokens": 9,
            "prompt_tokens_details": None,
            "reasoning_tokens": 0,
        },
        "metadata": {"weight_version": "default"},
    },
    "llama.cpp": {
        "choices": [{"finish_reason": "stop", "index": 0, "message": {"role": "assistant", "content": CAPTION}}],
        "created": 1764000000,
        "model": "gemma-3-4b",
        "system_fingerprint": "b6800-abc",
        "object": "chat.completion",
        "usage": {"completion_tokens": 9, "prompt_tokens": 40, "total_tokens": 49},
        "id": "chatcmpl-Xy1",
        "timings": {"cache_n": 32, "prompt_n": 8, "prompt_ms": 12.5, "predicted_n": 9, "predicted_per_second": 61.2},
    },
    "ollama": {
        "id": "chatcmpl-507",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "qwen3-vl:8b",
        "system_fingerprint": "fp_ollama",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CAPTION, "reasoning": "Okay, a cup."},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49},
    },
    "lm studio": {
        "id": "chatcmpl-p2k",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "qwen2.5-vl-7b-instruct",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CAPTION, "reasoning_content": "", "tool_calls": []},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49},
        "stats": {},
        "system_fingerprint": "qwen2.5-vl-7b-instruct",
    },
    "tgi": {
        "object": "chat.completion",
        "id": "",
        "created": 1764000000,
        "model": "HuggingFaceM4/Idefics3-8B-Llama3",
        "system_fingerprint": "3.3.5-sha",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": CAPTION},
                "logprobs": None,
                "finish_reason": "eos_token",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49},
    },
    "openrouter": {
        "id": "gen-1764000000-abc",
        "provider": "Alibaba",
        "model": "qwen/qwen3-vl-8b-instruct",
        "object": "chat.completion",
        "created": 1764000000,
        "choices": [
            {
                "logprobs": None,
                "finish_reason": "stop",
                "native_finish_reason": "STOP",
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": CAPTION,
                    "refusal": None,
                    "reasoning": "A cup, then.",
                    "reasoning_details": [{"type": "reasoning.text", "text": "A cup, then.", "index": 0}],
                },
            }
        ],
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 9,
            "total_tokens": 49,
            "cost": 0.0000123,
            "prompt_tokens_details": {"cached_tokens": 32, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 3},
        },
    },
    "mistral": {
        "id": "cmpl-e5cc70bb",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "magistral-small-latest",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "tool_calls": None,
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "Which object is it?"}]},
                        {"type": "text", "text": CAPTION},
                    ],
                },
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 40, "completion_tokens": 9, "total_tokens": 49, "num_cached_tokens": 32},
    },
    "gemini gateway": {
        "id": 1764000000123,
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gemini-2.5-flash",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": CAPTION}, "finish_reason": "STOP"}],
        "usage": {"prompt_tokens": 40.0, "completion_tokens": 9.0, "total_tokens": 49.0},
    },
    "azure": {
        "id": "chatcmpl-CfA",
        "object": "chat.completion",
        "created": 1764000000,
        "model": "gpt-4o-2024-11-20",
        "prompt_filter_results": [
            {"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
        ],
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "logprobs": None,
                "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}},
                "message": {"annotations": [], "content": CAPTION, "refusal": None, "role": "assistant"},
            }
        ],
        "system_fingerprint": "fp_ee1d74bde0",
        "usage": {
            "prompt_tokens": 40,
            "completion_tokens": 9,
            "total_tokens": 49,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    },
}

REFUSALS = {
    "vllm": (
        400,
        {
            "error": {
                "message": "At most 1 image(s) may be provided in one prompt.",
                "type": "BadRequestError",
                "code": 400,
            }
        },
        "pictures in one request",
    ),
    "old vllm": (
        400,
        {"object": "error", "message": "This model's maximum context length is 4096 tokens.", "code": 400},
        "tokens of prompt and answer",
    ),
    "sglang": (
        400,
        {
            "object": "error",
            "message": "The input is longer than the model's context length",
            "code": 400,
        },
        "tokens of prompt and answer",
    ),
    "llama.cpp": (
        400,
        {"error": {"code": 400, "message": "the request exceeds the available context size", "n_ctx": 4096}},
        "tokens of prompt and answer",
    ),
    "ollama": (413, {"error": {"message": "http: request body too large", "type": "api_error"}}, "bytes of a request"),
    "tgi": (
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096",
            "error_type": "validation",
        },
        "tokens of the answer",
    ),
    "mistral": (
        400,
        {"object": "error", "message": "Image dimensions exceed the maximum of 10000 pixels", "code": 3051},
        "size of a picture",
    ),
    "gemini gateway": (
        400,
        [{"error": {"code": 400, "message": "Unsupported MIME type: image/bmp", "status": "INVALID_ARGUMENT"}}],
        "form of pictures",
    ),
    "azure": (
        400,
        {
            "error": {
                "message": "Unsupported parameter: 'max_tokens' is not supported with this model.",
                "code": "unsupported_parameter",
            }
        },
        "engine.options.token_limit",
    ),
    "mistral's fields": (
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"], "msg": "Extra inputs are not permitted"}]},
        "engine.options.omit",
    ),
    "gemini's fields": (
        400,
        [{"error": {"code": 400, "message": 'Invalid JSON payload received. Unknown name "seed": Cannot find field.'}}],
        "engine.options.omit",
    ),
    "nginx": (413, b"<html><head><title>413 Request Entity Too Large</title></head></html>", "bytes of a request"),
}


def sends(status, body):
    async def act(request, server, writer):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        writer.write(http(status, data))

    return act


@pytest.mark.parametrize("name", DIALECTS)
def test_what_ten_servers_answer_becomes_a_caption(name):
    with ChatServer(default=sends(200, DIALECTS[name])) as server:
        (said,) = ask(engine(server, max_retries=0), view())
    assert (said.text, said.finish_reason) == (CAPTION, "stop")
    assert (said.prompt_tokens, said.output_tokens) == (40, 9)


@pytest.mark.parametrize("name", REFUSALS)
def test_what_servers_refuse_is_told_in_their_words_with_the_limit_they_name(name):
    status, body, limit = REFUSALS[name]
    with ChatServer(default=sends(status, body)) as server:
        (said,) = ask(engine(server), view())
        assert len(server.requests) == 1
    assert isinstance(said, RequestRefused)
    assert f"answered {status}: " in str(said)
    assert limit in str(said)


def test_reasoning_is_told_once_with_the_way_to_switch_it_off(caplog):
    with ChatServer(default=sends(200, DIALECTS["ollama"] | {"id": None})) as server:
        said = ask(engine(server), view(1), view(2), view(3))
    assert [one.text for one in said] == [CAPTION] * 3
    (line,) = [record.getMessage() for record in caplog.records if "reasons before" in record.getMessage()]
    assert "model.template.enable_thinking=false" in line
    assert 'extra_body={reasoning_effort="none"}' in line


@pytest.mark.parametrize(
    ("template", "body", "told"),
    [
        ({"enable_thinking": False}, {}, 'does not obey .*extra_body={reasoning_effort="none"}'),
        ({"enable_thinking": False}, {"reasoning_effort": "none"}, r"asked not to, so raise sampling\.max_tokens"),
        ({}, {"reasoning": {"effort": "none"}}, r"asked not to, so raise sampling\.max_tokens"),
    ],
)
def test_what_was_tried_against_reasoning_is_not_advised_again(template, body, told):
    advice = how_to_switch_off(template, body)
    assert re.search(told, advice)
    assert "enable_thinking" not in advice


@pytest.mark.parametrize(("code", "asked"), [(429, 3), (502, 3), (400, 1)])
def test_an_error_with_status_200_is_taken_for_what_it_is(code, asked):
    """OpenRouter sends the errors of the provider behind it so."""
    with ChatServer(default=sends(200, {"error": {"code": code, "message": "Provider returned error"}})) as server:
        (said,) = ask(engine(server, max_retries=2), view())
        assert len(server.requests) == asked
    assert f"answered {code}: Provider returned error" in str(said)


def test_a_servers_whole_sentence_reaches_the_row():
    sentence = "The server does not take pictures because " + " and ".join(f"reason {i}" for i in range(100)) + "."
    with ChatServer(default=sends(400, {"error": {"message": sentence}})) as server:
        (said,) = ask(engine(server), view())
    assert sentence in str(said)
