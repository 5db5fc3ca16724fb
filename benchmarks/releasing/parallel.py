"""Packing, verifying and planning in one process, in processes side by side, and as tasks of a Ray cluster.

    python -m benchmarks.releasing.parallel [--objects 100000 1000000] [--processes 2] [--rounds 2]

Plan and candidates are those of ``benchmarks.pack_memory``, shaped like LVIS. Planning reads four annotation files of
LVIS's form, a split each, and folders of SA-1B's form. Each way runs in a process of its own, turn by turn; of several
rounds the fastest counts, for each way. The digest covers all bytes of the release (or of the plan): it must be the
same for every way. Peaks are those of resident memory: of the process that hands out the work, and of the largest
process that does it. ``cpu_s`` is the computing time of the first plus that of the busiest of the others: what the
work takes where every process has a core of its own, which other work on the machine changes little.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil

from benchmarks.common import machine, save
from benchmarks.pack_memory import CARD, make, peak_mib
from benchmarks.plan_lvis import NAME, generate
from benchmarks.planning.plan_sources import generate_sa_1b
from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_plan
from capgen.pipeline.tasks import InThisProcess, LocalProcesses, TaskRunner

GOAL = 0.6
WAYS = ("one process", "processes", "Ray")
SPLITS = ("train", "val", "test", "more")
STEPS = ("pack", "verify", "plan annotation files", "plan folders")


@contextmanager
def runner(way: str, processes: int) -> Iterator[TaskRunner]:
    """Where the parts are done."""
    if way == "one process":
        yield InThisProcess()
    elif way == "processes":
        with LocalProcesses(processes) as tasks:
            yield tasks
    else:
        from capgen.pipeline.running.cluster.ray_tasks import RayTasks
        from capgen.pipeline.running.ray_connect import connected

        with connected(processes, 0) as ray:
            # Ray's processes for tasks start with it, a second each; those of a run have been up for as long as it.
            ray.get([ray.remote(_idle).remote() for _ in range(processes)])
            yield RayTasks(ray)


def _idle() -> None:
    """Holds a process for long enough that the next call goes to another one."""
    time.sleep(0.5)


class Peak(threading.Thread):
    """Follows the processes below this one that do parts of the work: the largest, and the one that computes most."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0.0
        self.over = threading.Event()
        self._cpu: dict[int, float] = {}
        self._before: dict[int, float] = {}
        self._look()
        self._before = dict(self._cpu)

    def run(self) -> None:
        """Look until it is over."""
        while not self.over.wait(0.25):
            self._look()

    @property
    def cpu_s(self) -> float:
        """The computing time of the one that has computed most since this was made."""
        return max((spent - self._before.get(pid, 0.0) for pid, spent in self._cpu.items()), default=0.0)

    def _look(self) -> None:
        for child in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):
                line = " ".join(child.cmdline())
                if "spawn_main" in line or line.startswith("ray::"):
                    self.mib = max(self.mib, child.memory_info().rss / 2**20)
                    self._cpu[child.pid] = sum(child.cpu_times()[:2])


def digest(*folders: Path) -> str:
    """Of all files below the folders, and of the files among them."""
    found = hashlib.sha256()
    for folder in folders:
        files = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
        for path in files:
            found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:16]


def pack_step(root: Path, tasks: TaskRunner) -> str:
    """A release anew."""
    from capgen.pipeline.releasing.pack import pack

    layout = RunLayout(root)
    layout.release_json.unlink(missing_ok=True)
    pack(root, read_plan(root), CARD, tasks=tasks)
    return ""


def verify_step(root: Path, tasks: TaskRunner) -> str:
    """The proof of it."""
    from capgen.pipeline.releasing.verify import verify

    ledger = verify(root, tasks=tasks)
    if not ledger.ok:
        raise SystemExit(f"the ledger does not close: {ledger}")
    return f"{ledger.kept} kept"


def plan_step(source: Any, tasks: TaskRunner) -> str:
    """The plan of a source, in a folder that is removed."""
    from capgen.pipeline.planning.plan import write_plan

    with tempfile.TemporaryDirectory() as out:
        table = write_plan(source, Path(out), shard_objects=2000, tasks=lambda _: tasks)
        return hashlib.sha256("".join(entry.sha256 for entry in table.shards).encode()).hexdigest()[:16]


def plan_files(root: Path, tasks: TaskRunner) -> str:
    """Four annotation files."""
    from capgen.pipeline.sources.images.lvis import Lvis

    return plan_step(Lvis(root / "files", split=",".join(f"lvis_v1_{split}.json" for split in SPLITS)), tasks)


