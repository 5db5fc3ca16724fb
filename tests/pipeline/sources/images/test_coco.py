"""COCO instance files as people and tools write them: pictures are found, crowds counted, categories may be missing."""

import json

import numpy as np
import pytest
from PIL import Image

from capgen.errors import MissingFile, UserError
from capgen.pipeline.rendering.frames import load_frame
from capgen.pipeline.sources.images.coco import Coco
from capgen.pipeline.sources.reading.decode import decode_media
from tests.pipeline.sources.files import SQUARE
from tests.test_video_frames import level, write_video

SIZE = {"width": 8, "height": 6}


def coco(**image):
    """One picture with one object, and a crowd region as COCO writes it: uncompressed run lengths."""
    crowd = {"size": [6, 8], "counts": [10, 4, 34]}
    return {
        "images": [{"id": 1, "file_name": "000000000001.jpg", **SIZE, **image}],
        "annotations": [
            {"id": 11, "image_id": 1, "category_id": 90, "segmentation": SQUARE, "iscrowd": 0},
            {"id": 12, "image_id": 1, "category_id": 90, "segmentation": crowd, "iscrowd": 1},
        ],
        "categories": [{"id": 90, "name": "toothbrush", "supercategory": "indoor"}],
    }


def written(root, body, file="annotations/instances_val2017.json", pictures=("val2017/000000000001.jpg",)):
    """The dataset's folder."""
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(body))
    for name in pictures:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(root / name)
    return root


def scanned(root, **options):
    return list(Coco(root, **options).scan())


def test_the_usual_folder_alone_is_enough(tmp_path):
    (media,) = scanned(written(tmp_path, coco()))
    assert (media.dataset, media.split, media.media_id) == ("coco", "val2017", "1")
    assert media.file_names == ("val2017/000000000001.jpg",)
    assert [(item.object_id, item.category) for item in media.objects] == [("11", "toothbrush")]


def test_crowds_are_left_out_and_counted_unless_they_are_wanted(tmp_path):
    root = written(tmp_path, coco())
    assert scanned(root)[0].left_out == {"crowd": 1}
    (media,) = scanned(root, crowds="keep")
    assert media.left_out == {}
    assert [item.areas for item in decode_media(media, root).objects] == [(16,), (4,)]


@pytest.mark.parametrize("flag", [0, "0", False, None, "false"])
def test_what_says_that_it_is_no_crowd_is_none(tmp_path, flag):
    body = coco()
    body["annotations"][1]["iscrowd"] = flag
    assert len(scanned(written(tmp_path, body))[0].objects) == 2


@pytest.mark.parametrize(
    "image",
    [
        {"coco_url": "http://images.cocodataset.org/train2017/000000000001.jpg"},
        {"file_name": "C:\\data\\val2017\\000000000001.jpg"},
        {"file_name": "/home/somebody/val2017/000000000001.jpg"},
        {"file_name": "val2017/000000000001.jpg"},
        {"file_name": "val2017\\000000000001.jpg"},
        {"file_name": "COCO_val2014_000000000001.jpg"},
        {"file_name": None, "coco_url": "http://images.cocodataset.org/val2017/000000000001.jpg"},
    ],
)
def test_a_picture_is_found_where_it_is_whatever_its_name_says(tmp_path, image):
    (media,) = scanned(written(tmp_path, coco(**image)))
    assert media.file_names == ("val2017/000000000001.jpg",)


@pytest.mark.parametrize(
    ("file", "picture", "split"),
    [
        ("instances_default.json", "images/default/000000000001.jpg", "default"),
        ("instances_default.json", "images/000000000001.jpg", "default"),
        ("train/_annotations.coco.json", "train/000000000001.jpg", "train"),
        ("annotations/instances_train2017.json", "images/train2017/000000000001.jpg", "train2017"),
    ],
)
def test_the_layouts_of_other_tools_are_found(tmp_path, file, picture, split):
    (media,) = scanned(written(tmp_path, coco(), file, [picture]))
    assert (media.split, media.file_names) == (split, (picture,))


