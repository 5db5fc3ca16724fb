"""Numbers a class from the command line, and what is said of files that do not fit."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from capgen.cli.main import app
from capgen.errors import UnknownName, UserError
from capgen.evaluation.evaluate import Options, evaluate
from tests.evaluation.evalcases import blob, box, write

SQUARE, OTHER = [10.0, 10.0, 20.0, 20.0], [40.0, 20.0, 15.0, 20.0]


def burst_files(folder, masks=("rle",)):
    frames = [{"1": {"rle": blob(5, 5, 10, 10)["counts"]}}, {"1": {masks[0]: blob(7, 5, 10, 10)["counts"]}}]
    about = {"id": 3, "seq_name": "s", "dataset": "d", "height": 48, "width": 64, "track_category_ids": {"1": 4}}
    about |= {"annotated_image_paths": ["frame1.jpg", "frame2.jpg"], "segmentations": frames}
    truth = {"split": "val", "sequences": [about], "categories": [{"id": 4, "name": "air_conditioner"}]}
    gt, pred = folder / "gt.json", folder / "pred.json"
    gt.write_text(json.dumps(truth))
    pred.write_text(json.dumps({"sequences": truth["sequences"]}))
    return gt, pred


def run(*arguments):
    return CliRunner().invoke(app, ["eval", "tracks", *map(str, arguments)])


def test_the_command_adds_the_numbers_of_each_class(tmp_path):
    truth = [box(f, t, shape, category_id=t + 1) for f in range(2) for t, shape in enumerate((SQUARE, OTHER))]
    kinds = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    gt, pred = write(tmp_path, truth, truth[::2], categories=kinds)
    files = ("--gt", gt, "--pred", pred, "--metrics", "none", "--per-class", "tao")
    found = json.loads(run(*files, "--json", "--breakdown").stdout)["per_class"]
    assert found["rules"] == "tao"
    assert found["all"]["HOTA"] == pytest.approx(0.5)
    assert (found["by_category"]["dog"]["AP"], found["by_category"]["cat"]["AP"]) == (pytest.approx(1.0), 0.0)
    assert found["detections"]["DetA"] == pytest.approx(0.5)
    table = run(*files).stdout
    assert "Means over 2 classes" in table
    assert "by detections" in table


def test_bursts_own_files_are_read(tmp_path):
    gt, pred = burst_files(tmp_path)
    page = tmp_path / "page.html"
    done = run("--gt", gt, "--pred", pred, "--metrics", "none", "--per-class", "burst", "--json", "--html", page)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["HOTA"] == found["per_class"]["common"]["HOTA"] == 1.0
    assert "Means over 1 class, all scores, as TrackEval for burst" in page.read_text()


def test_files_that_do_not_fit_are_named(tmp_path):
    gt, pred = burst_files(tmp_path, masks=("counts",))
    with pytest.raises(UserError, match=r"gt\.json: sequences\[0\] has a mask without rle on frame2\.jpg"):
        evaluate(gt, pred, Options(metrics=(), per_class="burst"))
    gt.write_text(json.dumps({"sequences": [{"seq_name": "s"}]}))
    with pytest.raises(UserError, match=r"sequences\[0\] has no annotated_image_paths"):
        evaluate(gt, pred, Options(metrics=(), per_class="burst"))
    for change, what in (
        ({"height": "48"}, r"sequences\[0\] has the height \"48\", which is text"),
        ({"segmentations": [{}]}, "another number of frames"),
        ({"annotated_image_paths": [1, 2]}, "annotated_image_paths 1, which is not text"),
        ({"seq_name": "\ud800"}, "half of a surrogate pair"),
        ({"id": [1]}, "neither a whole number nor text"),
        ({"track_category_ids": {"--1": "x"}, "segmentations": [{"--1": {"rle": "~"}}, {}]}, "no run lengths"),
        ({"segmentations": [{"1": {"rle": blob(5, 5, 10, 10)["counts"], "score": "1"}}, {}]}, "score"),
    ):
        gt, pred = burst_files(tmp_path)
        document = json.loads(gt.read_text())
        document["sequences"][0] |= change
        pred.write_text(json.dumps(document))
        with pytest.raises(UserError, match=what):
            evaluate(pred if "score" not in what else gt, pred, Options(metrics=(), per_class="burst"))
    with pytest.raises(UnknownName, match="per-class"):
        Options(per_class="kitti")
    with pytest.raises(UserError, match="--per-class tao compares boxes, not masks"):
        Options(per_class="tao", iou="mask")
    truth = [box(0, 1, SQUARE)]
    gt, pred = write(tmp_path / "twice", truth, [*truth, *truth])
    with pytest.raises(UserError, match=r"pred\.json: element 1 has track 1 on image 101 again"):
        evaluate(gt, pred, Options(metrics=(), protocols=("official",), per_class="tao"))
    document = json.loads(gt.read_text())
    document["videos"] = [{"id": 1, "neg_category_ids": "none"}]
    gt.write_text(json.dumps(document))
    with pytest.raises(
        UserError, match=r"gt\.json: videos\[0\] has the neg_category_ids .* write a list of category ids"
    ):
        evaluate(gt, pred, Options(metrics=(), per_class="tao"))
