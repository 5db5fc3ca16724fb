"""Mask AP of tracks: COCO's own evaluator on single frames, brute force on tubes, LV-VIS's traps and their remedies."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest
from pycocotools import mask as coco
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.mask_ap import MaskAp, _tube_ious, _tubes
from capgen.evaluation.reading.similarity import Overlaps
from capgen.evaluation.reading.tracks import Detection, VideoTracks
from tests.evaluation.evalcases import rle

SIZE = (48, 64)


def bitmap(x, y, w, h):
    found = np.zeros(SIZE, np.uint8)
    found[y : y + h, x : x + w] = 1
    return found


def random_videos(seed, videos=6, categories=3):
    """Rectangles as masks on single frames: truth, and predictions near it or not."""
    rng = np.random.default_rng(seed)
    truth, found = [], []
    for video in range(videos):
        for _ in range(rng.integers(0, 5)):
            x, y, w, h = (*rng.integers(0, 30, 2), *rng.integers(4, 30, 2))
            category = int(rng.integers(1, categories + 1))
            truth.append((video, category, bitmap(x, y, w, h)))
            for _ in range(rng.integers(0, 3)):
                dx, dy = rng.integers(-3, 4, 2)
                shape = bitmap(max(x + dx, 0), max(y + dy, 0), w, h)
                found.append((video, int(category if rng.random() < 0.8 else 1), shape, round(rng.random(), 2)))
    return truth, found


def track_files(folder, truth, found, *, categories=None, length=1):
    """The two files in LV-VIS's form; a mask is one bitmap or a list of them."""

    def rles(shape):
        return [rle(s) if s is not None else None for s in (shape if isinstance(shape, list) else [shape])]

    videos = sorted({one[0] for one in [*truth, *found]})
    document = {
        "videos": [{"id": v, "height": SIZE[0], "width": SIZE[1], "length": length} for v in videos],
        "annotations": [
            {
                "id": n,
                "video_id": v,
                "category_id": c,
                "iscrowd": 0,
                "segmentations": rles(m),
                "areas": [int(s.sum()) if s is not None else None for s in (m if isinstance(m, list) else [m])],
            }
            for n, (v, c, m) in enumerate(truth, 1)
        ],
        "categories": categories or [{"id": i, "name": str(i), "partition": i} for i in (1, 2, 3)],
    }
    results = [{"video_id": v, "category_id": c, "score": s, "segmentations": rles(m)} for v, c, m, s in found]
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps(document))
    pred.write_text(json.dumps(results))
    return gt, pred


def ap(gt, pred, protocol="official"):
    return evaluate(gt, pred, Options(protocols=(protocol,), metrics=())).scores[0].values


def cocos(truth, found):
    """COCO's evaluator with LV-VIS's sizes."""
    images = [{"id": v, "height": SIZE[0], "width": SIZE[1]} for v in {one[0] for one in [*truth, *found]}]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": images,
            "categories": [{"id": i} for i in (1, 2, 3)],
            "annotations": [
                {"id": n, "image_id": v, "category_id": c, "iscrowd": 0, "segmentation": rle(m), "area": int(m.sum())}
                for n, (v, c, m) in enumerate(truth, 1)
            ],
        }
        gt.createIndex()
        rows = [{"image_id": v, "category_id": c, "score": s, "segmentation": rle(m)} for v, c, m, s in found]
        run = COCOeval(gt, gt.loadRes(rows), "segm")
        run.params.areaRng = [[0, 1e10], [0, 128**2], [128**2, 256**2], [256**2, 1e10]]
        run.evaluate()
        run.accumulate()
        run.summarize()
    return run.stats


@pytest.mark.parametrize("seed", range(8))
def test_on_single_frames_it_is_cocos_evaluator(tmp_path, seed):
    truth, found = random_videos(seed)
    got = ap(*track_files(tmp_path, truth, found))
    names = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large", "AR1", "AR10", "AR100", "AR_small", "AR_medium")
    for name, value in zip(names, cocos(truth, found), strict=False):
        assert (-1.0 if got[name] is None else got[name]) == pytest.approx(value, abs=1e-12), name


