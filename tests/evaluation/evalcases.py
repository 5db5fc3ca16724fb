"""Small cases for the evaluator: built here, written as the files that users have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from pycocotools import mask as coco

from capgen.evaluation.evaluate import Options, evaluate

SHARED = Path(__file__).resolve().parents[3] / "shared"
REFERENCE = SHARED / "data" / "reference"
CHOTA_CASES = Path(__file__).resolve().parents[1] / "data" / "chota"
"""Inputs of our own, with what the public evaluators printed for them (``reference.json``)."""
EXACT = 1e-12
"""Relative tolerance for values that are the same arithmetic in another order: a few roundings of double precision."""
TEXT = "a small red dog runs across the wide green grass near an old stone wall in rain"
WORDS = TEXT.split()


def box(frame, track, bbox, caption="a red dog", video=1, score=0.9, **more):
    """One detection on a frame (counted from 0) of a video."""
    return {"video": video, "frame": frame, "track": track, "bbox": bbox, "caption": caption, "score": score, **more}


def rle(bitmap):
    """A COCO RLE with counts as text."""
    found = coco.encode(np.asfortranarray(bitmap, dtype=np.uint8))
    return {"size": list(found["size"]), "counts": found["counts"].decode()}


def blob(x, y, w, h, size=(48, 64)):
    """A rectangle as an RLE."""
    bitmap = np.zeros(size, np.uint8)
    bitmap[y : y + h, x : x + w] = 1
    return rle(bitmap)


def write(folder, truth, found, *, frames=None, size=(48, 64), categories=None):
    """Write ground truth and predictions as COCO files; an image's id is 100 times its video plus its frame plus 1."""
    folder.mkdir(parents=True, exist_ok=True)
    frames = frames or {}
    for one in [*truth, *found]:
        frames[one["video"]] = max(frames.get(one["video"], 0), one["frame"] + 1)
    images = [
        {"id": 100 * v + f + 1, "video_id": v, "file_name": f"{v}/{f}.jpg", "height": size[0], "width": size[1]}
        for v, count in frames.items()
        for f in range(count)
    ]
    annotations = [{"id": n, "iscrowd": 0, **_coco(one)} for n, one in enumerate(truth, 1)]
    for one in annotations:
        one.pop("score")
    gt, pred = folder / "gt.json", folder / "pred.json"
    document = {"images": images, "annotations": annotations, "categories": categories or [{"id": 1, "name": "object"}]}
    gt.write_text(json.dumps(document))
    pred.write_text(json.dumps([_coco(one) for one in found]))
    return gt, pred


def _coco(one):
    rest = {key: value for key, value in one.items() if key not in ("video", "frame", "track")}
    return {"category_id": 1, **rest, "image_id": 100 * one["video"] + one["frame"] + 1, "track_id": one["track"]}


def score(folder, truth, found, *, protocol="clean", metrics=("cider",), threshold=0.5, iou=None, **more):
    """The values of one protocol for a small case."""
    gt, pred = write(folder, truth, found, **more)
    options = Options(iou=iou, protocols=(protocol,), threshold=threshold, metrics=metrics)
    return evaluate(gt, pred, options).scores[0].values


def random_scene(seed, videos=2, tracks=3, frames=4, noise=3.0, size=(48, 64)):
    """Truth and noisy predictions, without ties: boxes are random reals, captions random words."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for video in range(1, videos + 1):
        for track in range(tracks):
            caption = " ".join(rng.choice(WORDS, rng.integers(1, 9)))
            start = rng.uniform(0, 30, 2)
            span = rng.uniform(8, 18, 2)
            for frame in range(frames):
                if rng.random() < 0.15:
                    continue
                x, y = start + frame * rng.uniform(0, 2, 2)
                truth.append(box(frame, track, [x, y, *span], caption, video))
                if rng.random() < 0.8:
                    moved = (np.array([x, y, *span]) + rng.normal(0, noise, 4)).clip(0.5)
                    other = caption if rng.random() < 0.5 else " ".join(rng.choice(WORDS, 5))
                    found.append(box(frame, track + 10, moved.tolist(), other, video))
        stray = [frame for frame in range(frames) if rng.random() < 0.3]
        found += [box(frame, 99, [*rng.uniform(0, 40, 2), 7.5, 7.5], "a wall", video) for frame in stray]
    return truth, found
