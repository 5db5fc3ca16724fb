"""The official JSON, COCO and YouTube-VIS: field by field, and as pycocotools, lvis-api and our evaluator read them."""

from __future__ import annotations

import contextlib
import io
import json

import msgspec
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from capgen.dataset.plan import PlannedObject
from capgen.dataset.reader import media_batches, media_of
from capgen.evaluation.benchmarks.lvviscap import LvVisCap
from capgen.evaluation.reading.files import TruthFile
from tests.exporting.releases import FRAMES, exported, image_release, video_release
from tests.tiny_runs import plan_run, planned_image

LVISCAP_IMAGE = {"id", "width", "height", "coco_url", "license"}
LVISCAP_ANNOTATION = {"id", "image_id", "category_id", "segmentation", "area", "bbox", "caption"}
LVVISCAP_ANNOTATION = {
    *("id", "video_id", "category_id", "iscrowd", "length", "width", "height", "segmentations", "areas", "bbox"),
    "caption",
}


def read(path):
    return json.loads(path.read_text("utf-8"))


def quiet_coco(path) -> COCO:
    with contextlib.redirect_stdout(io.StringIO()):
        return COCO(str(path))


def test_lviscap_has_the_authors_fields_and_an_object_without_a_caption_has_no_such_key(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    train = read(tmp_path / "dest/lviscap_v1_train.json")
    assert [set(image) for image in train["images"]] == [LVISCAP_IMAGE] * 4
    by_id = {one["id"]: one for one in train["annotations"]}
    assert set(by_id[11]) == LVISCAP_ANNOTATION
    assert set(by_id[10]) == LVISCAP_ANNOTATION - {"caption"}
    assert by_id[11]["caption"] == "A tea_pot numbered 11."
    assert by_id[11]["bbox"] == [9.0, 4.0, 6.0, 9.0]
    assert by_id[11]["area"] == 54.0
    assert read(tmp_path / "dest/lviscap_v1_val.json")["categories"] == [
        {"id": 1, "name": "cup"},
        {"id": 2, "name": "tea_pot"},
    ]


def test_what_lvis_says_of_an_image_and_of_categories_comes_from_its_own_file(tmp_path):
    extra = {"neg_category_ids": [7], "not_exhaustive_category_ids": [], "flickr_url": "f", "date_captured": "d"}
    category = {"id": 1, "name": "cup", "synset": "cup.n.01", "def": "a cup", "frequency": "f"}
    source = {"info": {"version": "v1"}, "images": [{"id": 1, **extra}], "categories": [category]}
    (tmp_path / "lvis.json").write_text(json.dumps(source))
    report = exported(
        image_release(tmp_path), tmp_path / "dest", "official", annotations={"train": tmp_path / "lvis.json"}
    )
    train = read(tmp_path / "dest/lviscap_v1_train.json")
    assert {key: train["images"][0][key] for key in extra} == extra
    assert (train["categories"], train["info"]) == ([category], {"version": "v1"})
    assert "4 images lack fields of LVIS" in report.text()


def test_lv_viscap_has_the_authors_fields_and_our_benchmark_reads_it(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "official", pictures="copy")
    train = read(tmp_path / "dest/lvviscap_train_instances.json")
    assert set(train["videos"][0]) == {"id", "length", "width", "height", "file_names"}
    by_id = {one["id"]: one for one in train["annotations"]}
    assert set(by_id[11]) == LVVISCAP_ANNOTATION
    assert set(by_id[21]) == LVVISCAP_ANNOTATION - {"caption"}
    assert [box is not None for box in by_id[11]["bbox"]] == [False, True, False, True]
    assert by_id[11]["bbox"][1] == [4.0, 4.0, 16.0, 16.0]
    assert by_id[11]["areas"] == [None, 256.0, None, 256.0]
    benchmark = LvVisCap(tmp_path / "dest", "train")
    clips = list(benchmark.clips())
    assert [len(list(clip.frames())) for clip in clips] == [FRAMES, FRAMES]
    sizes = {size.name: size.found for size in benchmark.describe()}
    assert (sizes["videos"], sizes["tracks"], sizes["captioned tracks"]) == (2, 4, 3)


def test_pycocotools_reads_coco_and_its_masks_are_those_of_the_release(tmp_path):
    out = image_release(tmp_path)
    exported(out, tmp_path / "dest", "coco", pictures="copy")
    coco = quiet_coco(tmp_path / "dest/annotations/instances_train.json")
    assert sorted(coco.getAnnIds()) == [10, 11, 20, 21, 40, 41]
    for image in coco.loadImgs(coco.getImgIds()):
        assert (tmp_path / "dest/images/train" / image["file_name"]).is_file()
    (batch,) = media_batches(out, "train", rows=10)
    for index in range(batch.num_rows):
        media = media_of(batch, index)
        for one in media.objects:
            annotation = coco.anns[int(one.object_id)]
            if one.frame_index:
                assert np.array_equal(coco.annToMask(annotation), coco_mask.decode(dict(one.segmentation[0])))
                assert annotation["bbox"] == list(one.bbox[0])
    assert "caption" not in coco.anns[10]


def test_lvis_api_reads_the_official_images(tmp_path):
    lvis = pytest.importorskip("lvis")
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    file = lvis.LVIS(str(tmp_path / "dest/lviscap_v1_train.json"))
    assert len(file.get_ann_ids()) == 6
    assert file.ann_to_mask(file.load_anns([11])[0]).sum() == 54


def test_the_frames_of_videos_as_coco_are_a_ground_truth_with_tracks_and_captions(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "coco")
    path = tmp_path / "dest/annotations/instances_train.json"
    coco = quiet_coco(path)
    assert len(coco.imgs) == 2 * FRAMES
    assert len(coco.anns) == 2 * (FRAMES + 2)
    assert {one["track_id"] for one in coco.anns.values()} == {10, 11, 20, 21}
    truth = TruthFile(path)
    assert [len(video.images) for video in truth.videos] == [FRAMES, FRAMES]


def test_youtube_vis_has_null_where_a_track_is_not_visible(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "youtube-vis")
    train = read(tmp_path / "dest/train/instances.json")
    track = next(one for one in train["annotations"] if one["id"] == 11)
    assert [mask is None for mask in track["segmentations"]] == [True, False, True, False]
    assert [box is None for box in track["bboxes"]] == [True, False, True, False]
    assert coco_mask.decode(track["segmentations"][1]).sum() == 256


def test_an_id_that_repeats_in_each_image_is_used_once_in_a_file(tmp_path):
    media = [planned_image("1"), planned_image("2")]
    again = [
        msgspec.structs.replace(
            one,
            objects=tuple(
                PlannedObject(object_id=str(n), category_id=1, category="cup", segmentation=item.segmentation)
                for n, item in enumerate(one.objects)
            ),
        )
        for one in media
    ]
    plan_run(tmp_path / "out", [again]).commit().pack()
    report = exported(tmp_path / "out", tmp_path / "dest", "coco")
    ids = [one["id"] for one in read(tmp_path / "dest/annotations/instances_train.json")["annotations"]]
    assert ids == [0, 1, "2:0", "2:1"]
    assert "2 annotation ids were used twice" in report.text()
