"""Judging through a server of the OpenAI API, with answers that are computed from what is true of a sample world."""

from __future__ import annotations

import asyncio
import json
import math
import random

import pyarrow.parquet as pq
import pytest

from benchmarks.releasing.judge import change
from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.judge_scores import judged_by
from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext
from capgen.pipeline.engines.openai import Openai
from capgen.pipeline.engines.scoring.base import scorer_of
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.questions import QUESTIONS
from capgen.pipeline.judging.records import JudgeRules
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.running.retry import recorded
from capgen.pipeline.settings import ModelSettings, SamplingSettings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View
from capgen.sample.write import write_world
from capgen.text import words
from tests.pipeline.engines.chatserver import ChatServer, completion, error, http, says
from tests.pipeline.runs import session

WITH_SERVER = {"engine.name": "openai", "engine.options.image_format": "png"}
ASKS_OF = {"kind": "category", "colour": "colour", "parts": "texture"}


def told(choices, **more):
    """A completion whose first token has these probabilities."""
    top = [{"token": token, "logprob": math.log(value)} for token, value in choices.items()]
    first = {"token": top[0]["token"], "logprob": top[0]["logprob"], "top_logprobs": top}
    message = {"role": "assistant", "content": top[0]["token"]}
    return {"choices": [{"message": message, "finish_reason": "length", "logprobs": {"content": [first]}}]} | more


def knowing(facts, keys):
    """Answers yes where what a question is about is as the facts say; it knows the object by its marked picture."""

    async def act(request, server, writer):
        *_, picture, _place, asked = request.body["messages"][-1]["content"]
        fact = facts[keys[picture["image_url"]["url"]]]
        name = next(name for name, question in QUESTIONS.items() if question in asked["text"])
        said = set(words(asked["text"].partition('"')[2].rpartition('"')[0]))
        about = [ASKS_OF[name]] if name in ASKS_OF else ["size", *ASKS_OF.values()]
        right = all(set(words(fact[one])) <= said for one in about if fact[one])
        body = completion(request) | told({"Yes": 0.9, " no": 0.1} if right else {"No": 0.8, "yes": 0.2})
        writer.write(http(200, json.dumps(body).encode()))

    return act


def test_yes_no_tells_true_sentences_from_changed_ones_where_the_model_can_answer(tmp_path):
    """The whole way: pictures, questions in shuffled order, probabilities, table; every claim is asked alone."""
    world = tmp_path / "world"
    write_world(world, images=1, videos=0, seed=5)
    flags = {"source.root": world / "lvis", "engine.name": "echo", "model.id": "none"}
    out, _ = session(load_settings("sample-images", flags, ("tries.again=[]",)), tmp_path / "out")
    every = json.loads((world / "facts.json").read_text())["objects"]
    facts = {key: one for key, one in every.items() if key.startswith("lvis/")}
    true, changed, attributes = change(facts, random.Random(1))
    with ChatServer() as server:
        settings = recorded(out, flags | WITH_SERVER | {"engine.options.base_urls": [server.url]}).settings
        renderer = Renderer(settings.render, prompt_of(settings.prompt))
        media = [decode_media(planned, world / "lvis") for planned in build_source(settings).scan()]
        views = [view for one in media for view in render_media(one, renderer) if isinstance(view, View)]
        server.default = knowing(facts, {_marked(view): view.key for view in views})
        found = {}
        for name, sentences in (("true", true), ("changed", changed)):
            table = tmp_path / f"{name}.parquet"
            rules = JudgeRules(method="yes_no")
            summary = judge_run(out, settings, rules, sentences=sentences, table=table)
            found[name] = {row["key"]: row for row in pq.read_table(table).to_pylist()}
            assert summary.prompt_tokens == 11 * len(QUESTIONS) * len(facts)
    assert {row["verdict"] for row in found["true"].values()} == {"right"}
    assert {row["verdict"] for row in found["changed"].values()} == {"wrong"}
    key = next(key for key, name in attributes.items() if name == "colour")
    assert dict(found["changed"][key]["answers"])["colour"] == pytest.approx(0.2)
    assert dict(found["changed"][key]["answers"])["kind"] == pytest.approx(0.9)


