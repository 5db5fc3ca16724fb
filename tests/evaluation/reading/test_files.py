"""The files of the evaluator: two forms of each, a video in memory at a time, a line for each that is bad."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from capgen.errors import MissingFile, UserError
from capgen.evaluation.evaluate import Options, evaluate
from capgen.evaluation.metrics.clean.chota import CleanChota
from capgen.evaluation.metrics.mask_ap import MaskAp
from capgen.evaluation.reading import json_stream as jsonstream
from capgen.evaluation.reading.files import PredictionFile, TruthFile, choose_iou
from capgen.evaluation.reading.json_stream import elements
from capgen.evaluation.reading.similarity import Overlaps
from capgen.evaluation.reading.tracks import VideoTracks
from capgen.rle import covered_pixels
from tests.evaluation.evalcases import blob, box, random_scene, rle, score, write

SQUARE = [10.0, 10.0, 20.0, 20.0]
value = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
quick = settings(max_examples=100, deadline=None)


@quick
@given(st.lists(value, max_size=6), value, st.booleans(), st.integers(1, 99))
def test_a_stream_of_elements_is_the_whole_file(many, other, ascii_, chunk):
    """Whatever the size of the pieces it is read in; the bytes of each element are where the stream says."""
    path = Path(tempfile.mkdtemp()) / "x.json"
    path.write_text(
        json.dumps({"info": other, "annotations": many, "more": 12}, ensure_ascii=ascii_, indent=1), "utf-8"
    )
    before, jsonstream._CHUNK = jsonstream._CHUNK, chunk
    try:
        found = list(elements(path, frozenset({"annotations"})))
    finally:
        jsonstream._CHUNK = before
    data = path.read_bytes()
    shutil.rmtree(path.parent)
    assert [one.exact() for one in found] == many
    assert [json.loads(data[one.offset : one.offset + one.length]) for one in found] == many


@pytest.mark.parametrize(
    "text", ['{"annotations": [{"a": 1}', "[1, 2", '{"a" 1}', "", "nonsense", "[1] 2", '{"a": 1,}', "{a: 1}"]
)
def test_a_file_that_is_no_json_is_named(tmp_path, text):
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"bad\.json is not valid JSON near byte"):
        list(elements(path, frozenset({"annotations", "a"})))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"gt\.json"):
        TruthFile(tmp_path / "gt.json")


def test_counts_are_measured_as_pycocotools_reads_them():
    masks = [blob(x, 3, 9, 20) for x in range(5)] + [blob(0, 0, 0, 0), blob(0, 0, 64, 48)]
    assert covered_pixels([m["counts"].encode() for m in masks]).tolist() == [48 * 64] * 7
    assert covered_pixels([masks[0]["counts"].encode()[:-2]])[0] != 48 * 64


def as_tracks(truth, found):
    """The same case in the form of YouTube-VIS."""

    def rows(side):
        many = {}
        for one in side:
            row = many.setdefault((one["video"], one["track"]), {"video_id": one["video"], "category_id": 1})
            length = 1 + max(o["frame"] for o in [*truth, *found] if o["video"] == one["video"])
            for key in ("bbox", "score_per_frame"):
                row.setdefault(key, [None] * length)
            row["bbox"][one["frame"]], row["score_per_frame"][one["frame"]] = one["bbox"], one["score"]
            row.setdefault("score", one["score"])
            row.setdefault("caption", [""] * length)[one["frame"]] = one["caption"]
        return list(many.values())

    lengths = {}
    for one in [*truth, *found]:
        lengths[one["video"]] = max(lengths.get(one["video"], 0), one["frame"] + 1)
    videos = [{"id": v, "height": 48, "width": 64, "length": n} for v, n in lengths.items()]
    annotations = [{"id": n, **row} for n, row in enumerate(rows(truth), 1)]
    return {"videos": videos, "annotations": annotations, "categories": []}, rows(found)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("protocol", ["official", "clean"])
def test_track_files_and_coco_files_give_the_same_numbers(tmp_path, seed, protocol):
    truth, found = random_scene(seed)
    expected = score(tmp_path / "coco", truth, found, protocol=protocol)
    gt, pred = tmp_path / "gt.json", tmp_path / "pred.json"
    for path, document in zip((gt, pred), as_tracks(truth, found), strict=True):
        path.write_text(json.dumps(document))
    got = evaluate(gt, pred, Options(protocols=(protocol,), metrics=("cider",))).scores[0].values
    assert got == pytest.approx(expected)


def test_predicted_tracks_go_with_a_coco_truth_in_the_order_of_its_images(tmp_path):
    """Images in the file in another order than their ids: an entry of a track belongs to the file's order."""
    truth = [box(f, 1, [10.0 + 10 * f, 10.0, 8.0, 8.0]) for f in range(3)]
    gt, pred = write(tmp_path, truth, truth)
    document = json.loads(gt.read_text())
    document["images"].reverse()
    gt.write_text(json.dumps(document))
    boxes = [[10.0 + 10 * f, 10.0, 8.0, 8.0] for f in (2, 1, 0)]
    pred.write_text(
        json.dumps([{"video_id": 1, "category_id": 1, "score": 1.0, "caption": "a red dog", "bbox": boxes}])
    )
    assert evaluate(gt, pred, Options(metrics=())).scores[0].values["DetA"] == 1.0


