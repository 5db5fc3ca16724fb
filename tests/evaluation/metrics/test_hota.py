"""HOTA: hand-worked cases, the numbers of TrackEval, and what must not change a result."""

from __future__ import annotations

import configparser
import csv
import json
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.hota import ALPHAS, count, match
from capgen.evaluation.metrics.protocols import Kept, sequence_of
from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
from capgen.evaluation.reading.tracks import Notes
from tests.evaluation.evalcases import EXACT, REFERENCE, blob, box, random_scene, rle, score, write

quick = settings(max_examples=25, deadline=None)
SQUARE = [10.0, 10.0, 20.0, 20.0]


def values(truth, found, **options):
    with tempfile.TemporaryDirectory() as folder:
        return score(Path(folder), truth, found, **options)


def test_one_track_found_on_half_of_its_frames(tmp_path):
    """4 frames, 2 found exactly: TP 2, FN 2, FP 0; A(c) = 2 / (4 + 2 - 2)."""
    truth = [box(f, 1, SQUARE) for f in range(4)]
    got = score(tmp_path, truth, [box(f, 7, SQUARE) for f in range(2)])
    assert (got["DetA"], got["AssA"], got["LocA"]) == (0.5, 0.5, 1.0)
    assert got["HOTA"] == pytest.approx(0.5)


def test_an_identity_switch_costs_association_alone(tmp_path):
    """4 frames in two halves: DetA 1; for each TP A(c) = 2 / (4 + 2 - 2)."""
    truth = [box(f, 1, SQUARE) for f in range(4)]
    got = score(tmp_path, truth, [box(f, 7 + f // 2, SQUARE) for f in range(4)])
    assert (got["DetA"], got["AssA"]) == (1.0, 0.5)


def test_an_overlap_of_exactly_half_is_a_match(tmp_path):
    """A box of half the height: IoU 0.5; HOTA's mean counts it at 10 of 19 thresholds."""
    got = score(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, [10.0, 10.0, 20.0, 10.0])])
    assert (got["DetA"], got["LocA"]) == (1.0, 0.5)
    assert got["HOTA_mean"] == pytest.approx(10 / 19)


def test_the_longer_partner_wins_a_contested_frame(tmp_path):
    """On frame 0 the short track overlaps better, later there is only the long one: global alignment decides."""
    truth = [box(f, 1, SQUARE) for f in range(4)]
    long = [box(f, 5, [10.0, 10.0, 20.0, 19.0]) for f in range(4)]
    got = score(tmp_path, truth, [*long, box(0, 6, SQUARE)])
    assert got["AssA"] == 1.0
    assert got["FP"] == 1


def test_masks_count_pixels_not_boxes(tmp_path):
    """Two L-shapes with the same box share 1 of 3 parts."""
    a, b = np.zeros((48, 64), bool), np.zeros((48, 64), bool)
    a[0:20, 0:10] = a[0:10, 0:20] = True
    b[0:20, 10:20] = b[0:10, 0:20] = True

    one = {"segmentation": rle(a)}
    got = score(tmp_path, [box(0, 1, None, **one)], [box(0, 1, None, segmentation=rle(b))], iou="mask")
    assert got["TP"] == 1  # 200 of 400 pixels
    assert got["LocA"] == pytest.approx(0.5, rel=EXACT)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.integers(1, 5), st.integers(1, 6))
def test_a_perfect_prediction_scores_one(seed, many, tracks, frames):
    truth, _ = random_scene(seed, many, tracks, frames)
    if truth:
        got = values(truth, truth)
        for name in ("DetA", "AssA", "LocA", "HOTA", "HOTA_mean", "CapA", "CHOTA"):
            assert got[name] == pytest.approx(1.0), name


@quick
@given(st.integers(0, 2**32 - 1), st.randoms(use_true_random=False))
def test_the_order_and_the_names_of_things_change_nothing(seed, random):
    truth, found = random_scene(seed, videos=3, tracks=4)
    before = {p: values(truth, found, protocol=p) for p in ("clean", "official")}
    ids, other = random.sample(range(1, 90), 3), random.sample(range(1000), 200)

    def renamed(side, shift):
        rows = [{**one, "video": ids[one["video"] - 1], "track": other[one["track"] + shift]} for one in side]
        random.shuffle(rows)
        return rows

    for protocol, numbers in before.items():
        after = values(renamed(truth, 0), renamed(found, 100), protocol=protocol)
        for name, value in numbers.items():
            if (protocol, name) == ("official", "caption_switches"):
                continue  # scenic takes equal scores in the order of the file
            assert after[name] == (value if value is None else pytest.approx(value, rel=1e-6)), (protocol, name)


@quick
@given(st.integers(0, 2**32 - 1))
def test_a_track_that_overlaps_nothing_lowers_detection_alone(seed):
    truth, found = random_scene(seed)
    for protocol in ("clean", "official"):
        before = values(truth, found, protocol=protocol, size=(480, 640))
        lost = [box(f, 500, [400.0, 400.0, 20.0, 20.0], "an old wall") for f in range(3)]
        after = values(truth, [*found, *lost], protocol=protocol, size=(480, 640))
        assert after["AssA"] == pytest.approx(before["AssA"])
        if before["TP"]:
            assert after["DetA"] < before["DetA"]


