"""The client of OpenAI-compatible servers against a real server on this machine that misbehaves on schedule."""

import asyncio
import base64
import json
import time
from collections import Counter
from dataclasses import replace
from email.utils import formatdate

import cv2
import numpy as np
import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineDead, RequestRefused
from capgen.pipeline.engines.openai import Openai, OpenaiSession, _Passing
from capgen.pipeline.view import Picture, Turn, View, request_digest
from tests.pipeline.engines import chatserver
from tests.pipeline.engines.asking import CONTEXT, PIXELS, ask, engine, settle, view
from tests.pipeline.engines.chatserver import ChatServer, completion, cut, drip, drop, error, hang, http, says, twice


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


def test_a_request_says_everything_that_decides_the_answer(server):
    example = Turn("What is it?", "A red cup.")
    wanted = View("lvis/val/1/2", "Be brief.", (example,), ("Look.", Picture(PIXELS, "d1"), "What?"), "cup")
    (said,) = ask(engine(server, image_format="png", extra_body={"top_k": 1}), wanted)
    assert (said.text, said.finish_reason) == ("Answer to What?", "stop")
    assert (said.prompt_tokens, said.cached_tokens, said.output_tokens) == (11, 8, 3)
    (request,) = server.requests
    assert request.path == "/v1/chat/completions"
    body = request.body
    assert [turn["role"] for turn in body["messages"]] == ["system", "user", "assistant", "user"]
    assert (body["model"], body["max_tokens"], body["temperature"], body["seed"], body["top_k"]) == (
        "tiny-vlm",
        24,
        0.0,
        5,
        1,
    )
    picture = body["messages"][-1]["content"][1]
    assert set(picture) == {"type", "image_url"}, "a field that vLLM alone knows was sent unasked"
    kind, _, data = picture["image_url"]["url"].partition(",")
    assert kind == "data:image/png;base64"
    pixels = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), PIXELS)


def test_a_request_may_have_a_schema_and_a_seed_of_its_own(server):
    schema = {"type": "object", "properties": {"answer": {"type": "string", "enum": ["A", "B"]}}}
    plain = view(1)
    held = replace(plain, schema=schema, seed=77)
    ask(engine(server), plain, held, at_once=False)
    first, second = (request.body for request in server.requests)
    assert "response_format" not in first
    assert (first["seed"], second["seed"]) == (5, 77)
    assert second["response_format"]["type"] == "json_schema"
    assert second["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": True}
    digests = {request_digest(one, "s") for one in (plain, held, replace(plain, seed=77), replace(plain, seed=78))}
    assert len(digests) == 4


def test_a_server_may_want_other_fields(server):
    ask(engine(server, token_limit="max_completion_tokens", picture_ids=True), view())
    body = server.requests[0].body
    assert body["max_completion_tokens"] == 24
    assert "max_tokens" not in body
    assert body["messages"][-1]["content"][1]["uuid"] == "d1"
    assert body["messages"][-1]["content"][1]["image_url"]["url"].startswith("data:image/jpeg;base64,")


@pytest.mark.parametrize(
    "act",
    [
        error(500),
        error(503),
        error(429, Retry_After="0.05"),
        error(408),
        cut,
        drop,
        says(b"{"),
        says(b"<html>busy</html>"),
        says(b""),
        says(b"\xff\xfe"),
        says(b"[]"),
        says({"choices": []}),
        says({"choices": None}),
        says({"choices": [{"message": {"content": 7}}]}),
    ],
    ids=lambda act: getattr(act, "__name__", ""),
)
def test_a_fault_that_passes_is_asked_again(server, act):
    server.schedule.extend([act, act])
    (said,) = ask(engine(server), view())
    assert said.text == "Answer to object 1/1"
    assert len(server.requests) == 3


@pytest.mark.parametrize("act", [hang, drip])
def test_a_request_that_hangs_is_given_up_and_asked_again(server, act):
    server.schedule.append(act)
    (said,) = ask(engine(server, timeout_s=1.5), view())
    assert said.text == "Answer to object 1/1"
    assert len(server.requests) == 2


