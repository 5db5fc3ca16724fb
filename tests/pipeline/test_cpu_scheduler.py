"""vLLM's outputs on the CPU: those of a request come as one, and say what they would have said one by one."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("vllm")

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.engine import EngineCoreOutput, EngineCoreOutputs, FinishReason
from vllm.v1.metrics.stats import PrefillStats
from vllm.v1.outputs import LogprobsLists

from capgen.pipeline.cpu_scheduler import WholeAnswerScheduler

FINAL = SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY)


def logprob(token, value):
    return LogprobsLists(np.array([[token]], np.int32), np.array([[value]], np.float32), np.array([3], np.int64))


def output(token, value=None, **named):
    return EngineCoreOutput("a", [token], new_logprobs=None if value is None else logprob(token, value), **named)


@pytest.fixture
def scheduler(monkeypatch):
    """One that knows three requests, and whose vLLM part says what ``steps`` holds, one after the other."""
    steps: list[dict[int, Any]] = []
    monkeypatch.setattr(Scheduler, "update_from_output", lambda self: steps.pop(0))
    made = object.__new__(WholeAnswerScheduler)
    made._waiting = {}
    kinds = {
        "a": FINAL,
        "stops": SamplingParams(output_kind=RequestOutputKind.FINAL_ONLY, stop=["."]),
        "streams": SamplingParams(output_kind=RequestOutputKind.CUMULATIVE),
    }
    made.requests = {name: SimpleNamespace(sampling_params=kind, request_id=name) for name, kind in kinds.items()}
    return made, steps


def step(*outputs):
    return {0: EngineCoreOutputs(outputs=list(outputs))}


def test_the_tokens_of_a_request_come_with_its_last_one(scheduler):
    made, steps = scheduler
    prefill = PrefillStats()
    steps += [step(output(5, -0.1, prefill_stats=prefill)), step(output(6, -0.2))]
    steps.append(step(output(7, -0.3, finish_reason=FinishReason.STOP, stop_reason=7)))
    assert made.update_from_output() == {}
    assert made.update_from_output() == {}
    (whole,) = made.update_from_output()[0].outputs
    assert whole.new_token_ids == [5, 6, 7]
    assert whole.prefill_stats is prefill
    assert (whole.finish_reason, whole.stop_reason) == (FinishReason.STOP, 7)
    assert whole.new_logprobs.logprob_token_ids.tolist() == [[5], [6], [7]]
    assert whole.new_logprobs.logprobs[:, 0].tolist() == pytest.approx([-0.1, -0.2, -0.3], abs=1e-6)  # float32
    assert whole.new_logprobs.sampled_token_ranks.tolist() == [3, 3, 3]
    assert made._waiting == {}


def test_requests_that_want_each_token_or_a_stop_string_get_each_token(scheduler):
    """Stop strings are looked for where the text is made."""
    made, steps = scheduler
    for name in ("stops", "streams"):
        one = EngineCoreOutput(name, [5])
        steps.append(step(one, output(6)))
        assert made.update_from_output()[0].outputs == [one]


def test_what_waits_of_a_request_that_is_given_up_is_forgotten(scheduler, monkeypatch):
    made, steps = scheduler
    monkeypatch.setattr(Scheduler, "finish_requests", lambda self, ids, status: [self.requests[name] for name in ids])
    steps.append(step(output(5)))
    made.update_from_output()
    assert made._waiting
    made.finish_requests(["a"], None)
    assert made._waiting == {}


@pytest.mark.engines
def test_a_whole_answer_says_what_its_tokens_say_one_by_one(tmp_path):
    """The same requests of a real engine in both ways: text, tokens, log-probabilities and cached tokens."""
    from capgen.pipeline.engines.base import EngineContext, build_engine
    from capgen.pipeline.engines.vllm import messages
    from capgen.pipeline.estimating.measure import real_requests
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.open_source import build_source
    from capgen.sample.embedded_model import model_dir
    from capgen.sample.write import write_world

    write_world(tmp_path, images=3, videos=0, seed=5)
    settings = load_settings("sample-images", {"source.root": tmp_path / "lvis", "model.id": str(model_dir())})
    views = real_requests(settings, build_source(settings).scan(), 12)

    async def ask() -> tuple[list[Any], list[Any]]:
        session: Any = await build_engine(settings.engine).start(EngineContext(settings.model, settings.sampling, 0))
        kinds = (RequestOutputKind.FINAL_ONLY, RequestOutputKind.CUMULATIVE)
        told: list[list[Any]] = []
        try:
            for kind in kinds:
                sampling = SamplingParams(**{**session.options, "output_kind": kind})
                await session.forget()
                ended = []
                for number, view in enumerate(views):
                    _, prompts = await session.engine.renderer.render_chat_async([messages(view)], session.chat)
                    name = f"{kind.name}{number}"
                    outputs = [one async for one in session.engine.generate(prompts[0], sampling, name)]
                    ended.append((len(outputs), outputs[-1]))
                told.append(ended)
        finally:
            await session.stop()
        return told[0], told[1]

    whole, single = asyncio.run(ask())
    assert [count for count, _ in whole] == [1] * len(views)
    assert min(count for count, _ in single) > 1
    for (_, one), (_, other) in zip(whole, single, strict=True):
        a, b = one.outputs[0], other.outputs[0]
        assert (a.text, list(a.token_ids), a.finish_reason) == (b.text, list(b.token_ids), b.finish_reason)
        assert one.num_cached_tokens == other.num_cached_tokens
        assert a.logprobs.decoded_tokens == b.logprobs.decoded_tokens
        assert a.logprobs.logprobs == pytest.approx(b.logprobs.logprobs, abs=1e-5)  # float32, batches of another kind
    assert any(one.num_cached_tokens for _, one in whole)
