"""The client of OpenAI-compatible servers against a real server on this machine that misbehaves on schedule."""

import asyncio
import base64
import json
import pickle
import time
from collections import Counter
from email.utils import formatdate

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from capgen.errors import UserError
from capgen.pipeline.caption import Asker
from capgen.pipeline.config import load_settings
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineFault, RequestRefused, build_engine
from capgen.pipeline.engines.openai import Openai
from capgen.pipeline.settings import EngineSettings, ModelSettings, SamplingSettings
from capgen.pipeline.view import Picture, Turn, View
from capgen.pipeline.verify import verify
from tests.pipeline import runs
from tests.pipeline.engines import chatserver
from tests.pipeline.engines.chatserver import ChatServer, completion, cut, drip, drop, error, hang, http, says, twice

KEY = "sk-secret-0123456789abcdef"
CONTEXT = EngineContext(ModelSettings(id="tiny-vlm"), SamplingSettings(max_tokens=24, seed=5))
PIXELS = np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8)


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


@pytest.fixture(autouse=True)
def no_key_about(monkeypatch):
    """A key in the environment that nobody named."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-not-asked-for")


def engine(*servers, **options):
    quick = {"timeout_s": 5.0, "connect_s": 2.0, "backoff_s": 0.01, "max_wait_s": 1.0}
    return Openai(**quick | {"base_urls": [one.url for one in servers]} | options)


def view(number=1, medium=1, parts=None):
    shown = parts or ("Look.", Picture(PIXELS, "d1"), f"object {medium}/{number}")
    return View(f"lvis/val/{medium}/{number}", "Be brief.", (), shown, "cup")


def ask(options, *views, at_once=True):
    """The answers, or the faults, in order."""

    async def run():
        session = await options.start(CONTEXT)
        try:
            if at_once:
                return await asyncio.gather(*(session.answer(one) for one in views), return_exceptions=True)
            return [(await asyncio.gather(session.answer(one), return_exceptions=True))[0] for one in views]
        finally:
            await session.stop()

    return asyncio.run(run())


def settle(options, *views, attempts=2):
    async def run():
        session = await options.start(CONTEXT)
        asker = Asker(session, attempts)
        try:
            return await asyncio.gather(*(asker.ask(one, "r") for one in views))
        finally:
            await session.stop()

    return asyncio.run(run())


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
    (said,) = ask(engine(server, timeout_s=0.4), view())
    assert said.text == "Answer to object 1/1"
    assert len(server.requests) == 2


@pytest.mark.parametrize("act", [error(500), says(b"{"), cut, hang])
def test_a_fault_that_stays_fails_one_request_and_takes_no_other_with_it(act):
    async def unkind(request, server, writer):
        await (act if request.text == "object 1/3" else chatserver.answer)(request, server, writer)
        if act is cut and request.text == "object 1/3":
            writer.close()

    with ChatServer(default=unkind) as server:
        said = settle(engine(server, max_retries=1, timeout_s=0.4), *(view(n) for n in range(6)))
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
    class State:
        def __init__(self, number):
            self.attempt_number, self.outcome = number, self

        def exception(self):
            from capgen.pipeline.engines.openai import _Passing

            return _Passing("x")

    options = Openai(backoff_s=1.0, max_wait_s=8.0)

    async def waits(number):
        session = await options_session(options)
        return [session._wait(State(number)) for _ in range(200)]

    first, third, late = (asyncio.run(waits(number)) for number in (1, 3, 20))
    assert max(first) <= 1 < max(third) <= 4 < max(late) <= 8
    assert len(set(first)) > 100


async def options_session(options):
    from capgen.pipeline.engines.openai import OpenaiSession

    return OpenaiSession(options, None, (), None, None)


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
    """A cache before the server that answers everything with the first answer, id and all, for a while."""
    server.schedule.extend([says({"id": "one"}), says({"id": "one"}), says({"id": "two"})])
    said = ask(engine(server), view(1), view(2), at_once=False)
    assert [one.text for one in said] == ["Answer to object 1/1", "Answer to object 1/2"]
    assert len(server.requests) == 3
    server.default = says({"id": "always"})
    said = ask(engine(server, check_ids=False), view(1), view(2), at_once=False)
    assert [one.text for one in said] == ["Answer to object 1/1", "Answer to object 1/2"]


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


@pytest.mark.parametrize(("status", "code"), [(401, None), (404, None), (429, "insufficient_quota"), (302, None)])
def test_what_only_the_user_can_mend_ends_the_run(server, status, code):
    server.schedule.append(error(status, f"bad key {KEY}", code))
    (said,) = ask(engine(server), view())
    assert isinstance(said, UserError)
    assert str(status) in str(said)
    assert len(server.requests) == 1


def test_a_single_request_without_an_endpoint_ends_nothing(server):
    server.schedule.extend([chatserver.answer, error(404), error(403)])
    _, *said = ask(engine(server), view(1), view(2), view(3), at_once=False)
    assert [type(item) for item in said] == [RequestRefused, RequestRefused]


def test_a_wrong_key_is_found_before_anything_is_asked():
    with ChatServer(models=401) as server, pytest.raises(UserError, match=r"answered 401.*api_key_env"):
        asyncio.run(engine(server).start(CONTEXT))


def test_the_key_comes_from_the_variable_that_is_named_and_no_other(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    ask(engine(server, api_key_env="MY_KEY"), view())
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    ask(engine(server), view())
    assert "authorization" not in server.requests[1].headers
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(UserError, match="the variable MY_KEY is not set"):
        asyncio.run(engine(server, api_key_env="MY_KEY").start(CONTEXT))


def test_the_key_is_in_no_message_and_no_option(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    server.schedule.extend([error(400, f"wrong: {KEY}"), error(401, f"wrong key {KEY}"), *[error(500, KEY)] * 2])
    options = engine(server, api_key_env="MY_KEY", max_retries=1)
    refused, unusable, failed = ask(options, view(1), view(2), view(3), at_once=False)
    for fault in (refused, unusable, failed):
        assert "***" in str(fault)
        assert KEY not in str(fault)
        assert KEY.encode() not in pickle.dumps(fault)
        assert fault.__cause__ is None
    assert (type(refused), type(unusable), type(failed)) == (RequestRefused, UserError, EngineFault)
    assert KEY.encode() not in pickle.dumps(options)

    async def shown():
        session = await options.start(CONTEXT)
        await session.stop()
        return repr(session)

    assert KEY not in asyncio.run(shown())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"base_urls": "http://user:pw@host/v1"}, "must hold no user"),
        ({"base_urls": ["http://host/v1?key=secret"]}, "must hold no user, password or query"),
        ({"base_urls": "host:8000"}, "is not of the form"),
        ({"base_urls": []}, "base_urls is empty"),
        ({"api_key_env": KEY}, "is the name of an environment variable"),
        ({"image_format": "bmp"}, "image_format must be one of"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
    ],
)
def test_a_wrong_option_is_refused_and_secrets_are_not_repeated(options, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        build_engine(EngineSettings(name="openai", options=options))
    assert not [secret for secret in ("pw@", "secret", KEY) if secret in str(caught.value)]


def test_several_servers_may_be_given_as_one_text():
    assert Openai(base_urls="http://a/v1/, https://b/v1,").urls == ("http://a/v1", "https://b/v1")


def test_a_whole_run_closes_its_ledger_and_holds_the_key_nowhere(lvis_root, tmp_path, monkeypatch):
    """Fifteen objects; faults that pass, a refusal, and a server that repeats the key in its messages."""
    monkeypatch.setenv("MY_KEY", KEY)

    async def caption(request, server, writer):
        text = f"A tall cup with the number {len(server.requests)} on its side."
        writer.write(http(200, json.dumps(completion(request, text)).encode()))

    with ChatServer(default=caption, models=404) as server:
        server.schedule.extend([caption, error(500, KEY), cut, says(b"{"), error(400, f"not with {KEY}")])
        flags = {
            "source.root": lvis_root,
            "model.id": "tiny-vlm",
            "run.shard_objects": 5,
            "engine.name": "openai",
            "engine.options.base_urls": [server.url],
            "engine.options.api_key_env": "MY_KEY",
            "engine.options.backoff_s": 0.01,
        }
        settings = load_settings("lvis", flags)
        out, report = runs.session(settings, tmp_path / "out")
    ledger = verify(out)
    assert ledger.ok
    assert (ledger.planned, ledger.kept, ledger.failed) == (15, 14, {"request_refused": 1})
    rows = [row for file in (out / "candidates").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert {row["cached_tokens"] for row in rows if row["status"] == "kept"} == {8}
    (refused,) = [row for row in rows if row["status"] == "failed"]
    assert "***" in refused["message"]
    assert len(server.requests) == 15 + 3
    files = [file for file in out.rglob("*") if file.is_file()]
    assert len(files) > 8
    assert not [file for file in files if KEY.encode() in file.read_bytes()]