@quick
@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_splitting_a_correct_track_lowers_association_alone(seed, frames):
    truth, _ = random_scene(seed, videos=1, tracks=2, frames=frames)
    first = truth[0]["track"] if truth else 0
    own = [one for one in truth if one["track"] == first]
    if len(own) < 2:
        return
    halves = [{**one, "track": 70} if one is own[0] else one for one in truth]
    got = values(truth, halves)
    assert got["DetA"] == pytest.approx(1.0)
    assert got["AssA"] < 1.0


def mot15(folder):
    """The MOT15 sequences and results as COCO files; scores are 1, because MOT15 gives none."""
    images, annotations, found = [], [], []
    for video, name in enumerate(("TUD-Campus", "TUD-Stadtmitte"), 1):
        info = configparser.ConfigParser()
        info.read(REFERENCE / "mot15" / "input" / name / "seqinfo.ini")
        length = int(info["Sequence"]["seqLength"])
        images += [{"id": 1000 * video + f, "video_id": video} for f in range(1, length + 1)]
        for path, rows in (
            (REFERENCE / "mot15" / "input" / name / "gt" / "gt.txt", annotations),
            (REFERENCE / "mot15" / "input" / "results" / f"{name}.txt", found),
        ):
            with path.open() as file:
                for row in csv.reader(file):
                    bbox = [float(v) for v in row[2:6]]
                    one = {"image_id": 1000 * video + int(row[0]), "track_id": int(row[1]), "bbox": bbox, "score": 1.0}
                    rows.append({**one, "category_id": 1, "caption": ""})
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps({"images": images, "annotations": annotations, "categories": []}))
    pred.write_text(json.dumps(found))
    return gt, pred


@pytest.mark.skipif(not REFERENCE.is_dir(), reason="MOT15 is not ours to publish: its tracks are in ../shared only")
@pytest.mark.parametrize("protocol", ["official", "clean"])
def test_trackevals_numbers_on_mot15_are_reproduced(tmp_path, protocol):
    gt, pred = mot15(tmp_path)
    reference = json.loads((REFERENCE / "mot15" / "reference.json").read_text())["results"]["COMBINED_SEQ"]["HOTA"]
    got = evaluate(gt, pred, Options(protocols=(protocol,), metrics=())).scores[0].values
    for name in ("HOTA", "DetA", "AssA", "LocA"):
        assert got[f"{name}_mean"] == pytest.approx(np.mean(reference[name]), rel=1e-9)
        if protocol == "official":  # at one threshold clean has a matching of its own
            assert got[name] == pytest.approx(reference[name][9], rel=1e-6)
    assert got["DetA"] >= reference["DetA"][9] * (1 - 1e-6)


@quick
@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 8))
def test_every_threshold_is_trackevals(seed, tracks, frames):
    hota = pytest.importorskip("trackeval").metrics.HOTA()
    truth, found = random_scene(seed, 1, tracks, frames, noise=5.0)
    if not truth or not found:
        return
    with tempfile.TemporaryDirectory() as folder:
        gt, pred = write(Path(folder), truth, found)
        own = TruthFile(gt)
        video = next(videos(own, PredictionFile(pred, own), "box", Notes()))
    sequence = sequence_of(Kept(video.truth, video.predictions), len(video.frames), np.float64)
    mine = count(sequence, match(sequence), ALPHAS, np.float64)
    theirs = hota.eval_sequence(trackeval_data(sequence))
    for name, value in (("HOTA_TP", mine.tp), ("AssA", mine.ass_a), ("AssRe", mine.ass_re), ("AssPr", mine.ass_pr)):
        np.testing.assert_allclose(value, theirs[name], atol=1e-12)
    np.testing.assert_allclose(mine.loc_a, theirs["LocA"], atol=1e-12)


def trackeval_data(sequence):
    """What TrackEval's metrics take, from our layout."""
    layout = sequence.layout
    frames = range(len(layout.pair_starts) - 1)
    gts = [sequence.truth_ids[layout.truth_starts[f] : layout.truth_starts[f + 1]] for f in frames]
    dets = [sequence.prediction_ids[layout.prediction_starts[f] : layout.prediction_starts[f + 1]] for f in frames]
    similarity = [
        sequence.similarity[layout.pair_starts[f] : layout.pair_starts[f + 1]].reshape(len(gts[f]), len(dets[f]))
        for f in frames
    ]
    return {
        "num_tracker_dets": len(sequence.prediction_ids),
        "num_gt_dets": len(sequence.truth_ids),
        "num_tracker_ids": len(set(sequence.prediction_ids.tolist())),
        "num_gt_ids": len(set(sequence.truth_ids.tolist())),
        "gt_ids": gts,
        "tracker_ids": dets,
        "similarity_scores": similarity,
    }


def test_crowded_masks_are_matched_as_their_boxes(tmp_path):
    """Rectangles as masks and as boxes are the same objects: the numbers agree."""
    spots = [(2, 2), (6, 4), (20, 20), (24, 18)]
    truth = [
        box(f, t, [x + f, y, 12, 10], segmentation=blob(x + f, y, 12, 10))
        for f in range(3)
        for t, (x, y) in enumerate(spots)
    ]
    found = [
        box(f, t, [x + f + 1, y, 12, 9], segmentation=blob(x + f + 1, y, 12, 9))
        for f in range(3)
        for t, (x, y) in enumerate(spots)
    ]
    as_box = score(tmp_path / "box", truth, found, iou="box")
    as_mask = score(tmp_path / "mask", truth, found, iou="mask")
    for name in ("DetA", "AssA", "LocA", "HOTA_mean", "CHOTA"):
        assert as_mask[name] == pytest.approx(as_box[name]), name
