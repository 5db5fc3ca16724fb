"""The readers of public benchmarks with a judge, on files of their form; their numbers by the papers' formulas."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen import rle
from capgen.errors import UserError
from capgen.evaluation.region_captions.benchmarks.base import BenchmarkFiles
from capgen.evaluation.region_captions.benchmarks.gar_bench import GarBench
from capgen.evaluation.region_captions.benchmarks.plm_videobench import RCap, RDCap, read_segments
from capgen.evaluation.region_captions.benchmarks.soda import overlap, soda
from capgen.evaluation.region_captions.benchmarks.videorefer import VideoReferBench
from capgen.evaluation.region_captions.judged_files import score_judged


def written(path, rows, *, lines=False):
    path.write_text("\n".join(map(json.dumps, rows)) if lines else json.dumps(rows))
    return path


def test_videorefer_takes_its_own_files_and_captions_by_id(tmp_path):
    truth = [{"id": n, "video": "v.mp4", "caption": f"true {n}", "annotation": []} for n in range(3)]
    gt = written(tmp_path / "gt.json", truth)
    bench = VideoReferBench.open(BenchmarkFiles(gt, written(tmp_path / "a.json", {"0": "said", "1": "so"})))
    assert [(one.key, one.variables["reference"]) for one in bench.questions()] == [("0", "true 0"), ("1", "true 1")]
    assert bench.notes == ["1 regions have no caption and get no points"]
    marks = {"subject": 5, "appearance": 4, "temporal": 3, "hallucination": 0}
    numbers = bench.numbers({"0": marks, "1": None})  # what cannot be read counts in no mean
    assert (numbers["subject"], numbers["average"]) == (2.5, 1.5)
    own = [{"video": "v.mp4", "caption": "true", "pred": "said"}, {"video": "v.mp4", "caption": "other"}]
    bench = VideoReferBench.open(BenchmarkFiles(None, written(tmp_path / "own.jsonl", own, lines=True)))
    assert [one.variables["caption"] for one in bench.questions()] == ["said"]


def test_stored_marks_of_videorefer_are_counted(tmp_path):
    reply = "1. Subject Correspondence: 5\nExplanation: x\n2. Appearance Description: 3\nExplanation: y\n"
    reply += "3. Temporal Description: 4\nExplanation: z\n4. Hallucination Detection: 2\nExplanation: -"
    rows = [{"caption": "a", "pred": "b", "gpt": reply}, {"Subject Correspondence": 4.0, "gpt": "nothing"}]
    found = score_judged(written(tmp_path / "judged.json", rows))
    assert found.benchmark == "videorefer-d"
    assert found.means == {"average": 3.375, "subject": 4.5, "appearance": 3, "temporal": 4, "hallucination": 2}


def gar_rows(folder):
    (folder / "images").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (80, 120, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / "images" / "x.png"), picture)
    masks = []
    for left in (10, 90):
        mask = np.zeros((80, 120), np.bool_)
        mask[20:40, left : left + 8] = True
        masks.append({"size": [80, 120], "counts": rle.encode(mask)})
    row = {"image": "images/x.png", "mask_rles": masks, "question": "?", "answer": "<Prompt0> is on <Prompt1>."}
    return row, picture


def test_gar_shows_the_picture_and_each_region_with_its_mask(tmp_path):
    row, picture = gar_rows(tmp_path)
    files = BenchmarkFiles(None, written(tmp_path / "own.json", [row | {"model_output": "on it"}]), tmp_path)
    bench = GarBench.open(files, detailed=False)
    (question,) = bench.questions()
    assert question.variables == {"caption": "on it", "reference": "<Prompt0> is on <Prompt1>."}
    parts = question.pictures()
    assert [part for part in parts if isinstance(part, str)][1] == "<Prompt0>:"
    whole, crop, mask, *_ = (part for part in parts if not isinstance(part, str))
    np.testing.assert_array_equal(whole, picture[..., ::-1])
    assert crop.shape == mask.shape
    assert int((mask[..., 0] > 0).sum()) == 20 * 8
    assert bench.numbers({"0": {"answer": 0}}) == {"accuracy": 1.0}
    assert bench.numbers({"0": None}) == {"accuracy": 0.0}


def test_gar_takes_captions_by_image_and_stored_verdicts(tmp_path):
    row, _ = gar_rows(tmp_path)
    detailed = row | {"subject_name": "cup", "object_name": "table", "predicate_name": "on"}
    gt = written(tmp_path / "gt.json", [detailed, detailed | {"image": "images/y.png"}])
    bench = GarBench.open(BenchmarkFiles(gt, written(tmp_path / "a.json", {"images/x.png": "a cup"})), detailed=True)
    assert bench.questions()[0].variables == {"caption": "a cup", "subject": "cup", "object": "table", "relation": "on"}
    assert bench.numbers({"0": {"answer": 0}}) == {"accuracy": 0.5}
    judged = [detailed | {"eval_result": verdict} for verdict in ("True", "False", "True.")]
    found = score_judged(written(tmp_path / "judged.json", judged))
    assert (found.benchmark, found.means) == ("gar-detailed", {"accuracy": pytest.approx(1 / 3)})
    with pytest.raises(UserError, match="answer is null"):
        GarBench.open(
            BenchmarkFiles(None, written(tmp_path / "b.json", [{"image": "x", "model_output": "y"}])), detailed=False
        ).questions()


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_rcap_is_the_mean_mark(tmp_path, form):
    rows = [{"uid": n, "video": "v.mp4", "masklet_id": 1, "total_frames": 64, "caption": f"true {n}"} for n in range(2)]
    gt = tmp_path / f"gt.{form}"
    if form == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), gt)
    else:
        written(gt, rows, lines=True)
    logs = [{"doc_id": 0, "doc": rows[1], "filtered_resps": [["said 1"]]}, {"uid": 0, "pred": "said 0"}]
    bench = RCap.open(BenchmarkFiles(gt, written(tmp_path / "a.jsonl", logs, lines=True)))
    assert {one.key: one.variables["caption"] for one in bench.questions()} == {"0": "said 0", "1": "said 1"}
    assert bench.numbers({"0": {"score": 7}, "1": None}) == {"score": pytest.approx(0.35)}


def test_segments_are_read_from_a_models_answer():
    found = read_segments("[0, 5]: A man: sits,\n[6,31]: He stands.\nFrame [8: nothing")
    assert [(one.segment, one.caption) for one in found] == [((0, 5), "A man sits"), ((6, 31), "He stands.")]
    assert read_segments("no segment") == []


def rdcap(folder, text):
    dense = [
        {"start_frame": 0, "end_frame": 32, "caption": "sits"},
        {"start_frame": 32, "end_frame": 64, "caption": "stands"},
    ]
    gt = written(folder / "gt.jsonl", [{"uid": 9, "total_frames": 64, "dense_captions": dense}], lines=True)
    return RDCap.open(BenchmarkFiles(gt, written(folder / "a.json", {"9": text})))


def test_rdcap_asks_for_overlapping_pairs_alone_and_gives_soda(tmp_path):
    bench = rdcap(tmp_path, "[0, 16]: sits\n[16, 32]: stands")
    assert [one.key for one in bench.questions()] == ["9/0/0", "9/1/1"]
    assert bench.numbers({"9/0/0": {"score": 10}, "9/1/1": {"score": 10}}) == {"soda": pytest.approx(1.0)}
    # the second half alone is right, and half of the sum of IoU times mark counts on either side
    assert bench.numbers({"9/0/0": {"score": 0}, "9/1/1": {"score": 5}}) == {"soda": pytest.approx(0.25)}
    bench = rdcap(tmp_path, "it sits and stands")
    assert (bench.questions(), bench.numbers({})) == ([], {"soda": 0.0})
    assert bench.notes == ["1 predictions hold no segment and get 0"]


def best_in_order(scores):
    """By trying all pairs in order."""
    rows, columns = len(scores), len(scores[0])

    def best(i, j):
        if i == rows or j == columns:
            return 0.0
        return max(best(i + 1, j), best(i, j + 1), scores[i][j] + best(i + 1, j + 1))

    return best(0, 0)


def test_soda_is_f1_of_the_best_pairs_in_order():
    rng = np.random.default_rng(1)
    for _ in range(30):
        rows, columns = rng.integers(1, 5, 2)
        scores = rng.random((rows, columns)) * (rng.random((rows, columns)) < 0.6)
        sum_ = best_in_order(scores.tolist())
        precision, recall = sum_ / columns, sum_ / rows
        wanted = 2 * precision * recall / (precision + recall) if sum_ else 0.0
        assert soda(scores.tolist()) == pytest.approx(wanted)


def test_overlap_is_iou_and_nothing_for_segments_without_length():
    assert overlap((0, 10), (5, 15)) == pytest.approx(5 / 15)
    assert overlap((10, 0), (0, 10)) == 1
    assert overlap((0, 4), (4, 8)) == 0
    assert overlap((3, 3), (3, 3)) == 0


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([{"uid": 1, "total_frames": 0, "dense_captions": []}], "dense_captions is"),
        ([{"uid": 1}], "total_frames is null"),
        ([], "has no row"),
        ([3], "entry 0 is 3"),
    ],
)
def test_a_bad_row_is_named(tmp_path, rows, what):
    gt = written(tmp_path / "gt.json", rows)
    with pytest.raises(UserError, match=what):
        RDCap.open(BenchmarkFiles(gt, written(tmp_path / "a.json", {"1": "x"})))
