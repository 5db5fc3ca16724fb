"""The API engine's key and its other options, and a whole run over it: the key is in no file and no message."""

import asyncio
import json
import pickle

import pyarrow.parquet as pq
import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineFault, RequestRefused, build_engine
from capgen.pipeline.engines.openai import Openai
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.settings import EngineSettings
from tests.pipeline import runs
from tests.pipeline.engines import chatserver
from tests.pipeline.engines.asking import CONTEXT, ask, engine, view
from tests.pipeline.engines.chatserver import ChatServer, completion, cut, error, http, says

KEY = "sk-secret-0123456789abcdef"


@pytest.fixture
def server():
    with ChatServer() as running:
        yield running


@pytest.fixture(autouse=True)
def usual_key(monkeypatch):
    """The key in the variable that counts where no other is named."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-usual-0123456789")


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


def test_a_wrong_key_is_found_before_anything_is_asked(monkeypatch):
    with ChatServer(models=401) as server:
        with pytest.raises(UserError, match=r"answered 401.*set the variable OPENAI_API_KEY to a valid key"):
            asyncio.run(engine(server).start(CONTEXT))
        monkeypatch.delenv("OPENAI_API_KEY")
        with pytest.raises(UserError, match=r"answered 401.*set OPENAI_API_KEY, or name .*api_key_env"):
            asyncio.run(engine(server).start(CONTEXT))


def test_the_key_comes_from_the_variable_that_is_named_else_from_the_usual_one(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    ask(engine(server, api_key_env="MY_KEY"), view())
    assert server.requests[0].headers["authorization"] == f"Bearer {KEY}"
    ask(engine(server), view())
    assert server.requests[1].headers["authorization"] == "Bearer sk-usual-0123456789"
    ask(engine(server, api_key_env=""), view())
    assert "authorization" not in server.requests[2].headers
    monkeypatch.delenv("OPENAI_API_KEY")
    ask(engine(server), view())
    assert "authorization" not in server.requests[3].headers
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
        ({"base_urls": "user:pw@host/v1"}, "must hold no user"),
        ({"base_urls": "pw@host"}, "must hold no user"),
        ({"base_urls": "http://host:secret/v1"}, "the port of an address is no number"),
        ({"base_urls": "http://[secret/v1"}, "must hold no user"),
        ({"api_key_env": KEY}, "is the name of an environment variable"),
        ({"api_key_env": "hf_secretsecretsecretsecret"}, "is the name of an environment variable"),
        ({"api_key_env": "gsk_secret0123456789ABCdef"}, "is the name of an environment variable"),
        ({"api_key_env": "SECRETA1B2C3D4E5F6G7H8"}, "is the name of an environment variable"),
        ({"api_key_env": "0123456789secret0123456789"}, "is the name of an environment variable"),
        ({"image_format": "bmp"}, "image_format must be one of"),
        ({"concurrency": 0}, "concurrency must be at least 1"),
    ],
)
def test_a_wrong_option_is_refused_and_secrets_are_not_repeated(options, sentence):
    with pytest.raises(UserError, match=sentence) as caught:
        build_engine(EngineSettings(name="openai", options=options))
    assert not [secret for secret in ("pw", "secret", "SECRET", KEY) if secret in str(caught.value)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("extra_body.api_key", "secret"),
        ("extra_body.headers.Authorization", "Bearer secret"),
        ("extra_body.user", "sk-secret0123456789abcdef"),
        ("extra_body.callback", "https://me:secret@host/x"),
        ("extra_body.callback", "https://host/x?api_key=secret"),
        ("extra_body.note", f"my key is {KEY}!"),
        ("extra_body.metadata", ["a", {"hf_token": "secret"}]),
        ("args.hf_token", "hf_secretsecretsecret1"),
    ],
)
def test_a_key_among_the_engines_options_is_refused_before_it_is_recorded(place, value, monkeypatch):
    """Settings are written to plan.json. ``KEY`` is known because a variable of the environment holds it."""
    monkeypatch.setenv("MY_API_KEY", KEY)
    with pytest.raises(UserError, match=r"engine.options: extra_body|engine.options: args") as caught:
        load_settings("lvis", {"model.id": "m", "engine.name": "openai", f"engine.options.{place}": value})
    assert "may be a key or a password, and settings are recorded in OUT" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 5, "stop_token_ids": [1, 2], "prompt_cache_key": "run-7", "eos_token": "<|end|>"},
        {"chat_template": "{% if a %}user: {{ b }}@{% endif %}", "model": "hf-internal-testing/tiny-random"},
        {"url": "https://host/x?detail=low", "token": "", "guided_regex": "[a-z]+@[a-z]+"},
    ],
)
def test_fields_that_are_no_keys_are_let_through(fields):
    assert load_settings("lvis", {"model.id": "m", "engine.name": "openai", "engine.options.extra_body": fields})


def test_an_answer_that_repeats_the_key_is_no_caption(server, monkeypatch):
    monkeypatch.setenv("MY_KEY", KEY)
    said = []
    for caption in (f"A cup with {KEY} on it.", f"{' '.join(KEY[:20])}", "A secret cup 0123456 of sk."):

        async def answer(request, server, writer, caption=caption):
            writer.write(http(200, json.dumps(completion(request, caption)).encode()))

        server.schedule.append(answer)
        said += ask(engine(server, api_key_env="MY_KEY", max_retries=0), view())
    assert [type(one).__name__ for one in said] == ["EngineFault", "EngineFault", "Answer"]
    assert "the answer repeats the key" in str(said[0])


def test_a_finish_reason_that_repeats_the_key_is_recorded_nowhere(server, monkeypatch):
    """Rows and journals hold the server's own word for why an answer ended."""
    monkeypatch.setenv("MY_KEY", KEY)

    async def answer(request, server, writer):
        body = completion(request, "A tall cup.")
        body["choices"][0]["finish_reason"] = f"stopped-{KEY}"
        writer.write(http(200, json.dumps(body).encode()))

    server.schedule.append(answer)
    (said,) = ask(engine(server, api_key_env="MY_KEY", max_retries=0), view())
    assert "the answer repeats the key" in str(said)
    assert KEY[:9] not in str(said)