@pytest.mark.parametrize("act", [error(500), says(b"{"), cut, hang])
def test_a_fault_that_stays_fails_one_request_and_takes_no_other_with_it(act):
    async def unkind(request, server, writer):
        await (act if request.text == "object 1/3" else chatserver.answer)(request, server, writer)
        if act is cut and request.text == "object 1/3":
            writer.close()

    with ChatServer(default=unkind) as server:
        said = settle(engine(server, max_retries=1, timeout_s=1.5), *(view(n) for n in range(6)))
        assert [one.fault for one in said] == [None, None, None, "engine_failed", None, None]
        assert said[3].attempts == 2
        assert server.url in said[3].message
        assert Counter(request.text for request in server.requests)["object 1/3"] in {3, 4}


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_the_server_refuses_is_asked_once(server, status):
    server.schedule.append(error(status, "the prompt is too long"))
    refused, answered = ask(engine(server), view(1), view(2), at_once=False)
    assert isinstance(refused, RequestRefused)
    assert f"{server.url} answered {status}: the prompt is too long" in str(refused)
    assert answered.text == "Answer to object 1/2"
    assert len(server.requests) == 2


@pytest.mark.parametrize("wait", ["0.6", lambda: formatdate(time.time() + 2, usegmt=True)])
def test_retry_after_is_waited_for_by_every_request(server, wait):
    server.schedule.append(error(429, Retry_After=wait if isinstance(wait, str) else wait()))
    begun = time.monotonic()
    said = ask(engine(server, max_wait_s=5.0), view(1), view(2), at_once=False)
    assert [one.text for one in said] == ["Answer to object 1/1", "Answer to object 1/2"]
    assert time.monotonic() - begun > 0.5
    assert len(server.requests) == 3


def test_waits_grow_and_differ():
    """Full jitter: clients that failed together do not come back together."""

    class State:
        def __init__(self, number):
            self.attempt_number, self.outcome = number, self

        def exception(self):
            return _Passing("it failed")

    session = OpenaiSession(Openai(backoff_s=1.0, max_wait_s=8.0), None, (), None)
    first, third, late = ([session._wait(State(number)) for _ in range(200)] for number in (1, 3, 20))
    assert max(first) <= 1 < max(third) <= 4 < max(late) <= 8
    assert len(set(first)) > 100


def test_answers_out_of_order_reach_their_own_requests():
    """Answers come back in the reverse order of the requests; each still belongs to its exchange."""

    async def late(request, server, writer):
        await asyncio.sleep(0.3 - 0.02 * int(request.text.rpartition("/")[2]))
        await chatserver.answer(request, server, writer)

    with ChatServer(default=late) as server:
        said = ask(engine(server), *(view(n) for n in range(12)))
        assert [one.text for one in said] == [f"Answer to object 1/{n}" for n in range(12)]


def test_an_answer_to_another_request_is_noticed_and_asked_again():
    """A server that swaps the answers of two requests, as one with a defective batch does."""
    waiting = []

    async def swapped(request, server, writer):
        if len(server.requests) > 2:
            return await chatserver.answer(request, server, writer)
        waiting.append((request, writer))
        if len(waiting) == 2:
            for (asked, _), (_, line) in zip(waiting, reversed(waiting), strict=True):
                line.write(http(200, json.dumps(completion(asked)).encode()))
                await line.drain()
        else:
            await asyncio.sleep(0.5)
        return None

    with ChatServer(default=swapped) as server:
        said = ask(engine(server), view(1), view(2))
        assert [one.text for one in said] == ["Answer to object 1/1", "Answer to object 1/2"]
        assert len(server.requests) == 4


def test_an_answer_sent_twice_is_not_the_next_requests_answer(server):
    """The second copy lies in the connection when the next request is sent; connections are not used again."""
    server.default = twice
    said = ask(engine(server, concurrency=1, check_ids=False), *(view(n) for n in range(4)), at_once=False)
    assert [one.text for one in said] == [f"Answer to object 1/{n}" for n in range(4)]


def test_an_answer_given_again_for_another_request_is_noticed(server):
    """A cache before the server that answers everything with the first answer for a while."""
    first = json.dumps({"id": "one", "choices": [{"message": {"content": "A cup."}, "finish_reason": "stop"}]}).encode()
    server.schedule.extend([says(first), says(first)])
    said = ask(engine(server), view(1), view(2), at_once=False)
    assert [one.text for one in said] == ["A cup.", "Answer to object 1/2"]
    assert len(server.requests) == 3
    server.default = says(first)
    said = ask(engine(server, check_ids=False), view(1), view(2), at_once=False)
    assert [one.text for one in said] == ["A cup.", "A cup."]