def test_the_score_of_a_frame_goes_before_that_of_the_track_for_boxes(tmp_path):
    truth = [box(f, 1, SQUARE) for f in range(2)]
    gt, pred = write(tmp_path, truth, [])
    row = {"video_id": 1, "category_id": 1, "score": 0.9, "score_per_frame": [0.9, 0.1], "bbox": [SQUARE, SQUARE]}
    pred.write_text(json.dumps([row]))
    assert evaluate(gt, pred, Options(metrics=())).scores[0].values["TP"] == 1


def test_every_form_of_mask_is_the_same_mask(tmp_path):
    """Compressed as text, uncompressed, polygons: one rectangle."""
    plain = coco.frPyObjects([[10, 5, 20, 5, 20, 25, 10, 25]], 48, 64)[0]
    bitmap = coco.decode(plain)
    runs, last, count = [], 0, 0
    for pixel in bitmap.ravel(order="F"):
        if pixel != last:
            runs.append(count)
            last, count = pixel, 0
        count += 1
    runs.append(count)
    forms = [rle(bitmap), {"size": [48, 64], "counts": runs}, [[10, 5, 20, 5, 20, 25, 10, 25]]]
    for n, form in enumerate(forms):
        got = score(
            tmp_path / str(n),
            [box(0, 1, None, segmentation=forms[0])],
            [box(0, 1, None, segmentation=form)],
            iou="mask",
        )
        assert got["LocA"] == 1.0


def test_boxes_or_masks_is_read_off_the_first_prediction(tmp_path):
    one = box(0, 1, SQUARE, segmentation=blob(10, 10, 20, 20))
    alone = {key: item for key, item in one.items() if key != "bbox"}
    for n, (found, expected) in enumerate([([one], "box"), ([alone], "mask"), ([], "box")]):
        gt, pred = write(tmp_path / str(n), [one], found)
        truth = TruthFile(gt)
        assert choose_iou(truth, PredictionFile(pred, truth)) == expected


def test_ids_beyond_doubles_stay_apart(tmp_path):
    far = 2**60
    truth = [box(0, far, SQUARE), box(0, far + 1, [40.0, 20.0, 15.0, 20.0])]
    assert score(tmp_path, truth, truth)["DetA"] == 1.0


def test_letters_beyond_ascii_arrive_whole(tmp_path):
    gt, pred = write(tmp_path, [box(0, 1, SQUARE, "ein grüner Bär")], [box(0, 1, SQUARE, "ein grüner Bär")])
    for path in (gt, pred):
        path.write_text(json.dumps(json.loads(path.read_text()), ensure_ascii=False), encoding="utf-8")
    result = evaluate(gt, pred, Options(metrics=("cider",)))
    assert result.scores[0].truths[0].caption == "ein grüner Bär"
    assert result.scores[0].values["CapA_cider"] == pytest.approx(1.0)


def bad(folder, where, change, **options):
    """The line for a case in which one annotation was changed."""
    truth = [box(f, 1, SQUARE, segmentation=blob(10, 10, 20, 20)) for f in range(2)]
    gt, pred = write(folder, truth, truth)
    path = gt if where == "gt" else pred
    document = json.loads(path.read_text())
    change((document["annotations"] if where == "gt" else document)[1])
    path.write_text(json.dumps(document))
    lines = []
    for protocol in ("clean", "official"):
        with pytest.raises(UserError) as error:
            evaluate(gt, pred, Options(protocols=(protocol,), metrics=(), **options))
        lines.append(str(error.value))
        assert error.value.exit_code == 2
        assert "\n" not in lines[-1]
        assert path.name in lines[-1]
    return lines[0]


