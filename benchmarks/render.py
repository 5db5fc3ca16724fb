"""How many objects a second one core renders, beside the naive way; and what each highlight and each resize costs.

    python -m benchmarks.render [--root ../shared/data/lvis_mini] [--seconds 4]

Naive: for each object, Pillow decodes the photograph, the mask is decoded, its contour is drawn, and the whole
picture is written as JPEG. All ways do the same objects; masks are in memory as compressed run lengths for all.
Processor time is measured, of one thread, and the best of several rounds counts. Other work on the machine makes all
ways slower all the same (caches, shared cores): the load average before the measurement is in the result.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageDraw

from capgen import rle
from capgen.dataset.types import Media
from capgen.pipeline.rendering.frames import load_frame
from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.rendering.highlights.base import Fit, show, whole
from capgen.pipeline.rendering.prompt import Layouts, Prompt, load_prompt
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import RenderSettings
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View

RESULTS = Path(__file__).resolve().parent / "results"


def naive(media: list[Media]) -> None:
    for medium in media:
        for obj in medium.objects:
            image = Image.open(Path(medium.root) / medium.file_names[0]).convert("RGB")
            bitmap = rle.decode(obj.counts[0] or "", (medium.height, medium.width))
            outlines, _ = cv2.findContours(bitmap.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
            draw = ImageDraw.Draw(image)
            for outline in outlines:
                points = [(int(x), int(y)) for x, y in outline[:, 0]]
                draw.line([*points, points[0]], fill=(255, 0, 0), width=2)
            image.save(io.BytesIO(), "JPEG", quality=90)


def render(media: list[Media], renderer: Renderer) -> None:
    for medium in media:
        for result in render_media(medium, renderer):
            assert isinstance(result, View)


def decode(media: list[Media]) -> None:
    for medium in media:
        load_frame(medium, 0)


def with_highlights(prompt: Prompt, *names: str) -> Prompt:
    """The prompt with other highlights for its marked pictures."""
    built = tuple(HIGHLIGHTS.load(name)() for name in names)
    layout = replace(prompt.layout.image, highlights=built, close_up="crop" in names)
    return replace(prompt, layout=Layouts(layout, layout))


def best(works: Sequence[Callable[[], None]], seconds: float) -> list[float]:
    """The least processor time of a round of each, in seconds; they take turns, for so many seconds each on average."""
    rounds: list[list[float]] = [[] for _ in works]
    end = time.monotonic() + seconds * len(works)
    while time.monotonic() < end or len(rounds[0]) < 4:
        for work, spent in zip(works, rounds, strict=True):
            start = time.thread_time()
            work()
            spent.append(time.thread_time() - start)
    return [min(spent) for spent in rounds]


Shrink = Callable[[np.ndarray, tuple[int, int]], np.ndarray]
"""(frame, (width, height)) to the smaller frame."""


def _all(way: Shrink, frames: list[np.ndarray], sizes: list[tuple[int, int]]) -> None:
    for frame, size in zip(frames, sizes, strict=True):
        way(frame, size)


def resizes(media: list[Media], seconds: float) -> list[dict[str, object]]:
    """Time and nearness to Pillow's filtered bicubic of three ways to shrink whole photographs to two budgets."""
    frames = [load_frame(medium, 0) for medium in media]
    rows: list[dict[str, object]] = []
    for budget in (448 * 448, 320 * 320, 96 * 96):
        fit = Fit(32, budget)
        sizes = [fit.size(frame.shape[1], frame.shape[0]) for frame in frames]
        wanted = [
            np.asarray(Image.fromarray(f).resize(s, Image.Resampling.BICUBIC))
            for f, s in zip(frames, sizes, strict=True)
        ]
        ways: dict[str, Shrink] = {
            "capgen": lambda frame, _, fit=fit: show(frame, whole(frame), fit),  # type: ignore[misc]
            "OpenCV area": lambda frame, size: cv2.resize(frame, size, interpolation=cv2.INTER_AREA),
            "OpenCV bilinear": lambda frame, size: cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR),
            "Pillow bicubic": lambda frame, size: np.asarray(
                Image.fromarray(frame).resize(size, Image.Resampling.BICUBIC)
            ),
        }
        works = [partial(_all, way, frames, sizes) for way in ways.values()]
        for (name, way), spent in zip(ways.items(), best(works, seconds / 4), strict=True):
            shrunk = [way(frame, size).astype(float) for frame, size in zip(frames, sizes, strict=True)]
            errors = [np.mean((one - exact) ** 2) for one, exact in zip(shrunk, wanted, strict=True)]
            psnr = float(np.mean([10 * np.log10(255**2 / e) if e else np.inf for e in errors]))
            rows.append({"pixels": budget, "way": name, "ms": 1e3 * spent / len(frames), "psnr": psnr})
    return rows


