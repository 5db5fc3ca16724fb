"""``--dataset auto``: every source knows its own folder, and no other."""

import json

import pytest

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.recognise import recognise
from tests.pipeline.sources.files import lvis, lvis_root, lvvis, lvvis_root, picture, put
from tests.pipeline.sources.images import test_boxes, test_coco, test_coco_panoptic, test_sa_1b
from tests.pipeline.sources.videos import (
    test_burst,
    test_masks,
    test_sa_v,
    test_tracks,
    test_vipseg,
    test_youtube_vis,
)

WRITERS = {
    "lvis": lambda root: lvis_root(root, lvis()),
    "lv-vis": lambda root: lvvis_root(root, lvvis()),
    "coco": lambda root: test_coco.written(root, test_coco.coco()),
    "coco-panoptic": test_coco_panoptic.written,
    "youtube-vis": lambda root: test_youtube_vis.written(root, test_youtube_vis.youtube_vis()),
    "sa-1b": test_sa_1b.written,
    "sa-v": test_sa_v.written,
    "masks": lambda root: test_masks.sequence(root, test_masks.TWO),
    "burst": test_burst.written,
    "vipseg": test_vipseg.written,
    "boxes": test_boxes.written,
    "tracks": test_tracks.written,
}


def test_every_source_is_tried():
    assert set(WRITERS) == set(SOURCES.own)


@pytest.mark.parametrize("name", WRITERS)
def test_a_folder_is_known_for_what_it_is_and_for_nothing_else(tmp_path, name):
    WRITERS[name](tmp_path)
    assert [(one.name, one.split) for one in recognise(tmp_path)] == [(name, "all")]


def test_a_file_of_a_name_that_no_release_has_is_named_as_split(tmp_path):
    picture(tmp_path / "000000000001.jpg")
    put(tmp_path, "mine.json", test_coco.coco())
    (found,) = recognise(tmp_path)
    assert (found.name, found.split) == ("coco", "mine.json")
    assert found.text() == "coco (mine.json)"


def test_a_folder_of_several_datasets_names_them_all(tmp_path):
    test_coco.written(tmp_path, test_coco.coco())
    test_coco_panoptic.written(tmp_path)
    assert [one.name for one in recognise(tmp_path)] == ["coco", "coco-panoptic"]


def test_a_large_file_is_known_by_its_beginning_and_end(tmp_path):
    body = {"info": "x" * 3_000_000, **test_coco.coco(), "more": "x" * 10}
    test_coco.written(tmp_path, body)
    assert [one.name for one in recognise(tmp_path)] == ["coco"]


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00" * 100])
def test_what_is_no_dataset_is_said_with_what_is_there(tmp_path, text):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(UserError, match=r"holds no dataset that is known: it has a\.json; docs/sources\.md"):
        recognise(tmp_path)
    with pytest.raises(MissingFile):
        recognise(tmp_path / "nowhere")


def test_links_that_go_round_in_circles_and_odd_names_do_no_harm(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "a.json").symlink_to(tmp_path / "a.json")
    (tmp_path / "b.json").mkdir()
    (tmp_path / "c.json").write_text(json.dumps({"images": 7, "annotations": {}}))
    with pytest.raises(UserError, match="holds no dataset"):
        recognise(tmp_path)


@pytest.mark.parametrize("empty", [[], None, "", {}])
def test_boxes_with_an_empty_segmentation_are_boxes(tmp_path, empty):
    body = test_boxes.boxes(segmentation=empty)
    body["annotations"][1]["segmentation"] = empty
    test_boxes.written(tmp_path, body)
    assert [one.name for one in recognise(tmp_path)] == ["boxes"]
