"""Packing, verifying and reporting stay flat in memory to 1 million objects; a script with pandas does not.

    python -m benchmarks.pack_memory [--objects 10000 100000 1000000]

Plan and candidates are synthetic, shaped like LVIS: 13 objects a picture, shards of 2,000 objects, masks of a few
hundred characters. Each step runs in a process of its own, whose peak is that of its resident memory. The baseline
reads all candidates with pandas, drops repeated captions and writes one file of captions; it writes no media.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np

from benchmarks.common import machine, save
from capgen import rle
from capgen.dataset.card import CardInfo
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PLAN_VERSION, PlannedMedia, PlannedObject, PlanRecord
from capgen.dataset.reader import read_media, read_plan
from capgen.dataset.row import Row
from capgen.dataset.shards import write_candidates
from capgen.pipeline.planning.plan import write_plan, write_plan_json

HEIGHT, WIDTH = 480, 640
PER_IMAGE = 13
SHARD_OBJECTS = 2000
LIMIT_MIB = 1536
FINGERPRINT = "synthetic"
NOTE = f"Peak of resident memory of each step's own process. Goal: flat, under {LIMIT_MIB:,} MiB."
CARD = CardInfo("lvis", "Synthetic", "synthetic", "image", "made by a benchmark", "cc0-1.0")
CATEGORIES = [f"thing_{number}" for number in range(1203)]
WORDS = ("red", "blue", "small", "large", "round", "old", "wooden", "metal", "cup", "plate", "on", "near", "a", "the")


def blobs(number: int) -> list[str]:
    """Masks with a ragged border: an ellipse whose radius wanders."""
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:HEIGHT, :WIDTH]
    counts = []
    for _ in range(number):
        y, x, r = rng.uniform(100, 380), rng.uniform(100, 540), rng.uniform(20, 90)
        angle = np.arctan2(ys - y, xs - x)
        ragged = r * (1 + 0.2 * np.sin(5 * angle + r) + 0.05 * np.sin(31 * angle))
        counts.append(rle.encode(np.hypot(ys - y, xs - x) < ragged))
    return counts


class Synthetic:
    """A source of pictures that exist nowhere."""

    files = ()

    def __init__(self, objects: int) -> None:
        self.objects = objects
        points = np.random.default_rng(1).uniform(0, HEIGHT, (50, 80)).round(2)
        self.polygons = [msgspec.Raw(json.dumps([row]).encode()) for row in points.tolist()]

    def scan(self) -> Iterator[PlannedMedia]:
        """The pictures, four fifths of them in train."""
        rng = random.Random(2)
        for first in range(0, self.objects, PER_IMAGE):
            image = first // PER_IMAGE
            categories = rng.sample(range(len(CATEGORIES)), 4)
            yield PlannedMedia(
                dataset="synthetic",
                split="train" if first < 0.8 * self.objects else "val",
                media_id=str(image),
                kind="image",
                file_names=(f"train2017/{image:012d}.jpg",),
                width=WIDTH,
                height=HEIGHT,
                license="4",
                coco_url=f"http://images.cocodataset.org/train2017/{image:012d}.jpg",
                objects=tuple(
                    self._object(number, rng.choice(categories), rng)
                    for number in range(first, min(first + PER_IMAGE, self.objects))
                ),
            )

    def _object(self, number: int, category: int, rng: random.Random) -> PlannedObject:
        return PlannedObject(
            object_id=str(number),
            category_id=category + 1,
            category=CATEGORIES[category],
            segmentation=rng.choice(self.polygons),
        )


def rows(media: list[PlannedMedia], counts: list[str], rng: random.Random) -> Iterator[Row]:
    """What an engine might have said: nine of ten kept, a few of them twice in one picture."""
    for one in media:
        for item in one.objects:
            mask = rng.choice(counts)
            caption = "A " + " ".join(rng.choices(WORDS, k=13)) if rng.random() < 0.9 else "A thing."
            dropped = rng.random() < 0.1
            yield Row(
                **one.header(),
                key=one.key_of(item.object_id),
                object_id=item.object_id,
                category_id=item.category_id,
                category=item.category,
                frame_index=(0,),
                segmentation=({"size": [HEIGHT, WIDTH], "counts": mask},),
                bbox=((10.0, 10.0, 50.0, 40.0),),
                area=(1500,),
                caption=caption,
                status="dropped" if dropped else "kept",
                reasons=("length",) if dropped else (),
                message="too short" if dropped else None,
                model="synthetic/model",
                model_revision=None,
                engine="none",
                prompt="shared-crop_v1",
                prompt_sha256="a" * 64,
                highlight="crop+box",
                seed=0,
                finish_reason="stop",
                prompt_tokens=420,
                cached_tokens=rng.choice((0, 304)),
                output_tokens=17,
                attempts=1,
                request_sha256=f"{rng.getrandbits(256):064x}",
            )


def make(out: Path, objects: int) -> dict[str, float]:
    """The plan and the candidates of a run of so many objects."""
    table = write_plan(Synthetic(objects), out, shard_objects=SHARD_OBJECTS)
    write_plan_json(out, PlanRecord(version=PLAN_VERSION, fingerprint=FINGERPRINT, shards=table.shards))
    counts = blobs(400)
    begun = time.perf_counter()
    for entry in table.shards:
        media = list(read_media(out, entry))
        write_candidates(
            rows(media, counts, random.Random(entry.index)), out, entry.index, {"fingerprint": FINGERPRINT}
        )
    return {"seconds": time.perf_counter() - begun}


def pack_release(out: Path) -> dict[str, float]:
    """Our own way."""
    from capgen.pipeline.releasing.pack import pack

    release = pack(out, read_plan(out), CARD)
    return {"kept": release.counts.kept, "bytes": sum(file.bytes for file in release.files)}


def check(out: Path) -> dict[str, float]:
    """Our own proof of it."""
    from capgen.pipeline.releasing.verify import verify

    ledger = verify(out)
    if not ledger.ok:
        raise SystemExit(f"the ledger does not close: {ledger}")
    return {"kept": ledger.kept}


def report(out: Path) -> dict[str, float]:
    """The report of the run."""
    from capgen.report.write import write_report

    page, figures = write_report(out)
    return {"kept": figures.kept, "bytes": page.stat().st_size}


def baseline(out: Path) -> dict[str, float]:
    """What a script would do: everything in one frame."""
    import pandas as pd

    table = pd.concat([pd.read_parquet(path) for path in RunLayout(out).all_candidates()])
    kept = table[table["status"] == "kept"].drop_duplicates(["media_id", "category", "caption"])
    kept.to_parquet(out / "baseline.parquet", compression="zstd", row_group_size=1000)
    return {"kept": len(kept)}


STEPS = {
    "write candidates": make,
    "pack": pack_release,
    "verify": check,
    "report": report,
    "pandas (captions only)": baseline,
}


def peak_mib() -> float:
    """Most resident memory this process has had, MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024


