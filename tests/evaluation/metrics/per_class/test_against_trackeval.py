"""YouTube-VIS's and TAO's Track mAP and BURST's HOTA are TrackEval's, on random files with ties, crowds and odd ids."""

from __future__ import annotations

import contextlib
import io
import json

import numpy as np
import pytest

from capgen.evaluation.evaluate import Options, evaluate
from tests.evaluation.evalcases import blob

trackeval = pytest.importorskip("trackeval", reason="TrackEval is not installed")
pytest.importorskip("tabulate", reason="TrackEval reads BURST with tabulate")

HEIGHT, WIDTH = 48, 64
SEEDS = range(12)
QUIET = dict.fromkeys(
    ("PRINT_RESULTS", "PRINT_CONFIG", "TIME_PROGRESS", "OUTPUT_SUMMARY", "OUTPUT_DETAILED", "PLOT_CURVES"), False
)


def theirs(kind, folder, truth, found, map_config=None):
    """TrackEval's results over all sequences, by class."""
    for name, document in (("gt", truth), ("trackers/mine/data", found)):
        (folder / name).mkdir(parents=True)
        (folder / name / "file.json").write_text(json.dumps(document))
    config = {"GT_FOLDER": str(folder / "gt"), "TRACKERS_FOLDER": str(folder / "trackers"), "PRINT_CONFIG": False}
    if kind == "YouTubeVIS":  # its folders end in the name of the split
        for name, end in (("gt", "gt"), ("trackers", "trackers")):
            (folder / name).rename(folder / f"{end}youtube_vis_x")
        config |= {"SPLIT_TO_EVAL": "x"}
    metrics = [
        trackeval.metrics.TrackMAP({"PRINT_CONFIG": False, **(map_config or {})}),
        trackeval.metrics.HOTA({"PRINT_CONFIG": False}),
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        data = getattr(trackeval.datasets, kind)(config)
        results, messages = trackeval.Evaluator({**QUIET, "LOG_ON_ERROR": None}).evaluate([data], metrics)
    assert messages[kind]["mine"] == "Success"
    return results[kind]["mine"]["COMBINED_SEQ"]


LABELS = {"": "all", "_small": "area_s", "_medium": "area_m", "_large": "area_l"}
TIMES = {"_short": "time_s", "_middle": "time_m", "_long": "time_l"}


def agree(got, expected, labels):
    """Every number of a class or a mean."""
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        assert got[name] == pytest.approx(np.mean(expected["HOTA"][name]), abs=1e-12), name
    for ours, label in labels.items():
        for kind in ("AP", "AR"):
            value = np.mean(expected["TrackMAP"][f"{kind}_{label}"])
            assert got.get(f"{kind}{ours}", -1.0) == pytest.approx(value, abs=1e-12), f"{kind}{ours}"
    for name, place in (("AP50", 0), ("AP75", 5)):
        value = expected["TrackMAP"]["AP_all"][place]
        assert got.get(name, -1.0) == pytest.approx(value, abs=1e-12), name


def compare(tmp_path, rules, truth, found, expected, labels):
    gt, pred = tmp_path / "gt.json", tmp_path / "pred.json"
    gt.write_text(json.dumps(truth))
    pred.write_text(json.dumps(found))
    scores = evaluate(gt, pred, Options(protocols=("official",), metrics=(), per_class=rules)).per_class
    for name, values in scores.classes.items():
        agree(values, expected[name], labels)
    agree(scores.groups["all"], expected["cls_comb_cls_av"], labels)
    for name, value in scores.groups["detections"].items():
        assert value == pytest.approx(np.mean(expected["cls_comb_det_av"]["HOTA"][name]), abs=1e-12)
    return scores


def scene(rng, tracks=4, frames=5):
    """Boxes of whole pixels, [tracks, frames, 4], with what a tracker found of them: None where nothing."""
    start = np.concatenate([rng.integers(0, 30, (tracks, 1, 2)), rng.integers(4, 30, (tracks, 1, 2))], 2)
    own = np.repeat(start, frames, 1)
    own[:, :, :2] += rng.integers(0, 4, (tracks, frames, 2))
    near = own + rng.integers(-3, 4, own.shape)
    near[:, :, :2] = near[:, :, :2].clip(0)
    near[:, :, 2:] = near[:, :, 2:].clip(2)
    shown, seen = rng.random((tracks, frames)) < 0.8, rng.random((tracks, frames)) < 0.75
    return own, near, shown, seen


@pytest.mark.parametrize("seed", SEEDS)
def test_youtube_vis(tmp_path, seed):
    rng = np.random.default_rng(seed)
    frames = 4
    videos, annotations, found = [], [], []
    for video in rng.permutation(4).tolist():
        name = f"{rng.integers(0, 1000):04d}v{video}"
        files = [f"{name}/{f}.jpg" for f in range(frames)]
        videos.append({"id": video + 1, "file_names": files, "height": HEIGHT, "width": WIDTH, "length": frames})
        for own, near, shown, seen in zip(*scene(rng, int(rng.integers(0, 6)), frames), strict=True):
            category = int(rng.integers(1, 4))
            masks = [blob(*map(int, b)) if s else None for b, s in zip(own, shown, strict=True)]
            areas = [int(b[2] * b[3]) if s else None for b, s in zip(own, shown, strict=True)]
            one = {"id": len(annotations), "video_id": video + 1, "category_id": category, "areas": areas}
            shape = {"height": HEIGHT, "width": WIDTH, "iscrowd": int(rng.random() < 0.2)}
            annotations.append({**one, **shape, "segmentations": masks})
            for _ in range(int(rng.integers(0, 3))):
                said = category if rng.random() < 0.8 else int(rng.integers(1, 4))
                rows = [blob(*map(int, b)) if s else None for b, s in zip(near, seen, strict=True)]
                score = float(rng.integers(0, 4)) / 4
                found.append({"video_id": video + 1, "category_id": said, "score": score, "segmentations": rows})
    truth = {
        "videos": videos,
        "annotations": annotations,
        "categories": [{"id": i, "name": f"c{i}"} for i in (1, 2, 3, 4)],
    }
    plain = json.loads(json.dumps(truth))
    for one in plain["annotations"]:  # TrackEval takes uncompressed counts in the truth
        one["segmentations"] = [mask and uncompressed(mask) for mask in one["segmentations"]]
    config = {"USE_TIME_RANGES": False, "AREA_RANGES": [[0, 128**2], [128**2, 256**2], [256**2, 1e10]]}
    expected = theirs("YouTubeVIS", tmp_path / "theirs", plain, found, config)
    compare(tmp_path, "youtube-vis", truth, found, expected, LABELS)


def uncompressed(mask):
    """The counts of an RLE as a list."""
    from pycocotools import mask as coco

    flat = coco.decode({**mask, "counts": mask["counts"].encode()}).ravel(order="F")
    edges = np.flatnonzero(np.diff(flat)) + 1
    counts = np.diff(np.r_[0, edges, len(flat)]).tolist()
    return {"size": mask["size"], "counts": counts if not flat[0] else [0, *counts]}


CATEGORIES = [4, 13, 34, 347, 504, 63, 1000]
"""Three of BURST's common classes, one that others are merged into, one that is, a distractor, and a rare one."""


def sequences(rng, frames=5):
    """Sequences with ids, names, labels of classes, and per frame the boxes of truth and predictions."""
    for number in rng.permutation(4).tolist():
        labels = {
            "neg_category_ids": [c for c in CATEGORIES if rng.random() < 0.3],
            "not_exhaustive_category_ids": [c for c in CATEGORIES if rng.random() < 0.25],
        }
        tracks = []
        for track, (own, near, shown, seen) in enumerate(
            zip(*scene(rng, int(rng.integers(0, 6)), frames), strict=True)
        ):
            category = int(rng.choice(CATEGORIES))
            said = category if rng.random() < 0.8 else int(rng.choice(CATEGORIES))
            score = float(rng.integers(0, 4)) / 4
            tracks.append((track, category, said, score, own, near, shown, seen))
        yield number + 1, f"s{rng.integers(0, 1000):04d}v{number}", labels, tracks


@pytest.mark.parametrize("seed", SEEDS)
def test_tao(tmp_path, seed):
    rng = np.random.default_rng(seed)
    first = int(rng.integers(0, 2))  # ids from 0 or from 1, of every video or of all together
    shared = rng.random() < 0.5
    videos, images, tracks, annotations, found = [], [], [], [], []
    for video, name, labels, rows in sequences(rng):
        videos.append({"id": video, "name": f"val/x/{name}", **labels})
        size = {"height": HEIGHT, "width": WIDTH, "video_id": video}
        images += [{"id": 10 * video + f, "frame_index": f, **size} for f in range(5)]
        offset = first if shared else first + len(tracks)
        for track, category, said, score, own, near, shown, seen in rows:
            key = len(tracks)
            tracks.append({"id": key, "category_id": category, "video_id": video})
            for f in range(5):
                place = {"image_id": 10 * video + f, "video_id": video}
                if shown[f]:
                    one = {"id": len(annotations), "track_id": key, "category_id": category}
                    annotations.append({**place, **one, "bbox": own[f].tolist()})
                if seen[f]:
                    one = {"track_id": track + offset, "category_id": said, "score": score + f / 64}
                    found.append({**place, **one, "bbox": near[f].tolist()})
    categories = [{"id": c, "name": f"c{c}"} for c in CATEGORIES]
    categories[3]["merged"] = [{"id": 504}]
    truth = {"videos": videos, "images": images, "tracks": tracks, "annotations": annotations, "categories": categories}
    if not annotations:
        pytest.skip("an empty scene")
    expected = theirs("TAO", tmp_path / "theirs", json.loads(json.dumps(truth)), json.loads(json.dumps(found)))
    compare(tmp_path, "tao", truth, found, expected, LABELS | TIMES)


@pytest.mark.parametrize("seed", SEEDS)
def test_burst(tmp_path, seed):
    rng = np.random.default_rng(seed)
    first = int(rng.integers(0, 2))
    sides = [], []
    for video, name, labels, rows in sequences(rng):
        paths = [f"frame{f:04d}.jpg" for f in range(5)]
        about = {"id": video, "seq_name": name, "dataset": "x", "height": HEIGHT, "width": WIDTH, **labels}
        about |= {"annotated_image_paths": paths}
        kinds = {str(track + 1): row[0] for track, *row in rows}
        masks = [{str(t + 1): {"rle": blob(*map(int, own[f]))["counts"]}
                  for t, _, _, _, own, _, shown, _ in rows if shown[f]} for f in range(5)]  # fmt: skip
        sides[0].append({**about, "track_category_ids": kinds, "segmentations": masks})
        said = {str(track + first): row[1] for track, *row in rows}
        masks = [{str(t + first): {"rle": blob(*map(int, near[f]))["counts"], "score": score + f / 64}
                  for t, _, _, score, _, near, _, seen in rows if seen[f]} for f in range(5)]  # fmt: skip
        more = {"annotated_image_paths": [*paths, "frame9999.jpg"], "segmentations": [*masks, {}]}
        sides[1].append({**about, "track_category_ids": said, **more})
    names = {c["id"]: c["name"] for c in burst_categories()}
    categories = [{"id": c, "name": names[c]} for c in CATEGORIES]
    truth = {"split": "val", "sequences": sides[0], "categories": categories}
    found = {"split": "val", "sequences": sides[1]}
    expected = theirs("BURST", tmp_path / "theirs", truth, found)
    if "cls_comb_cls_av" not in expected or len(expected) == 2:
        pytest.skip("no class has truths")
    scores = compare(tmp_path, "burst", truth, found, expected, LABELS | TIMES)
    common = [name for name in scores.classes if name in {names[c] for c in (4, 13, 34, 347)}]
    for group, chosen in (("common", common), ("uncommon", [n for n in scores.classes if n not in common])):
        for name in ("HOTA", "DetA", "AssA"):
            values = [np.mean(expected[c]["HOTA"][name]) for c in chosen]
            assert scores.groups[group].get(name) == (pytest.approx(np.mean(values), abs=1e-12) if values else None)


def burst_categories():
    from importlib.resources import files

    return json.loads((files("trackeval") / "datasets" / "burst_helpers" / "tao_categories.json").read_text())


@pytest.mark.parametrize("first", [0, 1])
def test_a_truth_that_the_track_0_was_given_stays_free(tmp_path, first):
    """TrackEval takes the id 0 for "not matched": two tracks share one truth, and recall is 2 of 2."""
    size = {"height": HEIGHT, "width": WIDTH, "video_id": 1}
    annotations = [
        {"id": t, "image_id": 1, "video_id": 1, "track_id": t, "category_id": 1, "bbox": [20 * t, 0, 10, 10]}
        for t in (1, 2)
    ]
    truth = {
        "videos": [{"id": 1, "name": "v", "neg_category_ids": [], "not_exhaustive_category_ids": []}],
        "images": [{"id": 1, "frame_index": 0, **size}],
        "tracks": [{"id": t, "category_id": 1, "video_id": 1} for t in (1, 2)],
        "annotations": annotations,
        "categories": [{"id": 1, "name": "c1"}],
    }
    found = [{**annotations[0], "track_id": first + n, "score": 0.9 - n / 10} for n in range(2)]
    expected = theirs("TAO", tmp_path / "theirs", json.loads(json.dumps(truth)), json.loads(json.dumps(found)))
    scores = compare(tmp_path, "tao", truth, found, expected, LABELS | TIMES)
    assert scores.groups["all"]["AR"] == pytest.approx(1.0 if first == 0 else 0.5)


def test_the_first_track_of_youtube_vis_has_the_id_0(tmp_path):
    names = {1: "b", 2: "a", 3: "0"}  # the third has no predictions
    videos = [
        {"id": v, "file_names": [f"{names[v]}/0.jpg"], "height": HEIGHT, "width": WIDTH, "length": 1} for v in names
    ]
    mask = blob(2, 2, 10, 10)
    annotations = [
        {"id": v, "video_id": v, "category_id": 1, "iscrowd": 0, "height": HEIGHT, "width": WIDTH, "areas": [100],
         "segmentations": [uncompressed(mask)]}
        for v in names
    ]  # fmt: skip
    found = [{"video_id": v, "category_id": 1, "score": s, "segmentations": [mask]} for v in (1, 2) for s in (0.9, 0.8)]
    truth = {"videos": videos, "annotations": annotations, "categories": [{"id": 1, "name": "c1"}]}
    config = {"USE_TIME_RANGES": False, "AREA_RANGES": [[0, 128**2], [128**2, 256**2], [256**2, 1e10]]}
    expected = theirs("YouTubeVIS", tmp_path / "theirs", json.loads(json.dumps(truth)), found, config)
    scores = compare(tmp_path, "youtube-vis", truth, found, expected, LABELS)
    assert scores.groups["all"]["AR"] == pytest.approx(1.0)
