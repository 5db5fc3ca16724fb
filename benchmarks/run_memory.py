"""Memory of a run's processes, and of packing, from ten thousand to a million objects, with the engine `echo`.

    python -m benchmarks.run_memory [--objects 10000 100000 1000000]

The source is a generated LVIS file over a few small pictures that all of its images share, so that neither disk nor
decoding hides what is asked here: whether the driver, the Ray worker and the packing grow with the number of objects.
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

    def run(self) -> None:
        """Sample until told to stop."""
        while not self.over.wait(0.25):
            try:
                self._sample("driver", self.driver)
                for child in self.driver.children(recursive=True):
                    if "ShardActor" in " ".join(child.cmdline()):
                        self._sample("worker", child)
            except psutil.Error:
                continue

    def _sample(self, name: str, process: psutil.Process) -> None:
        memory = process.memory_full_info()
        self.peak[name] = max(self.peak[name], memory.uss)


def measure(objects: int, folder: Path) -> dict[str, object]:
    """One run: peaks in MiB of memory that is each process's own, and how long it took."""
    root, out = folder / f"source-{objects}", folder / f"out-{objects}"
    write_source(root, objects)
    command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", "lvis", "--root", str(root), "--engine", "echo"]
    command += ["--model", "none", "--out", str(out)]
    for key in ("render.clean_pixels=4096", "render.marked_pixels=4096"):
        command += ["--set", key]
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
    arguments = parser.parse_args()
    before = machine()
    rows = []
    for objects in arguments.objects:
        with tempfile.TemporaryDirectory() as folder:
            rows.append(measure(objects, Path(folder)))
        print(rows[-1], flush=True)
    note = "Peak of each process's own memory (USS); the driver plans and packs. Goal: flat, under 1,536 MiB."
    save("run_memory", rows, note, before)


if __name__ == "__main__":
    main()
