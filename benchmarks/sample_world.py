"""How fast one core writes the sample world; the promise is 1,000 images in under 60 seconds.

    python -m benchmarks.sample_world [--images 1000] [--videos 50]

The baseline paints the same plans the usual way: every silhouette with Pillow on a layer of the whole picture at four
times the size, scaled down, then composited; no patterns, no shadows, no check of what is seen, no masks kept.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import cv2
import numpy as np
from PIL import Image, ImageDraw

from benchmarks.common import machine, save
from capgen.sample.backdrop import backdrop
from capgen.sample.paint import outline
from capgen.sample.plan import image_plan
from capgen.sample.scene import image_scene, video_scene
from capgen.sample.shapes import UNIT
from capgen.sample.write import write_world

SCALE = 4
LIMIT_S = 60
SEED = 123


def timed(what: str, number: int, unit: str, work: Callable[[], object]) -> dict[str, object]:
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"what": what, "number": number, "unit": unit, "wall_s": wall, "cpu_s": cpu, "per_cpu_s": number / cpu}


def layered(index: int) -> bytes:
    """A picture of the same plan, painted with whole layers."""
    rng = np.random.default_rng((SEED, index))
    width, height = 320, 240
    picture = Image.fromarray(backdrop(rng, height, width))
    for actor in image_plan(rng, width, height):
        layer = Image.new("RGBA", (width * SCALE, height * SCALE))
        draw = ImageDraw.Draw(layer)
        for points in outline(actor.look, actor.angle[0]):
            place = points * actor.half[0] * SCALE / (16 * UNIT) + np.array((actor.x[0], actor.y[0])) * SCALE
            draw.polygon([tuple(point) for point in place], fill=(*actor.look.paint, 255))
        small = layer.resize((width, height), Image.Resampling.BOX)
        picture.paste(small, (0, 0), small)
    noisy = np.asarray(picture) + rng.normal(0, 4, (height, width, 3))
    return cv2.imencode(".jpg", np.clip(noisy, 0, 255).astype(np.uint8))[1].tobytes()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--videos", type=int, default=50)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)
    before = machine()
    image_scene(SEED, 0)
    images, videos = options.images, options.videos
    with tempfile.TemporaryDirectory() as folder:
        world = Path(folder)
        rows = [
            timed(
                "images written", images, "images", lambda: write_world(world / "i", images=images, videos=0, seed=1)
            ),
            timed(
                "videos written", videos, "videos", lambda: write_world(world / "v", images=0, videos=videos, seed=1)
            ),
        ]
    few = min(images, 300)
    rows += [
        timed("images in memory", few, "images", lambda: [image_scene(SEED, i) for i in range(few)]),
        timed("videos in memory", videos, "videos", lambda: [video_scene(SEED, i) for i in range(videos)]),
        timed("baseline: whole layers", few, "images", lambda: [layered(i) for i in range(few)]),
    ]
    cpu = float(str(rows[0]["cpu_s"]))
    kept = cpu * 1000 / images < LIMIT_S
    verdict = "kept" if kept else "MISSED"
    note = f"One core. 1,000 images in {cpu * 1000 / images:.1f} s of its time, the limit is {LIMIT_S}: {verdict}."
    save("sample_world", rows, note, before)
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
