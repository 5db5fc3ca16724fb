"""`kill -9` at random moments: of the driver, of a Ray worker, of an engine's process, of everything at once.

    python -m tests.stress.kills [--kills 60] [--seed 0] [--bucket]

Runs with 1, 2 and 4 workers over many shards, whose engine is a process of its own that writes down each request that
it is asked (`tests/pipeline/engines/counted.py`). A run whose driver was killed is started again by the same command,
until it ends by itself. Then `verify` must be ok, the Parquet files must be those of an undisturbed run byte for byte,
and the engines may have been asked at most as many requests more as were in flight when something was killed.

With `--bucket` OUT is in an S3 server (moto's) behind a proxy that answers one request of twenty with 503, nothing,
half an answer, or 3 s late, and each by 5 ms late. A process group that is killed may then be a lost machine: its copy
of OUT is deleted, and what it had not brought into the bucket yet, some seconds, is asked again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from benchmarks.common import machine, save
from benchmarks.run_memory import write_source
from capgen.buckets.places import local_place
from capgen.dataset.remote.mirror import Mirror
from capgen.pipeline.releasing.verify import verify
from tests.buckets.bucket import Faulty, new_bucket, s3_server
from tests.pipeline import drivers
from tests.pipeline.engines.counted import counts
from tests.stress import RESULTS

REPOSITORY = Path(__file__).resolve().parents[2]
OBJECTS, SHARD, CONCURRENCY, LATENCY_S = 600, 20, 8, 0.2
WORKERS = (1, 2, 4)
KILLS_A_RUN = 10
_PAUSE_S = (0.2, 5.0)
_ANYWHERE = 0.25  # of the kills come at any moment, the others once an engine is up
_TARGETS = {"worker": 3, "engine": 3, "driver": 1, "process group": 1}
_LIMIT_S = 900
_MACHINES_LOST = 0.5  # of the killed process groups
_UNSENT_S = 3.0  # of answers at most, which a lost machine had not brought into the bucket: two, and a slow request


@dataclass(slots=True)
class Run:
    """One run, killed now and then until it is through."""

    root: Path
    out: Path
    workers: int
    draw: random.Random
    kills: Counter[tuple[str, str]] = field(default_factory=Counter)
    at_risk: int = 0
    exits: list[int] = field(default_factory=list)
    touched: list[psutil.Process] = field(default_factory=list)
    url: str | None = None
    machines_lost: int = 0

    def start(self) -> subprocess.Popen[bytes]:
        """The command, the first time or again."""
        options = {"latency_s": LATENCY_S * self.workers, "concurrency": CONCURRENCY}
        extra = ["--workers", str(self.workers), "--set", f"run.shard_objects={SHARD}"]
        for name, value in options.items():
            extra += ["--set", f"engine.options.{name}={value}"]
        return drivers.start(self.root, self.out, *extra, engine=drivers.COUNTED, url=self.url)

    def to_the_end(self, kills: int) -> None:
        """Start it, kill parts of it so many times, and let it come to its end."""
        process, deadline = self.start(), time.monotonic() + _LIMIT_S
        while True:
            more = self.kills.total() < kills
            if more and self.draw.random() > _ANYWHERE:
                self.wait_for_an_engine(process)
            pause = self.draw.uniform(*_PAUSE_S) if more else _LIMIT_S
            try:
                self.exits.append(process.wait(pause))
            except subprocess.TimeoutExpired:
                if time.monotonic() > deadline:
                    drivers.kill_all(process)
                    raise SystemExit(f"the run did not end in {_LIMIT_S} s") from None
                if self.kill(process):
                    process = self.start()
                continue
            if self.exits[-1] == 0 or len(self.exits) > 2:
                return
            process = self.start()  # it gave up, which the table tells

    def wait_for_an_engine(self, process: subprocess.Popen[bytes]) -> None:
        """Starting takes longer than asking here: without this nearly every kill would come before a request."""
        deadline = time.monotonic() + _LIMIT_S / 4
        while process.poll() is None and time.monotonic() < deadline and not drivers.below(process, "counted.py"):
            time.sleep(0.2)

    def kill(self, process: subprocess.Popen[bytes]) -> bool:
        """Kill one thing; whether the run must be started again."""
        target = self.draw.choices(list(_TARGETS), list(_TARGETS.values()))[0]
        found = {"worker": drivers.below(process, "ShardActor"), "engine": drivers.below(process, "counted.py")}
        phase = self._phase(bool(found["engine"]))
        if target in found and not found[target]:
            return False
        self.kills[target, phase] += 1
        if target in found:
            self.at_risk += CONCURRENCY * bool(found["engine"])
            self.draw.choice(found[target]).kill()
            return False
        self.at_risk += CONCURRENCY * len(found["engine"])
        if target == "process group":
            drivers.kill_all(process)
            if self.url is not None and self.draw.random() < _MACHINES_LOST:
                self.machines_lost += 1
                self.at_risk += round(_UNSENT_S * CONCURRENCY / LATENCY_S) * bool(found["engine"])
                lose_copy(self.out)
        else:
            self.touched += psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
        return True

    def _phase(self, engines: bool) -> str:
        if not (self.out / "plan.json").exists():
            return "start and plan"
        if engines:
            return "asking"
        committed = len(list((self.out / "candidates").glob("*.json")))
        return "packing" if committed == OBJECTS // SHARD else "engines start"

    def left_behind(self) -> int:
        """Processes of killed drivers that are still there; they are ended.

        Ray's two agents (of the dashboard and of runtime environments) need up to 80 s to notice that they are alone.
        """
        left = [process for process in self.touched if process.is_running() and process.status() != "zombie"]
        for process in left:
            process.kill()
        return len(left)


def lose_copy(out: Path) -> None:
    """Delete the copy of an OUT in a bucket; the engines' own counts, which are the test's, stay."""
    for path in out.glob("*"):
        if path.name != "logs":
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def parquet(out: Path) -> dict[str, bytes]:
    """Every Parquet file of a run, by name."""
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*.parquet"))}


@contextmanager
def faulty_bucket() -> Iterator[str]:
    """The URL of a bucket; this process and its children reach it through the proxy."""
    with s3_server() as address:
        url = new_bucket()
        proxy = Faulty(address, share=0.05, delay_s=0.005, slow_s=3.0)
        os.environ["AWS_ENDPOINT_URL"] = proxy.address
        import s3fs

        s3fs.S3FileSystem.clear_instance_cache()
        yield url
        proxy.close()


def judged(run: Run, undisturbed: dict[str, bytes], seconds: float) -> dict[str, object]:
    """A row of the table."""
    asked, out = counts(run.out), run.out
    if run.url is not None:
        out = run.root.parent / f"copy-{run.url.rpartition('/')[2]}"
        Mirror(run.url, out).begin()
    by: Callable[[int, str], int] = lambda i, name: sum(n for key, n in run.kills.items() if key[i] == name)  # noqa: E731
    return {
        "workers": run.workers,
        "kills": run.kills.total(),
        **{target: by(0, target) for target in _TARGETS},
        "in phases": ", ".join(f"{phase} {by(1, phase)}" for phase in sorted({key[1] for key in run.kills})),
        "gave_up": sum(code != 0 for code in run.exits),
        **({"machines_lost": run.machines_lost} if run.url else {}),
        "verify": "ok" if verify(out).ok else "NOT OK",
        "bytes": "identical" if parquet(out) == undisturbed else "DIFFER",
        "asked": asked["asked"],
        "asked_again": asked["asked"] - OBJECTS,
        "in_flight_at_kills": run.at_risk,
        "left_behind": run.left_behind(),
        "seconds": round(seconds, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bucket", action="store_true", help="OUT in an S3 server that fails now and then")
    arguments = parser.parse_args()
    before, draw, rows = machine(), random.Random(arguments.seed), []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as held:
        os.environ["CAPGEN_SCRATCH"] = f"{folder}/scratch"
        bucket = held.enter_context(faulty_bucket()) if arguments.bucket else None
        root, calm = Path(folder) / "source", Path(folder) / "calm" / "out"
        write_source(root, OBJECTS)
        calm.parent.mkdir()
        begun = time.monotonic()
        quiet = Run(root, calm, 1, draw)
        quiet.to_the_end(0)
        undisturbed = parquet(calm)
        rows.append(judged(quiet, undisturbed, time.monotonic() - begun))
        print(rows[-1], flush=True)
        while sum(int(str(row["kills"])) for row in rows) < arguments.kills:
            url = f"{bucket}/{len(rows)}" if bucket else None
            out = local_place(url, "run") if url else Path(folder) / f"{len(rows)}" / "out"
            out.parent.mkdir(parents=True, exist_ok=True)
            run, begun = Run(root, out, WORKERS[(len(rows) - 1) % len(WORKERS)], draw, url=url), time.monotonic()
            run.to_the_end(KILLS_A_RUN)
            rows.append(judged(run, undisturbed, time.monotonic() - begun))
            print(rows[-1], flush=True)
    total = sum(int(str(row["kills"])) for row in rows)
    again = sum(int(str(row["asked_again"])) for row in rows)
    at_risk = sum(int(str(row["in_flight_at_kills"])) for row in rows)
    note = (
        f"{total} kills, seed {arguments.seed}, over runs of {OBJECTS} objects in {OBJECTS // SHARD} shards, "
        f"{CONCURRENCY} requests in flight an engine; {again} requests were asked again, at most {at_risk} were "
        "in flight at the kills. Goal: every run ends, verify ok, bytes identical, nothing else asked again."
    )
    save("kills_bucket" if arguments.bucket else "kills", rows, note, before, RESULTS)
    bad = [row for row in rows if row["verify"] != "ok" or row["bytes"] != "identical" or row["gave_up"]]
    late = [row for row in rows if int(str(row["asked_again"])) > int(str(row["in_flight_at_kills"]))]
    if bad or late:
        raise SystemExit(f"missed: {bad + late}")


if __name__ == "__main__":
    main()