def test_ids_that_come_again_with_other_answers_cost_nothing():
    """Ollama draws its ids from 999 numbers, others count from 0 at each start, and two servers count alike."""
    with ChatServer(default=says({"id": 7})) as one, ChatServer(default=says({"id": 7})) as other:
        options = {"base_urls": [one.url, other.url]}
        said = ask(engine(one, **options), *(view(n) for n in range(8)))
        assert [answer.text for answer in said] == [f"Answer to object 1/{n}" for n in range(8)]
        assert len(one.requests) + len(other.requests) == 8


@pytest.mark.parametrize(
    ("given", "kept"),
    [("length", "length"), ("content_filter", "content_filter"), ("eos_token", "stop"), (None, "none")],
)
def test_finish_reasons_are_kept_and_only_an_end_is_a_stop(server, given, kept):
    server.schedule.append(says({"choices": [{"message": {"content": "A cup"}, "finish_reason": given}]}))
    (said,) = ask(engine(server), view())
    assert said.finish_reason == kept


def test_a_refusal_is_no_caption_and_counts_may_be_missing(server):
    choice = {"message": {"content": None, "refusal": "I cannot."}, "finish_reason": "stop"}
    server.schedule.append(says({"choices": [choice], "usage": None}))
    (said,) = ask(engine(server), view())
    assert (said.text, said.finish_reason, said.prompt_tokens) == ("I cannot.", "refusal", 0)


def test_no_more_requests_are_in_flight_than_asked_for():
    async def slow(request, server, writer):
        await asyncio.sleep(0.1)
        await chatserver.answer(request, server, writer)

    with ChatServer(default=slow) as server:
        ask(engine(server, concurrency=3), *(view(n) for n in range(10)))
        assert server.busiest <= 4
        assert engine(server, concurrency=3).in_flight == 3


def test_the_objects_of_a_picture_go_to_one_server_and_pictures_to_all():
    with ChatServer() as one, ChatServer() as two:
        views = [view(n, medium) for medium in range(30) for n in range(3)]
        ask(engine(one, two), *views)
        media = [{request.text.split()[1].split("/")[0] for request in server.requests} for server in (one, two)]
        assert not media[0] & media[1]
        assert min(len(part) for part in media) > 5


def test_another_server_answers_while_one_is_down():
    with ChatServer() as one, ChatServer() as two:
        options = engine(one, two)
        views = [view(n, medium) for medium in range(10) for n in range(2)]

        async def run():
            session = await options.start(CONTEXT)
            before = [await session.answer(item) for item in views[:4]]
            await asyncio.to_thread(one.__exit__)
            after = await asyncio.gather(*(session.answer(item) for item in views[4:]))
            await session.stop()
            return [*before, *after]

        said = asyncio.run(run())
        assert [item.text for item in said] == [f"Answer to {item.parts[-1]}" for item in views]


def test_a_server_that_fails_is_left_for_another():
    with ChatServer(default=error(503)) as bad, ChatServer() as good:
        said = ask(engine(bad, good), *(view(1, medium) for medium in range(8)))
        assert [item.text for item in said] == [f"Answer to object {medium}/1" for medium in range(8)]
        assert len(good.requests) == 8


def test_when_every_server_is_gone_the_engine_is_dead_and_no_request_is_lost():
    """`EngineDead` hands the shard out again; a fault would write the request off."""
    with ChatServer() as server:
        options = engine(server, max_retries=1)

        async def run():
            session = await options.start(CONTEXT)
            await asyncio.to_thread(server.__exit__)
            with pytest.raises(EngineDead, match="no server answers"):
                await session.answer(view())
            await session.stop()

        asyncio.run(run())
        with pytest.raises(UserError, match=r"no server answers at http://127.*start it first"):
            asyncio.run(options.start(CONTEXT))


def test_log_probabilities_are_asked_for_and_come_into_the_answer(server):
    pieces = [("A", -2.0), (" red", -3.0), (" cup", -0.25), (".", -4.0)]
    given = {"content": [{"token": token, "logprob": value} for token, value in pieces]}
    choice = {"message": {"content": "A red cup."}, "finish_reason": "stop", "logprobs": given}
    server.schedule.append(says({"choices": [choice]}))
    (said,) = ask(engine(server), view())
    assert server.requests[0].body["logprobs"] is True
    assert said.logprob_min == -0.25


def test_a_server_without_log_probabilities_is_asked_without_them_from_then_on(server):
    server.schedule.append(error(400, "logprobs is not supported by this model"))
    first, second = ask(engine(server), view(1), view(2), at_once=False)
    assert [first.text, second.text] == ["Answer to object 1/1", "Answer to object 1/2"]
    assert ["logprobs" in request.body for request in server.requests] == [True, False, False]
