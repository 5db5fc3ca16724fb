"""Boxes without masks: shown by box and crop, refused where a mask is needed, released without one."""

import pytest

from capgen.errors import UserError
from capgen.pipeline.sources.images.boxes import Boxes
from capgen.pipeline.sources.images.coco import Coco
from capgen.pipeline.sources.reading.decode import decode_media
from tests.pipeline.sources.files import SQUARE, picture, put


def boxes(**annotation):
    return {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 8, "height": 6}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 5, "bbox": [1, 1, 4, 3], **annotation},
            {"id": 2, "image_id": 1, "category_id": 5, "bbox": [0, 0, 8, 6], "iscrowd": 1},
        ],
        "categories": [{"id": 5, "name": "tie"}],
    }


def written(root, body=None):
    picture(root / "val" / "a.jpg")
    return put(root, "annotations/instances_val.json", body or boxes())


def test_an_object_is_its_box(tmp_path):
    (media,) = Boxes(written(tmp_path)).scan()
    (item,) = decode_media(media, tmp_path).objects
    assert (item.boxes, item.counts, item.areas, item.visible) == (((1.0, 1.0, 4.0, 3.0),), (None,), (None,), (0,))
    assert media.left_out == {"crowd": 1}


@pytest.mark.parametrize("bbox", [None, [], [1, 2], "x", [0, 0, 0, 0], {"x": 1}])
def test_a_box_that_is_none_fails_its_object_alone(tmp_path, bbox):
    (media,) = Boxes(written(tmp_path, boxes(bbox=bbox)), crowds="keep").scan()
    first, second = decode_media(media, tmp_path).objects
    assert first.fault.reason in ("bad_mask", "empty_mask")
    assert second.fault is None


@pytest.mark.parametrize("empty", [[], None, "", {}])
def test_a_file_without_any_mask_is_told_to_coco(tmp_path, empty):
    body = boxes(segmentation=empty)
    with pytest.raises(
        UserError, match="not one of its 2 annotations has a segmentation; for boxes use --dataset boxes"
    ):
        list(Coco(written(tmp_path, body)).scan())


def test_one_mask_makes_it_a_file_of_masks(tmp_path):
    (media,) = Coco(written(tmp_path, boxes(segmentation=SQUARE))).scan()
    assert len(media.objects) == 1


def test_a_prompt_that_needs_masks_is_refused_when_planning(tmp_path):
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.prepare import prepare

    root = written(tmp_path / "data")
    prompt = (tmp_path / "contour.toml").resolve()
    from capgen.resources import resource

    text = resource("prompts", "shared-crop_v1", ".toml").read_text()
    prompt.write_text(text.replace('["crop", "box"]', '["crop", "contour"]'))
    flags = {"source.root": root, "engine.name": "echo"}
    marked = load_settings("boxes", flags | {"prompt.name": str(prompt)})
    said = "marks objects with contour, which needs masks, and the source boxes has boxes only"
    with pytest.raises(UserError, match=said):
        prepare(marked, tmp_path / "out", gpus=0, model=ModelName("echo"))
    _, table = prepare(load_settings("boxes", flags), tmp_path / "out", gpus=0, model=ModelName("echo"))
    assert table.objects == 1


def test_small_boxes_and_masks_are_left_out_where_an_area_is_given(tmp_path):
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.open_source import build_source

    root = written(tmp_path, boxes(segmentation=SQUARE))
    for dataset, area in (("boxes", 12), ("coco", 16)):
        flags = {"source.root": root}
        (media,) = build_source(load_settings(dataset, flags, [f"source.min_area={area}"])).scan()
        assert len(media.objects) == 1
        (media,) = build_source(load_settings(dataset, flags, [f"source.min_area={area + 1}"])).scan()
        assert (media.objects, media.left_out) == ((), {"crowd": 1, "small": 1})