def test_several_servers_may_be_given_as_one_text():
    assert Openai(base_urls="http://a/v1/, https://b/v1,").urls == ("http://a/v1", "https://b/v1")


def test_odd_numbers_in_answers_cost_nothing_but_themselves(lvis_root, tmp_path):
    """A count that no row can hold, journalled, ended its shard on every resume."""
    odd = iter([2**31, -1, 1e300, "many", None, 9.0])

    async def caption(request, server, writer):
        text = f"A tall cup with the number {len(server.requests)} on its side."
        usage = {"prompt_tokens": next(odd, 5), "completion_tokens": 2**40}
        writer.write(http(200, json.dumps(completion(request, text, usage=usage)).encode()))

    with ChatServer(default=caption) as server:
        flags = {"source.root": lvis_root, "model.id": "tiny-vlm", "engine.name": "openai"}
        flags["engine.options.base_urls"] = server.url
        out, _ = runs.session(load_settings("lvis", flags), tmp_path / "out")
    ledger = verify(out)
    assert (ledger.ok, ledger.planned, ledger.kept) == (True, 15, 15)
    rows = [row for file in (out / "candidates").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert sorted(row["prompt_tokens"] for row in rows) == [0] * 5 + [5] * 9 + [9]


def test_a_whole_run_closes_its_ledger_and_holds_the_key_nowhere(lvis_root, tmp_path, monkeypatch):
    """Fifteen objects; faults that pass, a refusal, and a server that repeats the key in its messages."""
    monkeypatch.setenv("MY_KEY", KEY)

    async def caption(request, server, writer):
        text = f"A tall cup with the number {len(server.requests)} on its side."
        writer.write(http(200, json.dumps(completion(request, text)).encode()))

    with ChatServer(default=caption, models=404) as server:
        server.schedule.extend([caption, error(500, KEY), cut, says(b"{"), error(400, f"{'x' * 280}{KEY}")])
        flags = {
            "source.root": lvis_root,
            "model.id": "tiny-vlm",
            "run.shard_objects": 5,
            "engine.name": "openai",
            "engine.options.base_urls": [server.url],
            "engine.options.api_key_env": "MY_KEY",
            "engine.options.backoff_s": 0.01,
            "tries.again": [],
        }
        settings = load_settings("lvis", flags)
        out, _ = runs.session(settings, tmp_path / "out")
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
    assert not [file for file in files if KEY[:9].encode() in file.read_bytes()]
