"""Memory of a run's processes, and of packing, from ten thousand to a million objects, with the engine `echo`.

    python -m benchmarks.run_memory [--objects 10000 100000 1000000] [--engines 64]

The source is a generated LVIS file over a few small pictures that all of its images share, so that neither disk nor
decoding hides what is asked here: whether the driver, the Ray worker and the packing grow with the number of objects.

With ``--engines`` so many Ray actors work on each run, whose answers take longer the more there are, so that all of
them come up before the run is over; what is asked then is how the driver grows with their number.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import psutil

from benchmarks.common import machine, save
from capgen.dataset.layout import RunLayout

OBJECTS_AN_IMAGE = 10
_RATE = 120  # objects a second, of all engines together: what two cores are enough for
_IN_FLIGHT = 4
_SAMPLED = 4  # workers: reading the memory of all of them would take the cores from them


def write_source(root: Path, objects: int) -> None:
    """An LVIS v1 file of so many objects, ten an image, over sixteen pictures of 96x72."""
    folder = root / "train2017"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    images = objects // OBJECTS_AN_IMAGE
    for number in range(16):
        cv2.imwrite(str(folder / f"{number:012d}.jpg"), rng.integers(0, 255, (72, 96, 3), dtype=np.uint8))
    url = "http://images.cocodataset.org/train2017/{:012d}.jpg"
    with (root / "lvis_v1_train.json").open("w") as file:
        file.write('{"categories": [{"id": 1, "name": "cup", "synonyms": ["cup"]}], "images": [')
        for number in range(images):
            file.write("," * (number > 0))
            file.write(json.dumps({"id": number, "width": 96, "height": 72, "coco_url": url.format(number % 16)}))
        file.write('], "annotations": [')
        for number in range(images * OBJECTS_AN_IMAGE):
            x, y = 2 + number % 7 * 10, 2 + number % 5 * 9
            polygon = [x, y, x + 20, y + 3, x + 18, y + 25, x + 2, y + 22]
            annotation = {"id": number, "image_id": number // OBJECTS_AN_IMAGE, "category_id": 1}
            file.write("," * (number > 0) + json.dumps(annotation | {"segmentation": [polygon]}))
        file.write("]}")


class Watch(threading.Thread):
    """Samples the resident memory of the driver and of its Ray workers four times a second."""

    def __init__(self, driver: int) -> None:
        super().__init__(daemon=True)
        self.driver, self.over = psutil.Process(driver), threading.Event()
        self.peak = {"driver": 0, "worker": 0}
        self.engines = 0

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.over.wait(0.25):
            try:
                self._sample("driver", self.driver)
                children = self.driver.children(recursive=True)
                workers = [child for child in children if "ShardActor" in " ".join(child.cmdline())]
                self.engines = max(self.engines, len(workers))
                for worker in workers[:_SAMPLED]:
                    self._sample("worker", worker)
            except psutil.Error:
                continue

    def _sample(self, name: str, process: psutil.Process) -> None:
        memory = process.memory_full_info()
        self.peak[name] = max(self.peak[name], memory.uss)


def measure(objects: int, folder: Path, engines: int) -> dict[str, object]:
    """One run: peaks in MiB of memory that is each process's own, and how long it took."""
    root, out = folder / f"source-{objects}", folder / f"out-{objects}"
    write_source(root, objects)
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "lvis", "--root", str(root), "--engine", "echo"]
    command += ["--model", "none", "--out", str(out)]
    for key in ("render.clean_pixels=4096", "render.marked_pixels=4096"):
        command += ["--set", key]
    if engines > 1:
        slow = {"latency_s": engines * _IN_FLIGHT / _RATE, "concurrency": _IN_FLIGHT}
        command += ["--workers", str(engines), "--set", f"run.shard_objects={max(1, objects // engines // 4)}"]
        command += [word for name, value in slow.items() for word in ("--set", f"engine.options.{name}={value}")]
    begun = time.monotonic()
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    watch = Watch(driver.pid)
    watch.start()
    code = driver.wait()
    watch.over.set()
    if code:
        raise SystemExit(f"capgen run ended with {code}")
    report = json.loads(RunLayout(out).report_json.read_text())
    return {
        "objects": objects,
        "engines": watch.engines,
        "kept": report["kept"],
        "driver_peak_mib": round(watch.peak["driver"] / 2**20),
        "worker_peak_mib": round(watch.peak["worker"] / 2**20),
        "objects_per_s": report["requests_per_s"],
        "seconds": round(time.monotonic() - begun, 1),
        **{f"{name.replace(' ', '_')}_s": value for name, value in report["seconds"].items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--engines", type=int, default=1)
    arguments = parser.parse_args()
    before = machine()
    rows = []
    for objects in arguments.objects:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(objects, Path(folder), arguments.engines))
        print(rows[-1], flush=True)
    goal = "flat, under 1,536 MiB" if arguments.engines == 1 else "the driver under 400 MiB"
    note = f"Peak of each process's own memory (USS); the driver plans and packs. Goal: {goal}."
    many = "" if arguments.engines == 1 else f"_{arguments.engines}_engines"
    save(f"run_memory{many}", rows, note, before)


if __name__ == "__main__":
    main()