@pytest.mark.parametrize(
    ("where", "change", "iou", "said"),
    [
        ("pred", {"bbox": [1, float("nan"), 3, 4]}, "box", r"predictions\[1\] .*track 1\) has the bbox .*; write x, y"),
        ("gt", {"bbox": [1, 2, 3]}, "box", r"annotations\[1\] .*not four finite numbers; write"),
        (
            "pred",
            {"segmentation": blob(1, 1, 4, 4, (24, 32))},
            "mask",
            r"RLE of 24 x 32 on a frame of 48 x 64.*; resize",
        ),
        ("pred", {"segmentation": {"size": [48, 64], "counts": "abc"}}, "mask", r"whose counts cover .*; encode"),
        ("gt", {"segmentation": {"counts": "abc"}}, "mask", r"neither a COCO RLE nor polygons"),
        (
            "pred",
            {"segmentation": {"size": [48, 64], "counts": [3, 4]}},
            "mask",
            r"counts add up to 7 pixels, not 3072",
        ),
        ("pred", {"segmentation": [[1, 1, 9, 1, 1e18, 9]]}, "mask", r"a polygon's vertex at 1e\+18 is far outside"),
        ("pred", {"segmentation": [[1, 1, 9, 1, 1e8, 9]]}, "mask", r"a polygon's vertex at 1e\+08 is far outside"),
        (
            "gt",
            {"segmentation": {"size": [48, 64], "counts": [-5, 3077]}},
            "mask",
            r"run that is negative or larger than its picture",
        ),
        ("pred", {"bbox": None, "segmentation": {"size": [48, 64], "counts": "abc"}}, "box", r"no compressed run"),
        (
            "pred",
            {"image_id": 4711},
            "box",
            r"predictions\[1\] is on image 4711, which .*gt\.json does not have; score",
        ),
        ("gt", {"image_id": 4711}, "box", r"annotations\[1\] is on image 4711, which is not among the images; add"),
        ("pred", {"score": None}, "box", r"predictions\[1\] .* has no score; write \"score\", 1\.0"),
        ("pred", {"score": float("inf")}, "box", r"has the score inf"),
        ("pred", {"track_id": None}, "box", r"has no track_id; give every object"),
        ("pred", {"caption": ["a", "b"]}, "box", r"has the caption \['a', 'b'\], which is not text"),
        ("gt", {"image_id": None}, "box", r"neither image_id nor video_id"),
    ],
)
def test_a_bad_annotation_is_named_with_its_remedy(tmp_path, where, change, iou, said):
    import re

    line = bad(tmp_path, where, lambda one: one.update(change), iou=iou)
    assert re.search(said, line), line


def test_masks_asked_for_and_not_there_are_named(tmp_path):
    line = bad(tmp_path, "pred", lambda one: one.pop("segmentation"), iou="mask")
    assert "predictions[1]" in line
    assert "has no segmentation; give masks, or compare boxes with --iou box" in line


def test_a_box_of_negative_size_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"predictions\[0\] on image 101 has a box of negative size"):
        score(tmp_path, [box(0, 1, SQUARE)], [box(0, 1, [10.0, 10.0, -5.0, 5.0])])


def test_a_track_of_another_length_is_named(tmp_path):
    gt, pred = write(tmp_path, [box(f, 1, SQUARE) for f in range(3)], [])
    pred.write_text(json.dumps([{"video_id": 1, "category_id": 1, "score": 1.0, "bbox": [SQUARE]}]))
    with pytest.raises(UserError, match=r"has 1 entries in bbox for a video of 3 frames; give one for every frame"):
        evaluate(gt, pred, Options(metrics=()))


def test_an_object_without_predictions_is_no_empty_result(tmp_path):
    gt, pred = write(tmp_path, [box(0, 1, SQUARE)], [])
    pred.write_text('{"results": []}')
    with pytest.raises(UserError, match=r"pred\.json has no list of predictions; write a list"):
        evaluate(gt, pred, Options())
    gt.write_text('{"annotations": []}')
    with pytest.raises(UserError, match=r"gt\.json has no images and no videos"):
        TruthFile(gt)


def test_a_list_is_no_ground_truth(tmp_path):
    (tmp_path / "gt.json").write_text("[{}]")
    with pytest.raises(UserError, match="is a list, not ground truth"):
        TruthFile(tmp_path / "gt.json")


def test_a_detection_stays_as_it_was_read(tmp_path):
    """Scoring counts pixels and overlaps of masks, and writes nothing into them."""
    truth = [box(0, 1, None, segmentation=blob(10, 10, 8, 8))]
    own = TruthFile(write(tmp_path, truth, truth)[0])
    (one,) = own.detections(0, "mask")[0]
    assert one.pixels == 64
    assert set(one.mask) == {"size", "counts"}
    video = VideoTracks(1, (48, 64), (101,), (one,), (one,), overlaps=Overlaps([one], [one]))
    scoring = CleanChota("mask", 0.5, ("cider",), {})
    scoring.add(video)
    scoring.finish()
    MaskAp("clean").add(video)
    assert set(one.mask) == {"size", "counts"}


@pytest.mark.parametrize("image", [2**70, "frame 1", -(2**63) + 1])
def test_ids_may_be_text_or_numbers_of_any_size_beside_small_ones(tmp_path, image):
    truth = [box(f, 1, [5.0, 5.0, 10.0, 10.0]) for f in range(2)]
    gt, pred = write(tmp_path, truth, truth)
    for path in (gt, pred):
        path.write_text(path.read_text().replace("102", json.dumps(image)))
    assert evaluate(gt, pred, Options(metrics=())).scores[0].values["TP"] == 2
