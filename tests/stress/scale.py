"""A million objects on simulated engines: what stragglers, faults and restarts cost, and the driver's memory.

    python -m tests.stress.scale [--objects 1000000] [--workers 2]

The engines (`scale_engine.py`) only take time. Latencies are log-normal with sigma 0.6, fitted to vLLM serving
Qwen3-VL-4B with one picture of 384 x 384 a request and 8 requests in flight: median 654 ms and 99th percentile 2,638 ms
to the first token (github.com/vllm-project/vllm-metal, pull request 408), ln(2638 / 654) / 2.326 = 0.60; captions are
short, so that this is most of a request. One attempt in a thousand takes twenty times as long, one in two hundred ends
in a fault after its whole time, and each engine's process dies every twenty minutes or so and takes 20 s to load again:
far more often than GPUs do (Llama 3's training lost one of 16,384 in three hours, arXiv 2407.21783, section 3.3.4).

Time lost is 1 - ideal / wall. Ideal: the seconds of all answered attempts over the requests that the engines take at
once. Wall: from the first engine's readiness to the last shard's commit. A calm run beside it has the same latencies
without stragglers, faults and deaths: what it loses is this machine's share.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import machine, save
from benchmarks.run_memory import OBJECTS_AN_IMAGE, Watch, write_source
from tests.stress import RESULTS
from tests.stress.scale_engine import Simulated, starts

ATTEMPTS = 3
CALM: dict[str, float] = {"straggler_rate": 0.0, "error_rate": 0.0, "restart_every_s": 0.0, "load_s": 0.0}
ROUGH: dict[str, float] = {"straggler_rate": 0.001, "error_rate": 0.005, "restart_every_s": 1200.0, "load_s": 20.0}


class Series(Watch):
    """Keeps every sample of the driver's memory with its time."""

    def __init__(self, driver: int) -> None:
        super().__init__(driver)
        self.samples: list[tuple[float, int]] = []

    def _sample(self, name: str, process: psutil.Process) -> None:
        before = self.peak[name]
        self.peak[name] = 0
        super()._sample(name, process)
        if name == "driver":
            self.samples.append((time.time(), self.peak[name]))
        self.peak[name] = max(before, self.peak[name])

    def mib(self, start: float, end: float) -> int:
        """The median of the driver's memory between two times."""
        within = sorted(memory for at, memory in self.samples if start <= at <= end)
        return round(within[len(within) // 2] / 2**20) if within else 0


def run(root: Path, out: Path, workers: int, engine: Simulated) -> Series:
    """`capgen run` to its end, watched."""
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "lvis", "--root", str(root), "--out", str(out)]
    command += ["--engine", "tests.stress.scale_engine:Simulated", "--model", "none", "--workers", str(workers)]
    settings: dict[str, Any] = {"render.clean_pixels": 4096, "render.marked_pixels": 4096, "run.attempts": ATTEMPTS}
    settings |= {f"engine.options.{name}": getattr(engine, name) for name in Simulated.__slots__}
    for key, value in settings.items():
        command += ["--set", f"{key}={value}"]
    path = os.pathsep.join([str(Path(__file__).resolve().parents[2]), os.environ.get("PYTHONPATH", "")])
    log = (out.parent / f"{out.name}.log").open("w")
    driver = subprocess.Popen(command, stdout=log, stderr=log, env=os.environ | {"PYTHONPATH": path})
    series = Series(driver.pid)
    series.start()
    code = driver.wait()
    series.over.set()
    log.close()
    if code:
        raise SystemExit(f"capgen run ended with {code}:\n{Path(log.name).read_text()[-2000:]}")
    return series


def ideal(engine: Simulated, objects: int, workers: int) -> float:
    """Seconds that engines without any idle place take for the answered attempts at the source's objects."""
    useful = 0.0
    for number in range(objects):
        for seconds, answered in engine.attempts(f"lvis/train/{number // OBJECTS_AN_IMAGE}/{number}", ATTEMPTS):
            useful += seconds * answered
    return useful / (workers * engine.concurrency)


def measure(root: Path, out: Path, objects: int, workers: int, engine: Simulated, name: str) -> dict[str, object]:
    """One run's row."""
    series = run(root, out, workers, engine)
    report = json.loads((out / "report.json").read_text())
    manifests = [json.loads(file.read_text()) for file in (out / "candidates").glob("*.json")]
    ups = starts(out)
    begun, ended = min(ups), max(datetime.fromisoformat(manifest["finished"]).timestamp() for manifest in manifests)
    best, wall = ideal(engine, objects, workers), ended - begun
    tenth = wall / 10
    return {
        "run": name,
        "objects": objects,
        "kept": report["kept"],
        "failed": sum(report["failed"].values()),
        "engine_starts": len(ups),
        "ideal_s": round(best, 1),
        "wall_s": round(wall, 1),
        "lost_percent": round(100 * (1 - best / wall), 2),
        "objects_per_s": round(objects / wall, 1),
        "driver_mib_early": series.mib(begun + tenth, begun + 2 * tenth),
        "driver_mib_late": series.mib(ended - tenth, ended),
        "driver_peak_mib": round(series.peak["driver"] / 2**20),
        "worker_peak_mib": round(series.peak["worker"] / 2**20),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--latency", type=float, default=0.4, help="mean seconds; sets the engines' capacity")
    parser.add_argument("--restart-every", type=float, default=ROUGH["restart_every_s"])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rough-only", action="store_true", help="no calm run beside it")
    arguments = parser.parse_args()
    before, rows = machine(), []
    runs = {"calm": CALM, "rough": ROUGH | {"restart_every_s": arguments.restart_every}}
    with tempfile.TemporaryDirectory() as folder:
        write_source(root := Path(folder) / "source", arguments.objects)
        for name, options in runs.items():
            if name == "calm" and arguments.rough_only:
                continue
            engine = Simulated(latency_s=arguments.latency, seed=arguments.seed, **options)  # type: ignore[arg-type]
            rows.append(measure(root, Path(folder) / name, arguments.objects, arguments.workers, engine, name))
            print(rows[-1], flush=True)
    note = (
        f"{arguments.workers} engines of 64 requests at once, latency log-normal with mean {arguments.latency:g} s and "
        f"sigma 0.6. The rough run lost {rows[-1]['lost_percent']} % (goal: under 5). Driver's memory while asking, a "
        "tenth in and at the end: as in the table (goal: flat)."
    )
    save("scale", rows, note, before, RESULTS)


if __name__ == "__main__":
    main()
