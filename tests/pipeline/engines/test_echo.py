import asyncio
import json
from collections import Counter
from dataclasses import replace

import pytest

from capgen.errors import UserError
from capgen.pipeline.asking.ask import Asker
from capgen.pipeline.engines.base import EngineContext, EngineFault, build_engine
from capgen.pipeline.engines.echo import Echo
from capgen.pipeline.settings import EngineSettings, ModelSettings, SamplingSettings
from capgen.pipeline.view import View

CONTEXT = EngineContext(ModelSettings(id="none"), SamplingSettings())


def view(number, category="cup"):
    return View(f"lvis/val/1/{number}", "", (), ("say",), category)


def answers(engine, numbers, attempts=1):
    async def ask():
        asker = Asker(await engine.start(CONTEXT), attempts)
        return [await asker.ask(view(number), "r") for number in numbers]

    return asyncio.run(ask())


def test_the_answer_names_category_and_key():
    (settled,) = answers(Echo(), [17])
    assert settled.text == "A cup with the number 17."
    assert settled.finish_reason == "stop"


def test_an_answer_with_a_schema_follows_it():
    schema = {
        "properties": {
            "answer": {"enum": ["A", "B"]},
            "score": {"type": "integer", "minimum": 2, "maximum": 4},
            "why": {"type": "string"},
        }
    }

    async def ask():
        session = await Echo().start(CONTEXT)
        return [json.loads((await session.answer(replace(view(n), schema=schema))).text) for n in range(60)]

    said = asyncio.run(ask())
    assert set(Counter(one["answer"] for one in said)) == {"A", "B"}
    assert set(Counter(one["score"] for one in said)) == {2, 3, 4}
    assert said[5]["why"] == "A cup with the number 5."


def test_faults_come_at_their_rate_and_depend_only_on_seed_and_key():
    settled = answers(Echo(error_rate=0.3), range(500))
    failed = {s.key for s in settled if s.fault}
    assert 100 < len(failed) < 200
    again = answers(Echo(error_rate=0.3), reversed(range(500)))
    assert failed == {s.key for s in again if s.fault}
    other = answers(Echo(error_rate=0.3, seed=1), range(500))
    assert failed != {s.key for s in other if s.fault}


def test_a_fault_is_asked_again_and_attempts_are_counted():
    settled = answers(Echo(error_rate=0.3), range(500), attempts=8)
    assert not [s for s in settled if s.fault]
    assert {1, 2, 3} <= {s.attempts for s in settled}


def test_garbage_comes_at_its_rate():
    settled = answers(Echo(garbage_rate=0.2), range(500))
    garbage = [s for s in settled if s.text != f"A cup with the number {s.key.split('/')[-1]}."]
    assert 60 < len(garbage) < 140
    assert {"stop", "length"} == {s.finish_reason for s in garbage}


def test_a_stalled_request_never_answers():
    async def ask():
        session = await Echo(stall_rate=1.0).start(CONTEXT)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(session.answer(view(1)), 0.05)

    asyncio.run(ask())


def test_an_unknown_option_is_named():
    with pytest.raises(UserError, match=r"engine.options.eror_rate: .*did you mean 'error_rate'"):
        build_engine(EngineSettings(name="echo", options={"eror_rate": 1}))
    with pytest.raises(UserError, match=r"error_rate must lie in 0\.\.1"):
        build_engine(EngineSettings(name="echo", options={"error_rate": 2}))


def test_a_fault_says_its_sentence_across_a_process_boundary():
    import pickle

    error = pickle.loads(pickle.dumps(EngineFault("it broke")))
    assert str(error) == "it broke"
