"""What the log-probabilities of answers cost: requests a second through vLLM with and without them.

    python -m benchmarks.logprobs_cost [--requests 240] [--rounds 60]

One engine with the embedded captioner on the CPU answers the same requests in turns with and without, in the order
ABBA. Its caches are emptied before each round, so that a request costs what it costs in a run. Other work on the
machine makes a round slower, never faster: the rates are those of each side's quickest rounds, a tenth of them. Beside
it stands the median over pairs of neighbouring rounds with its standard error by bootstrap.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from benchmarks.common import machine, save
from benchmarks.run_vs_vllm import prepared_views, settings_over


def processor_seconds() -> float:
    """Processor time of the threads of this process and of its engine's, to the nanosecond where Linux counts it so.

    The usual counters of processes go in steps of 10 ms, which is 1% of a round.
    """
    here = psutil.Process()
    processes = (here, *here.children(recursive=True))
    used = 0
    for file in [file for one in processes for file in Path(f"/proc/{one.pid}/task").glob("*/schedstat")]:
        with suppress(OSError):  # a thread that has ended meanwhile
            used += int(file.read_text().split()[0])
    if used:
        return used / 1e9
    times = [one.cpu_times() for one in processes]
    return float(sum(time.user + time.system for time in times))


async def seconds_of(session: Any, views: list[Any], in_flight: int) -> tuple[float, float]:
    """How long the engine takes for all of the views: by the clock, and of the processors."""
    slots = asyncio.Semaphore(in_flight)

    async def one(view: Any) -> None:
        async with slots:
            await session.answer(view)

    await session.forget()
    begun, used = time.perf_counter(), processor_seconds()
    await asyncio.gather(*(one(view) for view in views))
    return time.perf_counter() - begun, processor_seconds() - used


async def rounds_of(
    session: Any, context: Any, views: list[Any], in_flight: int, rounds: int
) -> dict[str, list[tuple[float, float]]]:
    """Seconds of each round of a started vLLM session, by whether log-probabilities were asked for."""
    from capgen.pipeline.engines.vllm import VllmSession

    without = VllmSession.over(session.engine, context, logprobs=False)
    sides = {"with": session, "without": without}
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for one in sides.values():
        await seconds_of(one, views, in_flight)
    for number in range(rounds):
        order = ("with", "without") if number % 2 else ("without", "with")
        for name in order:
            found[name].append(await seconds_of(sides[name], views, in_flight))
    return found


async def measure(root: Path, requests: int, rounds: int) -> dict[str, list[tuple[float, float]]]:
    """The rounds of the embedded captioner on the CPU."""
    from capgen.pipeline.engines.base import EngineContext, build_engine

    settings, views = settings_over(root), prepared_views(root)[:requests]
    engine = build_engine(settings.engine)
    context = EngineContext(settings.model, settings.sampling, 0)
    session: Any = await engine.start(context)
    try:
        return await rounds_of(session, context, views, engine.in_flight, rounds)
    finally:
        await session.stop()


def rows_and_note(found: dict[str, list[tuple[float, float]]], requests: int) -> tuple[list[dict[str, Any]], str]:
    """A row for each side's quickest rounds, and what log-probabilities cost in words."""
    sides = {name: np.asarray(times) for name, times in found.items()}
    quick = {name: np.quantile(times, 0.1, axis=0) for name, times in sides.items()}
    rows = [
        {
            "log-probabilities": name,
            "rounds": len(sides[name]),
            "requests_per_s": round(requests / float(best[0]), 2),
            "processor_ms_per_request": round(1000 * float(best[1]) / requests, 3),
        }
        for name, best in quick.items()
    ]
    cost = quick["with"] / quick["without"] - 1
    ratios = sides["with"] / sides["without"] - 1
    draws = np.random.default_rng(0).integers(0, len(ratios), (2000, len(ratios)))
    errors = np.median(ratios[draws], axis=1).std(0)
    both = zip(cost, np.median(ratios, axis=0), errors, strict=True)
    clock, processor = (f"{quickest:.1%} (median of pairs {m:.1%}, standard error {e:.1%})" for quickest, m, e in both)
    return rows, f"cost by the clock {clock}, in processor time {processor}"


def main() -> None:
    """Measure, print and save."""
    from capgen.sample.write import write_world

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=240)
    parser.add_argument("--rounds", type=int, default=60)
    arguments = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        write_world(Path(folder), images=max(2, arguments.requests // 4), videos=0, seed=11)
        found = asyncio.run(measure(Path(folder, "lvis"), arguments.requests, arguments.rounds))
    rows, note = rows_and_note(found, arguments.requests)
    save("logprobs_cost", rows, note, before)


if __name__ == "__main__":
    main()
