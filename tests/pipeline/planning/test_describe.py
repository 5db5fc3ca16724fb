"""``capgen describe``: what is in a folder is counted, what is missing or odd is said, nothing is refused for it."""

import json

import pytest
from typer.testing import CliRunner

from capgen.cli.data import datasets
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.describe import describe
from tests.pipeline.sources.files import put
from tests.pipeline.sources.images import test_boxes, test_coco
from tests.pipeline.sources.test_recognise import WRITERS
from tests.pipeline.sources.videos import test_sa_v, test_youtube_vis


def described(root, dataset, *assignments):
    return describe(load_settings(dataset, {"source.root": root}, assignments))


@pytest.mark.parametrize("name", [name for name in WRITERS if name not in ("lvis", "lv-vis", "tracks")])
def test_every_source_can_be_described(tmp_path, name):
    WRITERS[name](tmp_path)
    summary = described(tmp_path, name)
    assert sum(one.objects for one in summary.splits.values()) > 0
    assert (summary.missing, dict(summary.faults)) == (0, {})
    assert json.loads(json.dumps(summary.as_json()))["dataset"] == name


def test_counts_sizes_categories_and_what_was_left_out(tmp_path):
    root = test_coco.written(tmp_path, test_coco.coco())
    assert described(root, "coco").text().splitlines() == [
        "split val2017: 1 images, 1 objects",
        "sizes: 8x6 (1)",
        "categories: 1: toothbrush (1)",
        "files of pictures and videos: 1, none is missing",
        "left out: 1 annotations (crowd)",
        "specks: 1 of 1 objects looked at have fewer than 100 pixels (source.min_area leaves such out)",
    ]


def test_frames_that_are_all_missing_are_counted_not_refused(tmp_path):
    put(tmp_path, "train.json", test_youtube_vis.youtube_vis())
    summary = described(tmp_path, "youtube-vis")
    assert (summary.files, summary.missing, summary.missing_example) == (2, 2, "0a/00000.jpg")
    assert "2 missing, such as 0a/00000.jpg" in summary.text()


def test_what_cannot_be_captioned_is_named_with_an_example(tmp_path):
    body = test_coco.coco()
    body["annotations"].append({"id": 13, "image_id": 1, "category_id": 404, "segmentation": []})
    summary = described(test_coco.written(tmp_path, body), "coco")
    assert dict(summary.faults) == {"unknown_category": 1}
    assert "cannot be captioned: 1 objects (unknown_category), such as coco/val2017/1/13" in summary.text()


def test_objects_without_a_category_or_a_mask_are_said(tmp_path):
    assert (
        "categories: none: prompts ask what the object is"
        in described(test_sa_v.written(tmp_path / "v"), "sa-v").text()
    )
    assert "boxes without a mask: 1 of 1" in described(test_boxes.written(tmp_path / "b"), "boxes").text()


def test_the_verb_looks_what_the_folder_holds(tmp_path):
    root = test_coco.written(tmp_path, test_coco.coco())
    done = CliRunner().invoke(datasets.app, ["--root", str(root)])
    assert done.exit_code == 0, done.output
    assert "holds coco (annotations/instances_val2017.json): --dataset coco" in done.output
    assert "split val2017: 1 images, 1 objects" in done.output
    done = CliRunner().invoke(datasets.app, ["--root", str(root), "--dataset", "coco", "--json"])
    assert json.loads(done.stdout)["splits"] == {
        "val2017": {"media": 1, "frames": 1, "objects": 1, "without_objects": 0}
    }
