"""Every kind of damage to a file ends in one line with the file, the annotation and the remedy."""

from __future__ import annotations

import json

import pytest

from capgen.errors import UserError
from capgen.evaluation.evaluate import Options, evaluate
from tests.evaluation.evalcases import blob, box, write

SQUARE = [10.0, 10.0, 20.0, 20.0]
MASK = blob(10, 10, 20, 20)


def lines(gt, pred, iou=None):
    """What each protocol says; one line each, for the user."""
    said = []
    for protocol in ("clean", "official"):
        with pytest.raises(UserError) as error:
            evaluate(gt, pred, Options(iou=iou, protocols=(protocol,), metrics=("cider",)))
        said.append(str(error.value))
        assert error.value.exit_code == 2
        assert "\n" not in said[-1]
        said[-1].encode("utf-8")
    return said


def coco(folder, side, change, iou="box"):
    """The lines for a COCO case in which something of the truth (``gt``) or the predictions was changed."""
    truth = [box(f, 1, SQUARE, segmentation=MASK) for f in range(2)]
    gt, pred = write(folder, truth, truth)
    path = gt if side == "gt" else pred
    document = json.loads(path.read_text())
    document = change(document) or document
    path.write_text(json.dumps(document))
    said = lines(gt, pred, iou)
    assert all(path.name in line for line in said)
    return said


def annotation(**fields):
    """Change the second element of a list, or of the annotations."""

    def change(document):
        rows = document["annotations"] if isinstance(document, dict) else document
        rows[1].update(fields)

    return change


@pytest.mark.parametrize("side", ["gt", "pred"])
@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"track_id": [1]}, "has the track_id [1], which is neither a whole number nor text"),
        ({"track_id": True}, "has the track_id true, which is neither"),
        ({"image_id": [1]}, "[1], which is neither a whole number nor text"),
        ({"image_id": 1.5}, "1.5, which is neither a whole number nor text"),
        ({"image_id": {"a": 1}}, "which is neither a whole number nor text"),
        ({"category_id": [1]}, "has the category_id [1], which is neither"),
        ({"bbox": [1, 2, 3, 10**400]}, "which is not four finite numbers"),
        ({"bbox": [1, 2, 3, "4"]}, "which is not four finite numbers"),
        ({"bbox": {"x": 1}}, "which is not four finite numbers"),
        ({"iscrowd": "0"}, 'has the iscrowd "0", which is text; write 0 or 1, without quotes'),
        ({"iscrowd": 7}, "has the iscrowd 7, which is neither 0 nor 1"),
        ({"area": "many"}, 'has the area "many", which is text; write a number, without quotes'),
        ({"area": 10**400}, "which is not a finite number"),
        ({"caption": 5}, "has the caption 5, which is not text"),
        ({"caption": "a \ud800 dog"}, "which holds half of a surrogate pair"),
    ],
)
def test_a_value_of_a_wrong_kind_is_named(tmp_path, side, fields, said):
    for line in coco(tmp_path, side, annotation(**fields)):
        assert said in line
        assert "[1] " in line


@pytest.mark.parametrize(
    ("score", "said"),
    [
        ("0.9", 'has the score "0.9", which is text; write a number, without quotes'),
        (True, "has the score true, which is not a number"),
        (10**400, "which is not a finite number"),
        ([0.9], "has the score [0.9], which is not a number"),
    ],
)
def test_a_score_that_is_no_number_is_called_what_it_is(tmp_path, score, said):
    for line in coco(tmp_path, "pred", annotation(score=score)):
        assert said in line


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_an_annotation_without_any_shape_is_named(tmp_path, side):
    def change(document):
        rows = document["annotations"] if isinstance(document, dict) else document
        del rows[1]["bbox"], rows[1]["segmentation"]

    for line in coco(tmp_path, side, change):
        assert "has neither a bbox nor a segmentation; give its shape, or take it out" in line


