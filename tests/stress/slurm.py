"""deploy/slurm/capgen.sbatch on real SLURM: a time limit, a lost node, a cancelled job.

    python -m tests.stress.slurm

Debian's SLURM runs on four machines made of this one's namespaces (`tests/cluster/machines.py`): a controller and three
nodes with a GPU each, which is a number only. The engine counts what it is asked. One job of three nodes is stopped by
its time limit, goes back into the queue by itself and goes on; then a node's power fails. Its release must be that of a
run in one process byte for byte, and at most as many requests may be asked twice as the lost node had in flight. A
second job is cancelled, and must not come back. TMPDIR of the jobs is too long for sockets, as that of many sites is.
"""

from __future__ import annotations

import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import machine, save
from benchmarks.run_memory import write_source
from capgen.pipeline.releasing.verify import verify
from tests.cluster.machines import REPOSITORY, SHARED, machines
from tests.cluster.machines import why_not as no_machines
from tests.cluster.slurm import SlurmCluster
from tests.cluster.slurm import why_not as no_slurm
from tests.pipeline.drivers import COUNTED, settled
from tests.pipeline.engines.counted import counts
from tests.pipeline.runs import echo_settings, session
from tests.stress import RESULTS

OBJECTS, CONCURRENCY, LATENCY_S = 900, 4, 4.0
LONG = "/mnt/tmp/scratch/slurm/job_1355700/user_home_of_somebody/tmp.node0016"


def capgen(out: str) -> list[str]:
    """The flags of a slow run."""
    flags = ["--dataset", "lvis", "--root", str(SHARED / "lvis"), "--out", str(SHARED / out), "--model", "none"]
    values = {
        "run.shard_objects": 20,
        "engine.options.latency_s": LATENCY_S,
        "engine.options.concurrency": CONCURRENCY,
    }
    return [
        *flags,
        "--engine",
        COUNTED,
        *(word for name, value in values.items() for word in ("--set", f"{name}={value}")),
    ]


def send(cluster: SlurmCluster, out: str, *flags: str) -> int:
    """A job as a user sends it."""
    script = str(REPOSITORY / "deploy" / "slurm" / "capgen.sbatch")
    where = (f"--chdir={SHARED}", f"--output={SHARED}/{out}.log")
    return cluster.submit(
        *where, *flags, script, *capgen(out), TMPDIR=LONG, CAPGEN=str(REPOSITORY), CAPGEN_TMP="/mnt/t"
    )


def wait_for(what: str, seconds: float, true: Any) -> None:
    """Until ``true()``."""
    until = time.monotonic() + seconds
    while not true():
        if time.monotonic() > until:
            raise SystemExit(f"{what}: not within {seconds:.0f} s")
        time.sleep(1)


def parquet(out: Path) -> dict[str, bytes]:
    return {str(file.relative_to(out)): file.read_bytes() for file in sorted(out.rglob("*.parquet"))}


def limited(cluster: SlurmCluster, nodes: list[Any], shared: Path) -> dict[str, Any]:
    """A job of three nodes over its time limit, and then without one of them."""
    out, begun = shared / "out", time.monotonic()
    number = send(cluster, "out", "--nodes=3", "--gpus-per-node=1", "--time=4", "--signal=B:TERM@80")
    wait_for("the job is put back", 400, lambda: cluster.job(number)["Restarts"] == "1")
    stopped_at, asked = settled(out), counts(out)
    cluster.say("scontrol", "update", f"JobId={number}", "TimeLimit=20")
    wait_for("it goes on", 240, lambda: settled(out) > stopped_at + 60)
    nodes[-1].lose()
    lost_at = settled(out)
    job = cluster.wait(number, "COMPLETED", "FAILED", "TIMEOUT", "NODE_FAIL", seconds=900)
    engines = re.findall(r"Ray is up on .*", (shared / "out.log").read_text())
    return {
        "job": "time limit, then a node lost",
        "state": job["JobState"],
        "restarts": int(job["Restarts"]),
        "settled_at_limit": stopped_at,
        "settled_at_loss": lost_at,
        "asked_at_limit": asked["asked"],
        "answered_at_limit": asked["answered"],
        "asked_again": counts(out)["asked"] - OBJECTS,
        "nodes": "; ".join(line.removeprefix("Ray is up on ") for line in engines),
        "verify": "ok" if verify(out).ok else "NOT OK",
        "seconds": round(time.monotonic() - begun),
    }


def cancelled(cluster: SlurmCluster, shared: Path) -> dict[str, Any]:
    """A job that its user cancels."""
    out, begun = shared / "cancelled", time.monotonic()
    number = send(cluster, "cancelled", "--nodes=1", "--gpus-per-node=1", "--time=30")
    wait_for("it asks", 240, lambda: settled(out) > 0)
    cluster.say("scancel", str(number))
    job = cluster.wait(number, "CANCELLED", seconds=120)
    time.sleep(40)
    job = cluster.job(number)
    left = cluster.say("squeue", "-h").strip()
    return {
        "job": "cancelled",
        "state": job["JobState"],
        "restarts": int(job["Restarts"]),
        "left": left or "nothing",
        "seconds": round(time.monotonic() - begun),
    }


def main() -> None:
    why = no_machines() or no_slurm()
    if why:
        raise SystemExit(why)
    before = machine()
    with tempfile.TemporaryDirectory() as folder, machines(Path(folder) / "machines") as all_of:
        write_source(all_of.shared / "lvis", OBJECTS)
        controller = all_of.add("login")
        nodes = [all_of.add(f"node{number}") for number in (1, 2, 3)]
        for node in nodes:
            node.run("mkdir", "-p", LONG, "/mnt/t")
        cluster = SlurmCluster(all_of.shared, controller, nodes)
        rows = []
        try:
            rows.append(cancelled(cluster, all_of.shared))
            print(rows[-1], flush=True)
            rows.append(limited(cluster, nodes, all_of.shared))
        finally:
            for log in sorted(all_of.shared.glob("*.log")):
                print(f"== {log.name}\n{log.read_text(errors='replace')[-6000:]}", file=sys.stderr)
        calm, _ = session(
            echo_settings(all_of.shared / "lvis", f"engine.name={COUNTED}", "run.shard_objects=20"),
            Path(folder) / "calm",
        )
        rows[-1]["bytes"] = "identical" if parquet(calm) == parquet(all_of.shared / "out") else "DIFFER"
    note = (
        f"deploy/slurm/capgen.sbatch on SLURM of Debian 12, {OBJECTS} objects, {CONCURRENCY} requests in flight an "
        "engine. Goal: the job goes on by itself after its time limit and without a node, byte-identical, nothing is "
        "asked twice but what the lost node had in flight; the cancelled job stays away."
    )
    save("slurm", rows, note, before, RESULTS)
    good = {"state": "COMPLETED", "restarts": 1, "verify": "ok", "bytes": "identical"}
    wrong = {name: rows[-1][name] for name, value in good.items() if rows[-1][name] != value}
    if wrong or rows[0]["restarts"] or rows[-1]["asked_again"] > CONCURRENCY:
        raise SystemExit(f"missed: {wrong or rows}")


if __name__ == "__main__":
    main()