def test_a_file_of_any_name_can_be_named(tmp_path):
    root = written(tmp_path, coco(), "mine.json")
    assert scanned(root, split="mine.json")[0].split == "mine"


def test_a_file_without_categories_gives_objects_without_one(tmp_path):
    body = coco()
    del body["categories"]
    (media,) = scanned(written(tmp_path, body))
    assert [(item.category, item.reason) for item in media.objects] == [(None, None)]


def test_ids_may_be_text_and_repeat_in_each_image(tmp_path):
    body = coco(id="a")
    body["images"].append({"id": "b", "file_name": "000000000002.jpg", **SIZE})
    body["annotations"] = [
        {"id": "1", "image_id": name, "category_id": "90", "segmentation": SQUARE} for name in ("a", "b")
    ]
    media = scanned(written(tmp_path, body))
    assert [item.reason for medium in media for item in medium.objects] == [None, None]
    assert [medium.key_of(item.object_id) for medium in media for item in medium.objects] == [
        "coco/val2017/a/1",
        "coco/val2017/b/1",
    ]


def test_pictures_that_are_nowhere_are_said_at_once(tmp_path):
    with pytest.raises(MissingFile, match=r"000000000001\.jpg.*put the pictures there.*'val2017/'"):
        scanned(written(tmp_path, coco(), pictures=()))


def test_one_picture_that_is_nowhere_is_planned_where_it_should_be(tmp_path):
    body = coco()
    body["images"].append({"id": 2, "file_name": "000000000002.jpg", **SIZE})
    assert scanned(written(tmp_path, body))[1].file_names == ("val2017/000000000002.jpg",)


def test_a_name_that_climbs_names_no_file(tmp_path):
    body = coco()
    body["images"].append({"id": 2, "file_name": "../../etc/passwd", **SIZE})
    body["annotations"].append({"id": 13, "image_id": 2, "category_id": 90, "segmentation": SQUARE})
    media = scanned(written(tmp_path, body))[1]
    assert media.file_names == ()
    assert media.objects[0].reason == "bad_path"


def test_a_video_file_is_told_from_an_image_file(tmp_path):
    root = written(tmp_path, {"videos": [], "annotations": [], "categories": []})
    with pytest.raises(UserError, match="--dataset youtube-vis"):
        scanned(root)


def test_an_unknown_option_is_refused_with_those_there_are(tmp_path):
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.open_source import build_source

    root = written(tmp_path, coco())
    settings = load_settings("coco", {"source.root": root}, ["source.crowds=keep"])
    assert build_source(settings).crowds == "keep"
    with pytest.raises(UserError, match=r"source\.crowd: .*did you mean 'crowds'"):
        build_source(load_settings("coco", {"source.root": root}, ["source.crowd=keep"]))


def test_categories_may_be_numbered_from_zero(tmp_path):
    body = coco()
    body["categories"] = [{"id": 0, "name": "leaf"}]
    for annotation in body["annotations"]:
        annotation["category_id"] = 0
    (item,) = scanned(written(tmp_path, body))[0].objects
    assert (item.category_id, item.category, item.reason) == (0, "leaf", None)


@pytest.mark.parametrize("segmentation", [[], None])
def test_an_object_with_a_box_alone_among_masks_fails_with_what_to_do(tmp_path, segmentation):
    body = coco()
    body["annotations"].append(
        {"id": 13, "image_id": 1, "category_id": 90, "segmentation": segmentation, "bbox": [1, 1, 2, 2]}
    )
    root = written(tmp_path, body)
    good, bare = decode_media(scanned(root)[0], root).objects
    assert good.fault is None
    assert (bare.fault.reason, "no mask" in bare.fault.message) == ("empty_mask", True)
    assert "--dataset boxes" in bare.fault.message


def test_a_picture_may_be_a_frame_of_a_video_file(tmp_path):
    write_video(tmp_path / "val2017" / "a.mp4", 4, size=(6, 8))
    root = written(tmp_path, coco(file_name="a.mp4#3"), pictures=())
    (media,) = scanned(root)
    assert media.file_names == ("val2017/a.mp4#3",)
    assert abs(int(load_frame(decode_media(media, root), 0).mean()) - level(3)) < 12
