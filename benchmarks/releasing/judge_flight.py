"""What requests in flight gain for the judge: seconds a caption with 1, 2 and 8 of them at once, and as usual.

    python -m benchmarks.releasing.judge_flight [--images 10] [--rounds 3] [--in-flight 1 2 8]

The embedded captioner captions a sample world through vLLM on the CPU and judges its captions by ``fit``, with one
engine in one process. A gate before the engine lets so many requests through at a time; images are decoded and drawn
ahead in all ways alike. The ways take turns, each time in another order, and the engine's caches are emptied before
each, so that none is cheaper for what another has asked.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.common import machine, save
from benchmarks.releasing.judge import World, captioned
from capgen.ablation.engine import SharedEngine
from capgen.pipeline.engines.scoring.base import Scored, SentenceScorer, scorer_of
from capgen.pipeline.judging.judge import RunningEngine, judge_run
from capgen.pipeline.judging.records import JudgeRules
from capgen.pipeline.view import View

SEED = 990_021
USUAL = 0
"""In the place of a number of requests: as many as ``capgen judge`` has in flight."""


class Gate:
    """Lets so many requests through at a time, and knows how many there were at most.

    Args:
        in_flight: ``USUAL`` lets all through.
    """

    def __init__(self, in_flight: int) -> None:
        self._slots: AbstractAsyncContextManager[Any] = asyncio.Semaphore(in_flight) if in_flight else nullcontext()
        self._now = self.most = 0

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """One request."""
        async with self._slots:
            self._now += 1
            self.most = max(self.most, self._now)
            try:
                yield
            finally:
                self._now -= 1


@dataclass(frozen=True, slots=True)
class GatedScorer:
    """A scorer behind a gate."""

    scorer: SentenceScorer
    gate: Gate

    async def sentence(self, view: View, sentence: str) -> Scored:
        """See ``SentenceScorer.sentence``."""
        async with self.gate.open():
            return await self.scorer.sentence(view, sentence)

    async def first_word(self, view: View) -> Scored:
        """See ``SentenceScorer.first_word``."""
        async with self.gate.open():
            return await self.scorer.first_word(view)


@dataclass(frozen=True, slots=True)
class GatedSession:
    """A started engine whose scorer is behind a gate."""

    session: Any
    gate: Gate

    def scorer(self) -> SentenceScorer:
        """The engine's scorer."""
        return GatedScorer(scorer_of(self.session), self.gate)

    async def answer(self, view: View) -> Any:
        """See ``Session.answer``."""
        return await self.session.answer(view)

    async def stop(self) -> None:
        """The engine goes on: others use it."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """One way, once.

    Args:
        most: requests that were in flight, at most.
        cached: share of the prompt tokens that the engine had computed before.
        scores: by key.
    """

    seconds: float
    most: int
    cached: float
    scores: dict[str, float]


def judged(world: World, engine: SharedEngine, in_flight: int) -> Judgement:
    """Judge the captions of a world with so many requests in flight."""
    up = engine.running(world.settings, 0)
    session: Any = up.session
    up.runner.run(session.forget())
    gate, table = Gate(in_flight), world.out.parent / "judged.parquet"
    running = RunningEngine(GatedSession(session, gate), up.runner)
    begun = time.perf_counter()
    summary = judge_run(world.out, world.settings, JudgeRules(), table=table, running=running)
    seconds = time.perf_counter() - begun
    print(f"{in_flight or 'as usual'}: {seconds:.1f} s", file=sys.stderr)
    scores = {row["key"]: row["score"] for row in pq.read_table(table).to_pylist() if row["score"] is not None}
    return Judgement(seconds, gate.most, summary.cached_tokens / summary.prompt_tokens, scores)


def measure(world: World, engine: SharedEngine, ways: list[int], rounds: int) -> dict[int, list[Judgement]]:
    """Every way in every round, after one that does not count."""
    found: dict[int, list[Judgement]] = {way: [] for way in ways}
    judged(world, engine, USUAL)
    for number in range(rounds):
        turn = number % len(ways)
        order = ways[turn:] + ways[:turn]
        for way in order if number % 2 else reversed(order):
            found[way].append(judged(world, engine, way))
    return found


def rows_of(found: dict[int, list[Judgement]]) -> list[dict[str, Any]]:
    """A row for each way; gains are those of the rounds, each against the first way of its round."""
    first = next(iter(found.values()))
    rows = []
    for way, judgements in found.items():
        captions = len(judgements[0].scores)
        gains = [one.seconds / other.seconds for one, other in zip(first, judgements, strict=True)]
        apart = [abs(one.scores[key] - score) for one in judgements for key, score in first[0].scores.items()]
        rows.append(
            {
                "requests_in_flight": way or "as usual",
                "most_in_flight": max(one.most for one in judgements),
                "captions": captions,
                "s_a_caption": round(float(np.median([one.seconds for one in judgements])) / captions, 4),
                "quickest_s_a_caption": round(min(one.seconds for one in judgements) / captions, 4),
                "times_as_fast": round(float(np.median(gains)), 2),
                "cached": round(float(np.median([one.cached for one in judgements])), 3),
                "score_apart_at_most": round(max(apart), 4),
            }
        )
    return rows


def main() -> None:
    """Caption a world, judge it in each way, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, nargs="+", default=[1, 2, 8], help="the first is compared with")
    arguments = parser.parse_args()
    if min(arguments.in_flight) < 1:
        parser.error("--in-flight: at least one request is in flight")
    before, engine = machine(), SharedEngine()
    with tempfile.TemporaryDirectory() as folder:
        try:
            world = captioned(Path(folder), SEED, arguments.images, engine)
            found = measure(world, engine, [*arguments.in_flight, USUAL], arguments.rounds)
        finally:
            engine.finish()
    note = (
        f"Method fit, the embedded captioner through vLLM, {arguments.images} images, {arguments.rounds} rounds in "
        "turns; medians, times_as_fast by round against the first row. cached: the share of prompt tokens that vLLM's "
        "prefix cache knew. score_apart_at_most: of a caption's scores from that of the first row's first round."
    )
    save("judge_flight", rows_of(found), note, before)


if __name__ == "__main__":
    main()
