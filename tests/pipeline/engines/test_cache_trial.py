"""Scores that the prefix cache had a part in are compared once, however many sentences are with the engine."""

import asyncio

import pytest

from capgen.pipeline.engines.base import EngineFault
from capgen.pipeline.engines.scoring.base import Scored
from capgen.pipeline.engines.scoring.vllm import CacheTrial

CACHED = Scored(logprobs=(-1.0, -2.0), cached_tokens=128)


class Whole:
    """Scores without the cache, after others had their turn; the first of them may fail."""

    def __init__(self, *logprobs, fails=0):
        self.logprobs, self.fails, self.calls = logprobs, fails, 0

    async def __call__(self):
        self.calls += 1
        await asyncio.sleep(0.01)
        if self.calls <= self.fails:
            raise EngineFault("no")
        return Scored(logprobs=self.logprobs)


async def many(trial, whole):
    return await asyncio.gather(*(trial.believes(CACHED, whole) for _ in range(20)), return_exceptions=True)


@pytest.mark.parametrize(("last", "passes"), [(-2.1, True), (-2.5, False)])
def test_one_sentence_is_scored_both_ways_for_all_that_are_in_flight(last, passes):
    trial, whole = CacheTrial(), Whole(-1.0, last)
    assert asyncio.run(many(trial, whole)) == [passes] * 20
    assert (whole.calls, trial.passed) == (1, passes)


def test_a_sentence_that_the_cache_did_not_know_needs_no_trial():
    trial, whole = CacheTrial(), Whole()
    assert asyncio.run(trial.believes(Scored(logprobs=(-1.0,)), whole))
    assert (whole.calls, trial.passed) == (0, None)


def test_where_the_engine_fails_the_next_sentence_finds_out():
    trial, whole = CacheTrial(), Whole(-1.0, -2.0, fails=1)
    found = asyncio.run(many(trial, whole))
    assert [type(one) for one in found] == [EngineFault] + [bool] * 19
    assert whole.calls == 2
