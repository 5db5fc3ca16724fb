"""How many captions `capgen lint` checks in a second on one core, beside the checks of an earlier commit.

    python -m benchmarks.checks.lint_speed [--rows 200000] [--before 992a219]

JSON Lines of the corpora in tests/data/captions go through `lint_file`, reading and writing included, in a process of
its own for each version: labelled.jsonl as it is (a third are bad) and with one bad caption to 19 good ones, as in a
run; the same with the good captions of a part of held_out.jsonl, which are as long as those of the paper, half of
them written to be mistaken for bad ones; and, where the reference data is there, the first sentences of what GAR-8B
says in DLC-Bench, with bad captions of the corpora between them.
From the second time on a caption has other colours and materials, so that none comes twice. The time is that of the
processor.
"""

from __future__ import annotations

import argparse
import io
import itertools
import json
import os
import random
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.common import machine, save

ROOT = Path(__file__).resolve().parent.parent.parent
CORPUS = ROOT / "tests/data/captions"
MODEL = ROOT.parent / "shared/data/reference/dlc"
USUAL = slice(2_371, 4_063)  # lines of held_out.jsonl, of captions as models and people write them
LOOKS = tuple(
    """red blue green yellow black white brown grey orange purple pink silver golden beige dark light small large wooden
    metal plastic leather""".split()  # noqa: SIM905
)
_LOOK = re.compile(rf"\b({'|'.join(LOOKS)})\b")
PROGRAM = """
import sys, time
from pathlib import Path
from capgen.pipeline.checks.lint import lint_file
file = Path(sys.argv[1])
first = Path(sys.argv[2])
for _ in lint_file(first, as_json=True): pass
started = time.process_time()
count = sum(1 for _ in lint_file(file, as_json=True))
print(count, time.process_time() - started)
"""


def varied(lines: list[str], count: int) -> list[str]:
    """That many lines: all of them in turn, from the second turn on with other looks."""
    random_look = random.Random(0)
    turns = itertools.cycle(lines)
    return [
        line if number < len(lines) else _LOOK.sub(lambda _: random_look.choice(LOOKS), line)
        for number, line in enumerate(itertools.islice(turns, count))
    ]


def mixed(lines: list[str]) -> list[str]:
    """The good captions with a bad one behind each nineteenth."""
    good = [line for line in lines if '"label": "good"' in line]
    bad = [line for line in lines if '"label": "bad"' in line]
    return [line for number, line in enumerate(good) for line in (line, *bad[number // 19 :][: number % 19 == 0])]


def first_sentences(bad: list[str]) -> list[str]:
    """What a model says of the objects of DLC-Bench, up to the end of its first sentence, and one bad caption in 20."""
    said = json.loads((MODEL / "gar_8b.json").read_text("utf-8"))
    names = json.loads((MODEL / "class_names.json").read_text("utf-8"))
    good = [
        json.dumps({"caption": f"{text.split('. ')[0].rstrip('.')}.", "category": names.get(key), "label": "good"})
        for key, text in said.items()
    ]
    return mixed([*good, *bad[: len(good) // 19 + 1]])


def measure(package: Path, file: Path, first: Path) -> dict[str, Any]:
    """Captions a second of the package in that folder; the best of three."""
    seconds = []
    count = 0
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(file), str(first)],
            env={**os.environ, "PYTHONPATH": str(package)},
            cwd=package,
            check=True,
            capture_output=True,
            text=True,
        )
        count, taken = int(done.stdout.split()[0]), float(done.stdout.split()[1])
        seconds.append(taken)
    best = min(seconds)
    return {"captions": count, "seconds": round(best, 3), "captions_per_s": round(count / best)}


def main() -> None:
    """Measure both versions, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--before", default="992a219")
    arguments = parser.parse_args()
    before = machine()
    lines = (CORPUS / "labelled.jsonl").read_text("utf-8").splitlines()
    usual = (CORPUS / "held_out.jsonl").read_text("utf-8").splitlines()[USUAL]
    files = {"corpus": lines, "1 bad in 20": mixed(lines), "usual, 1 bad in 20": mixed(usual)}
    if MODEL.is_dir():
        files["GAR-8B, 1 bad in 20"] = first_sentences([line for line in usual if '"label": "bad"' in line])
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        file, first = Path(folder, "captions.jsonl"), Path(folder, "first.jsonl")
        first.write_text("\n".join(lines[:20]) + "\n", "utf-8")
        archive = subprocess.run(
            ["git", "archive", arguments.before, "capgen"], cwd=ROOT, check=True, capture_output=True
        ).stdout
        old = Path(folder, "old")
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(old, filter="data")
        for name, chosen in files.items():
            words = [len(json.loads(line)["caption"].split()) for line in chosen]
            file.write_text("\n".join(varied(chosen, arguments.rows)) + "\n", "utf-8")
            for version, package in (
                (f"7, at commit {arguments.before}", old),
                ("12 of the default ones, today", ROOT),
            ):
                shown = {"captions of": name, "words": round(sum(words) / len(words), 1), "checks": version}
                rows.append(shown | measure(package, file, first))
    save("lint_speed", rows, "one process, processor time, reading and writing JSON included; best of three", before)


if __name__ == "__main__":
    main()
