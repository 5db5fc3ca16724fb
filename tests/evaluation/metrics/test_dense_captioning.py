"""AP_M: scenic's numbers, and the traps of its evaluation beside their remedies."""

from __future__ import annotations

import json

import pytest

from capgen.evaluation.metrics.dense_captioning import DenseCap
from capgen.evaluation.reading.files import PredictionFile, TruthFile, videos
from capgen.evaluation.reading.tracks import Notes
from tests.evaluation.evalcases import CHOTA_CASES, box, write

SQUARE = [10.0, 10.0, 20.0, 20.0]


def dense(gt, pred, protocol, meteor):
    truth = TruthFile(gt)
    run = DenseCap(protocol)
    for video in videos(truth, PredictionFile(pred, truth), "box", Notes()):
        run.add(video)
    return run.finish(meteor)


def test_scenics_numbers_are_reproduced(meteor):
    case = CHOTA_CASES / "case1_boxes"
    reference = json.loads((case / "reference_densecap.json").read_text())["results"]
    got = dense(case / "gt.json", case / "pred.json", "official", meteor)
    for name, value in reference.items():
        assert got["AP_M" if name == "mAP" else name.replace("mAP", "AP")] == pytest.approx(value, rel=1e-6), name


def test_boxes_alone_need_no_java(tmp_path):
    truth = [box(0, 1, SQUARE), box(0, 2, [40.0, 20.0, 15.0, 20.0])]
    got = dense(*write(tmp_path, truth, truth[:1]), "clean", None)
    assert got["AP_M"] is None
    assert got["AP_detection"] == pytest.approx(0.51)  # recall 0, 0.01, … 0.50 of 100 steps


def test_trap_a_prediction_competes_for_a_truth_that_is_taken(tmp_path):
    """Two objects side by side, two predictions that both overlap the first most."""
    truth = [box(0, 1, [10.0, 10.0, 20.0, 20.0]), box(0, 2, [18.0, 10.0, 20.0, 20.0])]
    found = [box(0, 1, [10.0, 10.0, 20.0, 20.0], score=0.9), box(0, 2, [13.0, 10.0, 20.0, 20.0], score=0.8)]
    files = write(tmp_path, truth, found)
    assert dense(*files, "official", None)["AP_detection_iou0.5"] == pytest.approx(0.51)
    assert dense(*files, "clean", None)["AP_detection_iou0.5"] == pytest.approx(1.0)


def test_trap_truths_that_overlap_are_merged(tmp_path):
    truth = [box(0, 1, SQUARE), box(0, 2, [10.0, 11.0, 20.0, 20.0])]
    files = write(tmp_path, truth, truth)
    assert dense(*files, "official", None)["AP_detection_iou0.7"] == pytest.approx(1.0)  # one object, found twice
    run = DenseCap("official")
    own = TruthFile(files[0])
    for video in videos(own, PredictionFile(files[1], own), "box", Notes()):
        run.add(video)
    assert run._positives == 1


def test_trap_whatever_is_said_of_an_object_without_caption_is_right(tmp_path, meteor):
    truth = [box(0, 1, SQUARE, ""), box(0, 2, [40.0, 20.0, 15.0, 20.0], "a red dog")]
    found = [{**one, "caption": "purple zebras everywhere"} for one in truth]
    files = write(tmp_path, truth, found)
    assert dense(*files, "official", meteor)["AP_M"] == pytest.approx(0.51, abs=1e-6)
    assert dense(*files, "clean", meteor)["AP_M"] == 0.0
