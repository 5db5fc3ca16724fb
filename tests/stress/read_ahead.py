"""Pictures in a bucket that answers slowly: what an engine waits for them.

    python -m tests.stress.read_ahead [--objects 400] [--delay-ms 50]

An S3 server (moto's) behind a proxy that holds every answer back. The engine is `echo`, which takes a fixed time an
answer. The same run is done with the dataset in a folder and in the bucket, and in the bucket without reading ahead.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rich.console import Console

from benchmarks.common import machine, save
from capgen.buckets.places import local_place
from capgen.buckets.roots import open_root
from capgen.dataset.plan import ModelName
from capgen.images import SUFFIXES
from capgen.pipeline.asking import render_ahead
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.session import Devices, RunRequest, run_session
from tests.buckets.bucket import Faulty, forget_connections, new_bucket, s3_server
from tests.stress import RESULTS

OBJECTS_A_PICTURE = 3
LATENCY_S, CONCURRENCY = 0.1, 8


def write_pictures(root: Path, images: int) -> None:
    """An LVIS file of pictures of 256 x 192 that all differ."""
    draw = np.random.default_rng(0)
    (root / "train2017").mkdir(parents=True)
    pictures, annotations = [], []
    for number in range(images):
        name = f"{number:012d}.jpg"
        cv2.imwrite(str(root / "train2017" / name), draw.integers(0, 255, (192, 256, 3), dtype=np.uint8))
        url = f"http://images.cocodataset.org/train2017/{name}"
        pictures.append({"id": number, "width": 256, "height": 192, "coco_url": url})
        for place in range(OBJECTS_A_PICTURE):
            x = 5 + 80 * place
            polygon = [[x, 20, x + 60, 20, x + 60, 120, x, 120]]
            about = {"id": len(annotations) + 1, "image_id": number, "category_id": 1}
            annotations.append(about | {"segmentation": polygon})
    categories = [{"id": 1, "name": "cup", "synonyms": ["cup"]}]
    body = {"images": pictures, "annotations": annotations, "categories": categories}
    (root / "lvis_v1_train.json").write_text(json.dumps(body))


def asked(root: Path, out: Path) -> dict[str, float]:
    """Seconds of asking, and the engine's idle share, of a run in this process."""
    flags = {"source.root": root, "engine.name": "echo", "model.id": "none", "run.shard_objects": 5000}
    options = (f"engine.options.latency_s={LATENCY_S}", f"engine.options.concurrency={CONCURRENCY}")
    settings = load_settings("lvis", flags, (*options, "tries.again=[]", "distinct.enabled=false"))
    begun = time.perf_counter()
    wanted = RunRequest(out, ModelName("none"), Devices(ray=False))
    _, report = run_session(settings, wanted, Console(file=io.StringIO()))
    assert report.kept == report.planned, report.failed
    return {"objects": report.kept, "ask_s": report.seconds["ask"], "whole_s": time.perf_counter() - begun}


def main() -> None:
    """Do the runs, print, save."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--objects", type=int, default=400)
    parser.add_argument("--delay-ms", type=float, default=50)
    arguments = parser.parse_args()
    before = machine()
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder, s3_server() as address:
        os.environ["CAPGEN_SCRATCH"] = f"{folder}/scratch"
        root = Path(folder, "lvis")
        write_pictures(root, arguments.objects // OBJECTS_A_PICTURE)
        url = new_bucket()
        import s3fs

        s3fs.S3FileSystem().put(str(root), f"{url}/lvis", recursive=True)
        proxy = Faulty(address, delay_s=arguments.delay_ms / 1000)
        os.environ["AWS_ENDPOINT_URL"] = proxy.address
        rows.append({"dataset": "in a folder"} | asked(root, Path(folder, "a")))
        ahead = render_ahead._FETCHED_AHEAD
        for number, (name, count) in enumerate((("in the bucket", ahead), ("in the bucket, nothing read ahead", 0))):
            forget_connections()
            place = f"{url}/lvis" + "/" * number
            copy = local_place(place, "root").with_name(f"copy-{number}")
            open_root(f"{url}/lvis", copy).list(SUFFIXES)
            render_ahead._FETCHED_AHEAD = count
            if not count:
                render_ahead.soon = list
            rows.append({"dataset": name} | asked(copy, Path(folder, f"b{number}")))
        proxy.close()
    engine = rows[0]["objects"] * LATENCY_S / CONCURRENCY
    note = (
        f"{arguments.objects} objects, {arguments.delay_ms:g} ms before each answer of the bucket; "
        f"an engine that never waits needs {engine:.1f} s. "
        "Goal: as in a folder."
    )
    save("read_ahead", rows, note, before, RESULTS)


if __name__ == "__main__":
    main()
