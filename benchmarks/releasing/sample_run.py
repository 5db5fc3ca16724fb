"""The README's first command on this machine: how long `make lviscap` takes without a dataset, and what it gives.

    python -m benchmarks.releasing.sample_run [--out OUT]

It captions the sample world's images with the embedded captioner and real vLLM, as a process of its own, and reads its
report. There is no baseline: the numbers are those that the documents name.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.common import machine, save
from capgen.dataset.layout import RunLayout
from capgen.evaluation.sample_facts import score_release
from capgen.report.collect import run_figures

NOTE = "Wall time of the whole command, from its start to its end; shares of captions that say the truth, by attribute."


def measure(out: Path) -> list[dict[str, Any]]:
    """Run the command and read what came out."""
    begun = time.perf_counter()
    run = ("run", "--dataset", "sample-images", "--gpus", "0", "--out", str(out))
    command = [sys.executable, "-m", "capgen.cli", *run]
    subprocess.run(command, check=True)
    seconds = time.perf_counter() - begun
    figures, layout = run_figures(out), RunLayout(out)
    session = json.loads(layout.report_json.read_text("utf-8"))
    truth = score_release(out, layout.world / "facts.json")
    rows: list[dict[str, Any]] = [
        {"what": "whole command", "value": round(seconds, 1), "unit": "s"},
        *({"what": name, "value": value, "unit": "s"} for name, value in session["seconds"].items()),
        {"what": "engine start", "value": session["engine_start_s"][0], "unit": "s"},
        {"what": "requests while asking", "value": session["requests_per_s"], "unit": "1/s"},
        {"what": "objects", "value": figures.planned, "unit": ""},
        {"what": "captions", "value": figures.kept, "unit": ""},
    ]
    rates = {name: tally.rate for name, tally in truth.attributes.items() if tally.rate is not None}
    return [*rows, *({"what": f"right: {name}", "value": round(rate, 3), "unit": ""} for name, rate in rates.items())]


def main() -> None:
    """Measure, print, save."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="keep the run here")
    arguments = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        save("sample_run", measure(arguments.out or Path(folder, "out")), NOTE, before)


if __name__ == "__main__":
    main()
