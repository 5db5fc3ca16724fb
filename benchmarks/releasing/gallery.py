"""The gallery over a million rows: time to the first page, to a filter, and the server's memory.

    python -m benchmarks.releasing.gallery [--objects 1000000] [--run OUT]

Plan and candidates are those of `benchmarks/pack_memory.py`, with a score of a judge for every caption; the pictures do
not exist, so that what is measured is the rows. The server is a process of its own that is asked over HTTP, as a
browser asks. The baseline answers the same filters by scanning the run's Parquet files with pyarrow, every time anew.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
import pyarrow.compute as pc
import pyarrow.dataset as ds

from benchmarks.common import machine, save
from benchmarks.pack_memory import make
from capgen.dataset.files import open_parquet
from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.judge_scores import SCORES
from capgen.dataset.reader import read_columns, read_plan
from capgen.pipeline.judging.records import JudgeRules, score_table
from capgen.pipeline.judging.scores import JudgedCaption

GOALS = {"first page": 1.0, "filter": 2.0, "memory_mib": 1024}
NOTE = (
    "Goals: first page < 1 s after the start, a filter < 2 s, server < 1,024 MiB. 'filled' is when all rows are there: "
    "until then the gallery shows those that are; 'scores' is when each has its judge's score too. Median of five for "
    "filters and pages; 'worst' is the slowest."
)
QUERIES = {
    "page 1": "",
    "page 10,000": "page=10000",
    "status": "status=dropped",
    "category": "category=thing_77",
    "reason": "reason=length",
    "words in the caption": "q=red+wooden+plate",
    "length": "min_words=14&max_words=20",
    "random sample": "sort=random&seed=7",
    "least certain first": "sort=unsure",
    "longest first": "sort=longest",
    "category, words, longest": "category=thing_77&q=red&sort=longest",
    "judge's verdict": "judge=wrong",
    "worst by the judge first": "sort=worst",
    "score, best first, category": "min_score=-1&max_score=-0.2&sort=best&category=thing_77",
}
_CAPTION = pc.field("caption")
BASELINE: dict[str, Callable[[], Any]] = {
    "status": lambda: pc.field("status") == "dropped",
    "category": lambda: pc.field("category") == "thing_77",
    "words in the caption": lambda: (
        pc.match_substring(_CAPTION, "red")
        & pc.match_substring(_CAPTION, "wooden")
        & pc.match_substring(_CAPTION, "plate")
    ),
}


def score(out: Path) -> None:
    """A table as `capgen judge` writes it, with a made-up score for every kept caption."""
    rng = np.random.default_rng(3)
    plan = read_plan(out)
    with open_parquet(RunLayout(out).judge, SCORES) as writer:
        for entry in plan.shards:
            rows = read_columns(out, entry.index, ("key", "caption", "status")).to_pylist()
            judged = [
                JudgedCaption(key=row["key"], caption=row["caption"], score=float(value), least=float(value))
                for row, value in zip(rows, -rng.exponential(0.5, len(rows)), strict=True)
                if row["status"] == "kept"
            ]
            writer.write_table(score_table(judged, JudgeRules()))


def start(out: Path) -> tuple[subprocess.Popen[str], str]:
    """The server's process, and its address."""
    command = [sys.executable, "-c", "from capgen.cli.main import main; main()", "gallery", str(out)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if select.select([server.stdout], [], [], 0.1)[0]:
            line = server.stdout.readline().strip()
            if line.startswith("http://"):
                return server, line
    raise SystemExit("the gallery did not start")


def peak_mib(pid: int) -> float:
    """The peak of a process's resident memory."""
    status = Path(f"/proc/{pid}/status").read_text("ascii")
    return int(re.findall(r"VmHWM:\s+(\d+) kB", status)[0]) / 1024


def times(ask: Callable[[], object], count: int = 5) -> tuple[float, float]:
    """Median and worst of some calls, in seconds."""
    taken = []
    for _ in range(count):
        begun = time.perf_counter()
        ask()
        taken.append(time.perf_counter() - begun)
    return sorted(taken)[count // 2], max(taken)


def measure(out: Path, objects: int) -> list[dict[str, Any]]:
    """The rows of the table."""
    begun = time.perf_counter()
    server, address = start(out)
    try:
        with httpx.Client(trust_env=False, timeout=120, follow_redirects=True) as client:
            rows: list[dict[str, Any]] = [{"what": "listens", "seconds": time.perf_counter() - begun}]
            client.get(address).raise_for_status()
            rows.append({"what": "first page", "seconds": time.perf_counter() - begun, "goal": GOALS["first page"]})
            place = urlsplit(address)
            base = f"{place.scheme}://{place.netloc}/"
            slowest = 0.0
            while f"{objects:,} objects</output>" not in (page := _timed(client, base))[0]:
                slowest = max(slowest, page[1])
                time.sleep(0.2)
            rows.append({"what": "filled", "seconds": time.perf_counter() - begun})
            unscored = sum(int(n.replace(",", "")) for n in re.findall(r"(?:dropped|failed) <b>([\d,]+)</b>", page[0]))
            while f"{unscored:,} objects</output>" not in (page := _timed(client, f"{base}?judge=none"))[0]:
                slowest = max(slowest, page[1])
                time.sleep(0.2)
            rows.append({"what": "scores", "seconds": time.perf_counter() - begun})
            rows.append({"what": "slowest page while it fills", "seconds": slowest})
            client.get(base)  # counts what the filters offer
            for name, query in QUERIES.items():
                median, worst = times(lambda query=query: client.get(f"{base}?{query}").raise_for_status())  # type: ignore[misc]
                row = {"what": name, "seconds": median, "worst": worst, "goal": GOALS["filter"]}
                rows.append(row | _baseline(out, name))
            rows.append({"what": "server's peak, MiB", "seconds": peak_mib(server.pid), "goal": GOALS["memory_mib"]})
        return rows
    finally:
        server.terminate()
        server.wait(30)


def _timed(client: httpx.Client, address: str) -> tuple[str, float]:
    begun = time.perf_counter()
    return client.get(address).text, time.perf_counter() - begun


def _baseline(out: Path, name: str) -> dict[str, float]:
    if name not in BASELINE:
        return {}
    files = sorted(map(str, RunLayout(out).candidates(0).parent.glob("*.parquet")))
    table = ds.dataset(files)
    median, _ = times(lambda: table.head(50, filter=BASELINE[name]()) and table.count_rows(filter=BASELINE[name]()), 3)
    return {"pyarrow scan": median}


def main() -> None:
    """Make the run if none is given, measure, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=1_000_000)
    parser.add_argument("--run", type=Path, help="a run that an earlier call made")
    arguments = parser.parse_args()
    os.environ["NO_COLOR"] = "1"
    with tempfile.TemporaryDirectory() as folder:
        out = arguments.run or Path(folder, "out")
        if not RunLayout(out).plan_json.is_file():
            make(out, arguments.objects)
        if not RunLayout(out).judge.is_file():
            score(out)
        before = machine()
        save("gallery", measure(out, arguments.objects), NOTE, before)


if __name__ == "__main__":
    main()
