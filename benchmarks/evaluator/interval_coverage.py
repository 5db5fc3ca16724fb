"""How often the 95 % intervals of the evaluator hold the true value, by the number of videos.

A population of videos of random masks and captions is evaluated once; how well a video is tracked and described varies
from video to video. Its numbers are the truth. Samples of a few videos are then drawn from it, and intervals counted
for each, beside plain percentile intervals of the same draws.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from benchmarks.common import machine, save
from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.chota import Scores
from capgen.evaluation.metrics.resampling.average_precision import ApSample
from capgen.evaluation.metrics.resampling.bootstrap import Statistic, bca_intervals, draw
from capgen.evaluation.metrics.resampling.sums import sums_statistic

WORDS = ("a", "small", "red", "dog", "runs", "across", "the", "green", "grass", "near", "an", "old", "wall")
NAMES = ("DetA", "AssA", "CapA_cider", "CHOTA_cider", "HOTA_mean", "AP", "AP50")
SIZE = (48, 64)
CATEGORIES = 4
FRAMES = 4


def population(folder: Path, videos: int, seed: int) -> Scores:
    """The scores of one evaluation over that many random videos."""
    rng = np.random.default_rng(seed)
    truth: list[dict[str, Any]] = []
    found: list[dict[str, Any]] = []
    images: list[dict[str, Any]] = []
    for video in range(videos):
        first = len(images) + 1
        images += [{"id": first + f, "video_id": video, "height": SIZE[0], "width": SIZE[1]} for f in range(FRAMES)]
        noise, recall, words = rng.gamma(2.0, 1.2), rng.beta(4, 1), rng.beta(2, 2)
        for track in range(rng.integers(1, 5)):
            _track(rng, truth, found, first, track, (noise, recall, words))
    document = {
        "images": images,
        "annotations": [{"id": n, "iscrowd": 0, **one} for n, one in enumerate(truth, 1)],
        "categories": [{"id": n + 1, "name": str(n)} for n in range(CATEGORIES)],
    }
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps(document))
    pred.write_text(json.dumps(found))
    return evaluate(gt, pred, Options(iou="mask", metrics=("cider",), threshold=0.0)).scores[0]


def _track(
    rng: np.random.Generator,
    truth: list[dict[str, Any]],
    found: list[dict[str, Any]],
    first: int,
    track: int,
    quality: tuple[float, float, float],
) -> None:
    """Add one object: its truth, and what was found of it; now and then another category, or an object too many."""
    noise, recall, words = quality
    category = int(rng.integers(CATEGORIES)) + 1
    caption = " ".join(rng.choice(WORDS, 6))
    told = " ".join(w if rng.random() < words else rng.choice(WORDS) for w in caption.split())
    named = category if rng.random() < 0.85 else int(rng.integers(CATEGORIES)) + 1
    score = round(float(np.clip(rng.normal(0.9 - 0.1 * noise, 0.15), 0.05, 1)), 3)
    x, y, w, h = rng.uniform((2, 2, 10, 10), (40, 30, 20, 16))
    for frame in range(FRAMES):
        shared = {"image_id": first + frame, "track_id": track + 1}
        truth.append({**shared, "category_id": category, "caption": caption, "segmentation": _rectangle(x, y, w, h)})
        if rng.random() < recall:
            moved = _rectangle(*(np.array([x, y, w, h]) + rng.normal(0, noise, 4)))
            found.append({**shared, "category_id": named, "score": score, "caption": told, "segmentation": moved})
    if rng.random() < 0.2:
        stray = {"track_id": track + 100, "category_id": category, "score": 0.5 * score, "caption": "a wall"}
        found.append({**stray, "image_id": first, "segmentation": _rectangle(*rng.uniform(4, 20, 4))})


def _rectangle(x: float, y: float, w: float, h: float) -> dict[str, Any]:
    bitmap = np.zeros(SIZE, np.uint8, order="F")
    top, left = max(0, round(y)), max(0, round(x))
    bitmap[top : top + max(1, round(h)), left : left + max(1, round(w))] = 1
    coded = coco.encode(bitmap)
    return {"size": list(coded["size"]), "counts": coded["counts"].decode()}


def coverage(scores: Scores, videos: int, samples: int, draws: int, seed: int) -> list[dict[str, Any]]:
    """The share of samples of so many videos whose intervals hold the population's value, by number."""
    assert scores.ap_sample is not None
    rng = np.random.default_rng(seed)
    names, whole = _both(scores, np.arange(len(scores.videos)))
    true = {name: whole(np.ones((1, len(scores.videos))))[name][0] for name in names}
    held = {name: np.zeros(4) for name in names}
    for _ in range(samples):
        _, statistic = _both(scores, rng.choice(len(scores.videos), videos, replace=False))
        spans = bca_intervals(statistic, videos, draws=draws)
        drawn = statistic(draw(videos, draws))
        for name in names:
            low, high = np.nanpercentile(drawn[name], (2.5, 97.5))
            plain = (low <= true[name] <= high, high - low)
            span = spans[name]
            held[name] += (span.low <= true[name] <= span.high, span.high - span.low, *plain)
    return [
        {
            "videos": videos,
            "number": name,
            "covers": round(held[name][0] / samples, 3),
            "width": round(held[name][1] / samples, 3),
            "percentile covers": round(held[name][2] / samples, 3),
            "percentile width": round(held[name][3] / samples, 3),
        }
        for name in names
    ]


def _both(scores: Scores, chosen: np.ndarray) -> tuple[tuple[str, ...], Statistic]:
    """The numbers of some of the videos, sums and AP together."""
    assert scores.ap_sample is not None
    sums = sums_statistic([scores.videos[place] for place in chosen], ("cider",))
    whole = scores.ap_sample
    sample = ApSample(whole.recalls, [ranked.of(chosen) for ranked in whole.categories], {})
    return NAMES, lambda weights: {**sums(weights), **sample.values(weights)}


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--population", type=int, default=4000)
    parser.add_argument("--samples", type=int, default=300)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--videos", type=int, nargs="+", default=[5, 10, 20, 50, 200])
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    before = machine()
    with tempfile.TemporaryDirectory() as folder:
        scores = population(Path(folder), arguments.population, arguments.seed)
    rows = []
    for videos in arguments.videos:
        rows += coverage(scores, videos, arguments.samples, arguments.draws, arguments.seed)
    note = (
        f"95 % intervals; {arguments.samples} samples of a population of {arguments.population:,} videos, "
        f"{arguments.draws:,} draws each; a share of .95 is known to .025 (two standard errors)"
    )
    save("interval_coverage", rows, note, before)


if __name__ == "__main__":
    main()