def child(step: str, out: Path, objects: int) -> None:
    begun = time.perf_counter()
    told = STEPS[step](out, objects) if step == "write candidates" else STEPS[step](out)  # type: ignore[operator]
    seconds = told.pop("seconds", time.perf_counter() - begun)
    speed = {"seconds": round(seconds, 1), "objects_per_s": round(objects / seconds)}
    print(json.dumps({**speed, "peak_mib": round(peak_mib()), **told}))


def measure(step: str, out: Path, objects: int) -> dict[str, float]:
    command = [
        sys.executable,
        "-m",
        "benchmarks.pack_memory",
        "--child",
        step,
        "--out",
        str(out),
        "--objects",
        str(objects),
    ]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode != 0:  # the baseline may be killed for its memory; ours may not
        return {"exit": done.returncode}
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--child", choices=STEPS)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    if args.child:
        child(args.child, args.out, args.objects[0])
        return
    before = machine()
    results: list[dict[str, float | str]] = []
    for objects in args.objects:
        with tempfile.TemporaryDirectory() as folder:
            for step in STEPS:
                results.append({"step": step, "objects": objects, **measure(step, Path(folder), objects)})
                print(json.dumps(results[-1]), flush=True)
    results.sort(key=lambda row: list(STEPS).index(str(row["step"])))
    save("pack_memory", results, NOTE, before)
    ours = [row for row in results if not str(row["step"]).startswith("pandas")]
    if any("exit" in row or float(row["peak_mib"]) > LIMIT_MIB for row in ours):
        raise SystemExit(f"a step went over {LIMIT_MIB} MiB or failed")


if __name__ == "__main__":
    main()