@pytest.mark.parametrize("side", ["gt", "pred"])
@pytest.mark.parametrize(
    ("segmentation", "said"),
    [
        ({"size": [48, 64], "counts": [100, -5, 2977]}, "neither a COCO RLE nor polygons"),
        ({"size": [48, 64], "counts": [100, "5", 2967]}, "neither a COCO RLE nor polygons"),
        ({"size": ["48", 64], "counts": MASK["counts"]}, "size is not two whole numbers"),
        ({"size": [48, 64], "counts": 10**12}, "counts are neither text nor a list"),
        ({"size": [48, 64, 3], "counts": "abc"}, "neither a COCO RLE nor polygons"),
        ({"size": [48, 64], "counts": "äöü"}, "they are no run lengths"),
        ([[1, 2, "3", 4, 5, 6]], "neither a COCO RLE nor polygons"),
        ([5], "neither a COCO RLE nor polygons"),
        ([[0, 0, 10**12, 0, 5, 5]], "neither a COCO RLE nor polygons"),
        (5, "neither a COCO RLE nor polygons"),
        ("abc", "neither a COCO RLE nor polygons"),
    ],
)
def test_a_damaged_mask_is_named(tmp_path, side, segmentation, said):
    for line in coco(tmp_path, side, annotation(segmentation=segmentation), iou="mask"):
        assert said in line


def test_negative_runs_in_compressed_counts_are_named(tmp_path):
    """Runs 100, -50, 100, 2922 in COCO's code: they add up to the frame."""
    mask = {"size": [48, 64], "counts": "T3^NT3f`0"}
    for line in coco(tmp_path, "pred", annotation(segmentation=mask), iou="mask"):
        assert "has an RLE whose counts cover" in line


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d["images"][0].update(height="tall"), 'images[0] has the height "tall", which is text'),
        (lambda d: d["images"][0].update(width=-5), "images[0] has the width -5, which is not a whole number"),
        (lambda d: d["images"][0].update(id=[1]), "images[0] has the id [1], which is neither"),
        (lambda d: d["images"][0].update(video_id=[1]), "images[0] has the video_id [1], which is neither"),
        (lambda d: d["images"][1].update(id=d["images"][0]["id"]), "images[1] has the id 101, which is there already"),
        (lambda d: d["images"].append(5), "images[2] is 5, which is not an object"),
        (lambda d: d["images"][0].pop("id"), "images[0] has no id"),
        (lambda d: d["categories"][0].update(id={}), "categories[0] has the id {}, which is neither"),
        (lambda d: d["categories"].append("dog"), 'categories[1] is "dog", which is not an object'),
        (lambda d: d.update(annotations={"a": 1}), "annotations is not a list; write a list of annotations"),
        (lambda d: d.update(images={"a": 1}), "images is not a list"),
        (lambda d: d["annotations"].append(7), "annotations[2] has neither image_id nor video_id"),
    ],
)
def test_damage_to_the_other_parts_of_the_truth_is_named(tmp_path, change, said):
    for line in coco(tmp_path, "gt", lambda document: change(document) and None):
        assert said in line


def test_ids_as_text_against_ids_as_numbers_are_told_apart(tmp_path):
    for line in coco(tmp_path, "pred", annotation(image_id="101")):
        assert 'is on image "101", which' in line
        assert "does not have (text; it has the number 101); write the ids as the ground truth does" in line
    for line in coco(tmp_path, "gt", annotation(image_id="101")):
        assert 'annotations[1] is on image "101", which is not among the images (text; it has the number 101)' in line


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_other_encodings_are_named(tmp_path, side):
    truth = [box(0, 1, SQUARE, "ein grüner Bär")]
    gt, pred = write(tmp_path, truth, truth)
    path = gt if side == "gt" else pred
    path.write_bytes(json.dumps(json.loads(path.read_text()), ensure_ascii=False).encode("latin-1"))
    for line in lines(gt, pred):
        assert f"{path} is not UTF-8 near byte" in line