def plan_folders(root: Path, tasks: TaskRunner) -> str:
    """Folders of SA-1B."""
    from capgen.pipeline.sources.images.sa_1b import Sa1b

    return plan_step(Sa1b(root / "folders"), tasks)


WORK: dict[str, Callable[[Path, TaskRunner], str]] = dict(
    zip(STEPS, (pack_step, verify_step, plan_files, plan_folders), strict=True)
)


def child(step: str, way: str, root: Path, processes: int) -> None:
    with runner(way, processes) as tasks:
        peak = Peak()
        peak.start()
        begun, own = time.perf_counter(), time.process_time()
        told = WORK[step](root, tasks)
        seconds, own = time.perf_counter() - begun, time.process_time() - own
        peak.over.set()
        peak.join()
    if step == "pack":
        layout = RunLayout(root)
        told = digest(layout.data_dir, layout.card, layout.dedup, layout.release_json)
    largest = round(peak.mib) if way != "one process" else round(peak_mib())
    print(
        json.dumps(
            {
                "seconds": round(seconds, 1),
                "cpu_s": round(own + peak.cpu_s, 1),
                "peak_mib": round(peak_mib()),
                "task_peak_mib": largest,
                "digest": told,
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


def measure(step: str, way: str, root: Path, processes: int) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.releasing.parallel", "--child", step, way, str(root)]
    done = subprocess.run([*command, "--processes", str(processes)], check=True, stdout=subprocess.PIPE, text=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def compare(
    step: str, objects: int, root: Path, processes: int, rounds: int, ways: Sequence[str]
) -> list[dict[str, Any]]:
    """The rows of one step, a way each."""
    best: dict[str, dict[str, Any]] = {}
    for _ in range(rounds):
        for way in ways:
            found = measure(step, way, root, processes)
            print(step, objects, way, found, flush=True)
            if way not in best or found["seconds"] < best[way]["seconds"]:
                best[way] = found
    if len({row["digest"] for row in best.values()}) != 1:
        raise SystemExit(f"{step}: the ways do not give the same: {best}")
    one = best[ways[0]]
    shares = {
        way: {f"share_of_{name}": round(row[name] / one[name], 2) for name in ("seconds", "cpu_s")}
        for way, row in best.items()
    }
    return [{"step": step, "objects": objects, "way": way} | shares[way] | row for way, row in best.items()]


def sources(root: Path, objects: int) -> None:
    """The annotation files and folders of planning."""
    (root / "files").mkdir()
    for split in SPLITS:
        generate(root / "files", objects // len(SPLITS), objects // 50, "together")
        (root / "files" / NAME).rename(root / "files" / f"lvis_v1_{split}.json.part")
        (root / "files" / "train2017").rmdir()
    for split in SPLITS:
        (root / "files" / f"lvis_v1_{split}.json.part").rename(root / "files" / f"lvis_v1_{split}.json")
    (root / "files" / "train2017").mkdir()
    for number in range(1, objects // 50 + 1):
        (root / "files" / "train2017" / f"{number:012d}.jpg").touch()
    (root / "folders").mkdir()
    generate_sa_1b(root / "folders", objects // 20, 20)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[100_000, 1_000_000])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--ways", nargs="+", default=WAYS, choices=WAYS)
    parser.add_argument("--no-plans", action="store_true", help="packing and verifying alone")
    parser.add_argument("--child", nargs=3, metavar=("STEP", "WAY", "FOLDER"))
    args = parser.parse_args()
    if args.child:
        step, way, folder = args.child
        child(step, way, Path(folder), args.processes)
        return
    before, rows = machine(), []
    for objects in args.objects:
        with tempfile.TemporaryDirectory() as folder:
            make(Path(folder), objects)
            for step in STEPS[:2]:
                rows += compare(step, objects, Path(folder), args.processes, args.rounds, args.ways)
    if not args.no_plans:
        with tempfile.TemporaryDirectory() as folder:
            sources(Path(folder), args.objects[-1])
            for step in STEPS[2:]:
                rows += compare(step, args.objects[-1], Path(folder), args.processes, args.rounds, args.ways)
    rows.sort(key=lambda row: STEPS.index(row["step"]))
    note = (
        f"{args.processes} processes, Ray with as many CPUs on this machine; the start of processes counts, that of "
        "Ray and its processes does not. Shares are of one process. load: the machine's at the end of the step. Goal: "
        f"pack and verify of a million objects at most {GOAL}, and task_peak_mib flat."
    )
    save("parallel", rows, note, before)


if __name__ == "__main__":
    main()