def _marked(view):
    from capgen.pipeline.engines.chat_completions import BodyOptions, data_uri

    return data_uri(view.pictures[-1], BodyOptions(image_format="png"))


def scored(server, sentence, **options):
    """What a server's scorer tells of a sentence."""

    async def run():
        engine = Openai(base_urls=server.url, max_retries=0, **options)
        session = await engine.start(EngineContext(ModelSettings(id="m"), SamplingSettings()))
        try:
            return await scorer_of(session).sentence(View("a/b/1/2", "", (), ("Look.",), "cup"), sentence)
        finally:
            await session.stop()

    return asyncio.run(run())


def prompt(*tokens):
    """A completion with values of the prompt's tokens, as vLLM's server tells them."""
    rows = [{str(n): {"logprob": value, "rank": 1, "decoded_token": text}} for n, (text, value) in enumerate(tokens)]
    return told({"Yes": 1.0}, prompt_logprobs=[None, *rows])


def test_the_values_of_a_sentence_are_found_by_its_text_or_by_the_prompts_length():
    with ChatServer() as server:
        server.default = says(prompt(("Look", -3.0), (":", -2.0), ("A", -0.5), (" cup", -0.25)))
        assert scored(server, "A cup").logprobs == (-0.5, -0.25)
        body = server.requests[0].body
        assert body["messages"][-1] == {"role": "assistant", "content": "A cup"}
        assert (body["prompt_logprobs"], body["continue_final_message"], body["max_tokens"]) == (0, True, 1)
        with_piece = prompt(*((str(n), -1.0) for n in range(10)), ("A", -0.5), ("\ufffd", -0.75))
        server.default = says(with_piece)
        assert scored(server, "A \u00e8").logprobs == (-0.5, -0.75), "11 tokens are the prompt's"


def test_a_server_that_cannot_score_is_named_with_what_can():
    with ChatServer() as server:
        server.default = says({})
        with pytest.raises(UserError, match=r"no log-probabilities \(prompt_logprobs\).*--method yes_no"):
            scored(server, "A cup")
        server.default = error(400, "unknown field prompt_logprobs")
        with pytest.raises(UserError, match="method fit needs"):
            scored(server, "A cup")
        server.default = says(prompt((":", -2.0), (" A", -0.5), (" cup", -0.25)))
        with pytest.raises(UserError, match="chat template makes ' A' of a sentence's beginning"):
            scored(server, "A cup")


def believing(request):
    """A completion whose sentence is probable where the request tells a category that the sentence has."""
    *asked, last = request.body["messages"]
    if last["role"] == "user":  # how does an answer begin?
        return told({"A": 1.0})
    told_as = asked[-1]["content"][-1]["text"].rpartition("The object is a ")[2].partition(".")[0]
    value = -0.1 if told_as and told_as in last["content"] else -5.0
    return prompt((":", -2.0), (last["content"], value))


def test_fit_tells_the_model_the_category_that_the_run_kept_from_it_unless_that_is_not_wanted(tmp_path):
    world = tmp_path / "world"
    write_world(world, images=1, videos=0, seed=5)
    flags = {"source.root": world / "lvis", "engine.name": "echo", "model.id": "none"}
    out, _ = session(load_settings("sample-images", flags, ("tries.again=[]",)), tmp_path / "out")
    every = json.loads((world / "facts.json").read_text())["objects"]
    sentences = {key: f"A {one['category'].replace('_', ' ')}" for key, one in every.items() if key.startswith("lvis/")}
    table, found = RunLayout(out).judge, {}

    async def act(request, server, writer):
        writer.write(http(200, json.dumps(completion(request) | believing(request)).encode()))

    with ChatServer() as server:
        server.default = act
        settings = recorded(out, flags | WITH_SERVER | {"engine.options.base_urls": [server.url]}).settings
        for category in (True, False):
            summary = judge_run(out, settings, JudgeRules(contrast=1, category=category), sentences=sentences)
            assert summary.category_told is category
            assert judged_by(table).category_told is category
            found[category] = {row["verdict"] for row in pq.read_table(table).to_pylist()}
    assert found == {True: {"right"}, False: {"wrong"}}
    assert JudgeRules("yes_no").tells_category(settings.prompt) is False, "questions stand behind the run's own request"
    assert JudgeRules("confidence").tells_category(settings.prompt) is None