def machine() -> str:
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    cpu = names[0].split(":")[1].strip() if names else platform.machine()
    versions = f"Python {platform.python_version()}, OpenCV {cv2.__version__}, numpy {np.__version__}"
    return f"{cpu}, one of {os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}, {versions}"


def main() -> None:
    cv2.setNumThreads(1)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).resolve().parents[1].parent / "shared/data/lvis_mini"
    )
    parser.add_argument("--seconds", type=float, default=4.0)
    options = parser.parse_args()
    media = [decode_media(planned, options.root) for planned in Lvis(root=options.root).scan()]
    media = [medium for medium in media if medium.objects]
    count = sum(len(medium.objects) for medium in media)
    default = load_prompt("shared-crop_v1", category=True)
    paper = load_prompt("paper_v1", category=True)
    square = RenderSettings(square=True, clean_pixels=96 * 96, marked_pixels=96 * 96)
    ways: list[tuple[str, Callable[[], None]]] = [
        ("naive: Pillow, decode + mask + contour + JPEG for each object", lambda: naive(media)),
        ("shared-crop_v1, default sizes", lambda: render(media, Renderer(RenderSettings(), default))),
        ("shared-crop_v1, squares of 96", lambda: render(media, Renderer(square, default))),
        ("paper_v1, default sizes", lambda: render(media, Renderer(RenderSettings(), paper))),
        *(
            (
                f"crop + {name}",
                lambda name=name: render(media, Renderer(RenderSettings(), with_highlights(default, "crop", name))),
            )
            for name in ("none", "box", "contour", "tint", "spotlight")
        ),
    ]
    where = machine()
    *spent, decoding = best([*(work for _, work in ways), lambda: decode(media)], options.seconds)
    rows = [{"way": name, "objects_per_s": count / time_} for (name, _), time_ in zip(ways, spent, strict=True)]
    result = {
        "machine": where,
        "photographs": len(media),
        "objects": count,
        "decode_ms_per_photograph": 1e3 * decoding / len(media),
        "ways": rows,
        "resizes": resizes(media, options.seconds),
    }
    (RESULTS / "render.json").write_text(json.dumps(result, indent=1) + "\n")
    (RESULTS / "render.md").write_text(text := report(result))
    print(text)


def report(result: dict[str, Any]) -> str:
    base = result["ways"][0]["objects_per_s"]
    lines = [
        "# Rendering: objects a second on one core",
        "",
        f"{result['photographs']} photographs with {result['objects']} objects; {result['machine']}.",
        f"Reading, checking and decoding a photograph: {result['decode_ms_per_photograph']:.2f} ms.",
        "",
        "| way | objects/s | times the naive way |",
        "|---|---:|---:|",
        *(
            f"| {row['way']} | {row['objects_per_s']:.0f} | {row['objects_per_s'] / base:.1f} |"
            for row in result["ways"]
        ),
        "",
        "Resizing whole photographs, and how near the result is to Pillow's filtered bicubic:",
        "",
        "| pixel budget | way | ms | PSNR in dB |",
        "|---:|---|---:|---:|",
        *(f"| {row['pixels']} | {row['way']} | {row['ms']:.2f} | {row['psnr']:.1f} |" for row in result["resizes"]),
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