@pytest.mark.parametrize("side", ["gt", "pred"])
def test_deep_nesting_and_endless_numbers_are_named(tmp_path, side):
    truth = [box(0, 1, SQUARE)]
    cases = [
        (f'"extra": {"[" * 100_000 + "]" * 100_000}', "is nested too deeply"),
        (f'"category_id": {"9" * 5000}', "has a number of too many digits"),
    ]
    for n, (member, said) in enumerate(cases):
        gt, pred = write(tmp_path / str(n), truth, truth)
        path = gt if side == "gt" else pred
        path.write_text(path.read_text().replace('"category_id": 1', member, 1))
        for line in lines(gt, pred):
            assert said in line
            assert str(path) in line


def track_case(folder, side, **fields):
    """A case of track files in which fields of the only track were changed."""
    folder.mkdir(exist_ok=True)
    row = {"video_id": 1, "category_id": 1, "bbox": [SQUARE, SQUARE], "caption": "a dog", "iscrowd": 0}
    truth, found = {**row, "id": 1}, {**row, "score": 0.9, "score_per_frame": [0.9, 0.9]}
    (truth if side == "gt" else found).update(fields)
    video = {"id": 1, "height": 48, "width": 64, "length": 2}
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps({"videos": [video], "annotations": [truth], "categories": [{"id": 1, "name": "dog"}]}))
    pred.write_text(json.dumps([found]))
    return lines(gt, pred)


@pytest.mark.parametrize(
    ("side", "fields", "said"),
    [
        ("gt", {"bbox": 5}, "has the bbox 5, which is not a list"),
        ("gt", {"bbox": None}, "has neither bboxes nor segmentations"),
        ("pred", {"segmentations": "abc"}, 'has the segmentations "abc", which is not a list'),
        ("pred", {"score_per_frame": [0.9, "x"]}, 'has the score "x", which is text'),
        ("pred", {"caption": [["a"], "b"]}, "has the caption ['a'], which is not text"),
        ("gt", {"iscrowd": "0"}, 'has the iscrowd "0", which is text'),
        ("gt", {"areas": ["5", 5]}, 'has the area "5", which is text'),
        ("gt", {"id": [1]}, "has the id [1], which is neither"),
        ("gt", {"video_id": "1"}, '"1", which is not among the videos (text; it has the number 1)'),
    ],
)
def test_damage_to_track_files_is_named(tmp_path, side, fields, said):
    for line in track_case(tmp_path, side, **fields):
        assert said in line


@pytest.mark.parametrize("length", [10**9, 10**30, 1e308])
def test_a_length_that_no_video_has_is_named_before_it_fills_the_memory(tmp_path, length):
    row = {"id": 1, "video_id": 1, "category_id": 1, "bbox": [SQUARE], "caption": "a dog"}
    video = {"id": 1, "height": 48, "width": 64, "length": length}
    gt, pred = tmp_path / "gt.json", tmp_path / "pred.json"
    gt.write_text(json.dumps({"videos": [video], "annotations": [row], "categories": []}))
    pred.write_text(json.dumps([{**row, "score": 0.9}]))
    for line in lines(gt, pred):
        assert "videos[0]" in line
        assert "more than 1,000,000 frames" in line


@pytest.mark.parametrize("number", [-1, -(10**30)])
def test_a_negative_category_leaves_the_official_numbers_of_its_group_out(tmp_path, number):
    truth = [box(f, 1, SQUARE, segmentation=MASK) for f in range(2)]
    gt, pred = write(tmp_path, truth, truth)
    document = json.loads(gt.read_text())
    document["categories"] = [{"id": 1, "name": "dog", "partition": 2}, {"id": number, "name": "cat", "partition": 0}]
    gt.write_text(json.dumps(document))
    found = evaluate(gt, pred, Options(iou="mask", protocols=("official",), metrics=()))
    assert found.scores[0].values["AP_base"] is None
    assert found.scores[0].values["AP"] == pytest.approx(1.0)
