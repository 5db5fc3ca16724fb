"""The end of a run on 64 engines, in simulated time: what stragglers, deaths and engines of different speed cost.

    python -m tests.stress.tail [--objects 8000000] [--engines 64] [--seeds 3]

The driver is capgen's own (``ray_cluster``, ``handing``, ``balance``); Ray, the engines and the clock are simulated,
so that hours pass in minutes. Latencies are log-normal as in ``tests.stress.scale``, with a mean of 1.6 s at 64
requests at once; one attempt in a thousand takes twenty times as long, one in two hundred ends in a fault after its
whole time, and each engine dies every twenty minutes or so and takes 20 s to load. An eighth of the engines has half
the speed, and an eighth twice the speed of the others. The first run without any balance beside it is the baseline.

Time lost is 1 - ideal / wall. Ideal: the seconds of all answered attempts over what all engines can do at once. Wall:
from the first engine's readiness to the last commit. The tail begins when the engines that are up have last had 95 % of
the requests that they can take. ``work_of_slow`` and ``work_of_fast`` are what these engines have answered over what
their share of the speed would be: 1 is equally busy.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from benchmarks.common import machine, save
from capgen.dataset.plan import ShardEntry
from capgen.pipeline.running import ray_cluster, run_progress
from capgen.pipeline.running.cluster import handing, looks, waits
from capgen.pipeline.running.cluster.balance import Balance, balance
from capgen.pipeline.running.cluster.places import EnginePlaces
from capgen.pipeline.running.run_progress import RunProgress
from tests.stress import RESULTS
from tests.stress.tail_world import AT_ONCE, ATTEMPTS, OF_MEDIUM, SHARD, World


def shard_table(objects: int) -> list[ShardEntry]:
    """Shards of images with 13 objects each."""
    return [
        ShardEntry(index=n, split="train", media=SHARD // OF_MEDIUM, objects=SHARD, file=f"{n:05d}.jsonl", sha256="")
        for n in range(objects // SHARD)
    ]


class Places(EnginePlaces):
    """The engines' places, none of which Ray ever gives up."""

    def _state(self, number: int) -> str:
        _ = number
        return "ALIVE"


@contextmanager
def _simulated(world: World, *, balanced: bool) -> Iterator[None]:
    """While this lasts, the driver's clock, its engines' places and, without balance, its decisions are other ones."""
    changes: list[tuple[Any, str, Any]] = [
        *((module, "time", world.clock) for module in (ray_cluster, handing, looks, waits, run_progress)),
        (ray_cluster, "draining_nodes", frozenset),
        (ray_cluster, "EnginePlaces", Places),
        (handing, "balance", balance if balanced else lambda *_: Balance()),
    ]
    before = [(module, name, getattr(module, name)) for module, name, _ in changes]
    try:
        for module, name, value in changes:
            setattr(module, name, value)
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)


def run(objects: int, engines: int, seed: int, *, balanced: bool) -> dict[str, Any]:
    """One run's row."""
    shards = shard_table(objects)
    world = World(shards, engines, seed)
    with _simulated(world, balanced=balanced), tempfile.TemporaryDirectory() as out:
        job = SimpleNamespace(
            out=Path(out),
            mirror=None,
            journal_dir=lambda index: Path(out) / str(index),
            engine=None,
            settings=SimpleNamespace(
                run=SimpleNamespace(attempts=ATTEMPTS),
                source=SimpleNamespace(root=Path(out)),
                engine=SimpleNamespace(name="simulated"),
            ),
        )
        progress = RunProgress(planned=objects, show=lambda _: None, _begun=0.0)
        progress.begin(shards, {})
        cluster = ray_cluster.RayCluster(engines, 0)
        begun = time.perf_counter()
        ray_cluster._Session(world.ray, cluster, job, shards, progress, None).run()
    if world.commits != dict.fromkeys(range(len(shards)), 1):
        wrong = {n: world.commits.get(n, 0) for n in range(len(shards)) if world.commits.get(n, 0) != 1}
        raise SystemExit(f"not every shard was committed exactly once: {wrong}")
    speed = sum(engine.speed for engine in world.engines)
    wall = world.last_commit - world.first_up
    best = world.useful_s / (AT_ONCE * speed)
    total = sum(engine.done for engine in world.engines)

    def work_of(speed_of: float) -> float:
        those = [engine for engine in world.engines if engine.speed == speed_of]
        return round(sum(one.done for one in those) / total * speed / (speed_of * len(those)), 3) if those else 0.0

    tail = world.last_commit - world.full_at
    return {
        "driver": "balanced" if balanced else "as before",
        "seed": seed,
        "objects": sum(entry.objects for entry in shards),
        "engines": engines,
        "deaths": world.deaths,
        "wall_s": round(wall, 1),
        "lost_percent": round(100 * (1 - best / wall), 2),
        "tail_s": round(tail, 1),
        "tail_percent": round(100 * tail / wall, 2),
        "asked_per_object": round(world.asked / total, 4),
        "work_of_slow": work_of(0.5),
        "work_of_fast": work_of(2.0),
        "simulated_in_s": round(time.perf_counter() - begun),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=8_000_000)
    parser.add_argument("--engines", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    logging.getLogger("capgen").setLevel(logging.ERROR)  # a line for each engine that is lost
    before, rows = machine(), []
    for seed in range(args.seeds):
        for balanced in (False, True) if not seed else (True,):
            rows.append(run(args.objects, args.engines, seed, balanced=balanced))
            print(rows[-1], flush=True)
    worst = [max(row[name] for row in rows if row["driver"] == "balanced") for name in ("lost_percent", "tail_percent")]
    note = f"At most {worst[0]} % of the time was lost (goal: 4), and the tail took {worst[1]} % of the run (goal: 2)."
    save("tail", sorted(rows, key=lambda row: row["driver"]), note, before, RESULTS)


if __name__ == "__main__":
    main()