def test_the_overlap_of_tracks_is_over_all_pixels_of_all_frames():
    rng = np.random.default_rng(1)
    masks = rng.random((2, 5, 4, *SIZE)) < 0.3  # side, track, frame
    masks[0, 1, 2] = masks[1, 3, 0] = False
    sides = []
    for side in masks:
        rles = [[coco.encode(np.asfortranarray(m, dtype=np.uint8)) for m in track] for track in side]
        sides.append(
            [
                Detection(frame=f, track=t, category=1, score=1.0, caption="", mask=r)
                for t, track in enumerate(rles)
                for f, r in enumerate(track)
                if (t + f) % 5
            ]
        )
    kept = np.array([[(t + f) % 5 > 0 for f in range(4)] for t in range(5)])
    shown = masks & kept[None, :, :, None, None]
    common = np.einsum("afhw,bfhw->ab", *shown.astype(float))
    areas = shown.sum((2, 3, 4))
    expected = common / (areas[0][:, None] + areas[1][None, :] - common)
    tubes = [_tubes(side, (), stated=False)[1] for side in sides]
    np.testing.assert_allclose(_tube_ious(*tubes, Overlaps(sides[1], sides[0])), expected, rtol=1e-12)


def test_base_and_novel_are_the_partitions(tmp_path):
    one, two = bitmap(0, 0, 10, 10), bitmap(20, 20, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one), (1, 3, two)], [(1, 1, one, 0.9)])
    for protocol in ("official", "clean"):
        got = ap(gt, pred, protocol)
        assert (got["AP"], got["AP_base"], got["AP_novel"]) == pytest.approx((0.5, 1.0, 0.0))


def test_trap_base_and_novel_are_taken_from_the_place_before_the_id(tmp_path):
    """Category ids 2 and 4: the public code looks at places 1 and 3, of two."""
    one, two = bitmap(0, 0, 10, 10), bitmap(20, 20, 10, 10)
    categories = [
        {"id": 2, "name": "a", "partition": 0},
        {"id": 1, "name": "b", "partition": 3},
        {"id": 9, "name": "c", "partition": 3},
    ]
    gt, pred = track_files(tmp_path, [(1, 2, one), (1, 9, two)], [(1, 2, one, 0.9)], categories=categories)
    official, clean = ap(gt, pred), ap(gt, pred, "clean")
    assert official["AP_novel"] is None
    assert (clean["AP_base"], clean["AP_novel"]) == (1.0, 0.0)


def test_trap_the_truth_with_the_id_0_is_never_found(tmp_path):
    one = bitmap(0, 0, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one)], [(1, 1, one, 0.9)])
    document = json.loads(gt.read_text())
    document["annotations"][0]["id"] = 0
    gt.write_text(json.dumps(document))
    assert (ap(gt, pred)["AP"], ap(gt, pred, "clean")["AP"]) == (0.0, 1.0)


def test_trap_a_track_that_is_never_visible_has_to_be_found(tmp_path):
    one = bitmap(0, 0, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one), (1, 1, [None])], [(1, 1, one, 0.9)])
    assert ap(gt, pred)["AR100"] == pytest.approx(0.5, rel=1e-12)
    assert ap(gt, pred, "clean")["AR100"] == 1.0


def test_trap_a_crowd_is_one_object(tmp_path):
    """Two predictions on a crowd: to the public code one object, found twice; under clean neither counts."""
    one, two = bitmap(0, 0, 10, 10), bitmap(20, 20, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one), (1, 1, two)], [(1, 1, one, 0.9), (1, 1, two, 0.8), (1, 1, two, 0.7)])
    document = json.loads(gt.read_text())
    document["annotations"][0]["iscrowd"] = 1
    gt.write_text(json.dumps(document))
    assert ap(gt, pred)["AR100"] == 1.0
    assert ap(gt, pred, "clean")["AP"] == 1.0


def test_trap_sizes_are_those_that_the_file_states(tmp_path):
    one = bitmap(0, 0, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one)], [(1, 1, one, 0.9)])
    document = json.loads(gt.read_text())
    document["annotations"][0]["areas"] = [1e6]
    gt.write_text(json.dumps(document))
    official, clean = ap(gt, pred), ap(gt, pred, "clean")
    assert official["AP_small"] is None
    assert official["AP_large"] == pytest.approx(1.0)
    assert (clean["AP_small"], clean["AP_large"]) == (1.0, None)


def test_every_prediction_counts_whatever_its_score(tmp_path):
    one = bitmap(0, 0, 10, 10)
    gt, pred = track_files(tmp_path, [(1, 1, one)], [(1, 1, one, 0.01)])
    assert ap(gt, pred, "clean")["AP"] == 1.0
    assert ap(gt, pred)["AP"] == pytest.approx(1.0)


def test_a_perfect_prediction_of_coco_files_is_one(tmp_path):
    shapes = [bitmap(0, 0, 10, 10), bitmap(20, 20, 10, 10)]
    side = tuple(
        Detection(f, t, t + 1, 0.9, "", None, coco.encode(np.asfortranarray(m)))
        for f in range(3)
        for t, m in enumerate(shapes)
    )
    run = MaskAp("clean")
    run.add(VideoTracks(1, SIZE, (1, 2, 3), side, side))
    assert run.finish({})["AP"] == 1.0
