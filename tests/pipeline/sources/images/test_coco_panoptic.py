"""COCO panoptic: things by the colours of PNGs, stuff and crowds counted, files found where releases put them."""

import pytest

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.images.coco_panoptic import CocoPanoptic
from tests.pipeline.sources.files import areas, coloured, palette, picture, put, square

PERSON, SKY = {"id": 1, "name": "person", "isthing": 1}, {"id": 187, "name": "sky-other-merged", "isthing": 0}
IDS = square(3226956, at=(0, 0)) + square(500, at=(3, 4)) + square(7, at=(3, 0))


def panoptic(**segment):
    return {
        "images": [{"id": 42, "file_name": "000000000042.jpg", "width": 8, "height": 6}],
        "annotations": [
            {
                "image_id": 42,
                "file_name": "000000000042.png",
                "segments_info": [
                    {"id": 3226956, "category_id": 1, "iscrowd": 0, "area": 9, "bbox": [0, 0, 3, 3], **segment},
                    {"id": 500, "category_id": 187, "iscrowd": 0},
                    {"id": 7, "category_id": 1, "iscrowd": 1},
                ],
            }
        ],
        "categories": [PERSON, SKY],
    }


def written(
    root, body=None, file="annotations/panoptic_val2017.json", masks="panoptic_val2017", image="val2017", suffix="jpg"
):
    picture(root / image / f"000000000042.{suffix}")
    coloured(root / masks / "000000000042.png", IDS)
    return put(root, file, body or panoptic())


def scanned(root, **options):
    return list(CocoPanoptic(root, **options).scan())


@pytest.mark.parametrize("masks", ["panoptic_val2017", "annotations/panoptic_val2017"])
@pytest.mark.parametrize("file", ["annotations/panoptic_val2017.json", "panoptic_val2017.json"])
@pytest.mark.parametrize("image", ["val2017", "images/val2017"])
def test_the_folder_as_it_is_released_is_enough(tmp_path, masks, file, image):
    (media,) = scanned(written(tmp_path, None, file, masks, image))
    assert (media.split, media.media_id) == ("val2017", "42")
    assert media.file_names == (f"{image}/000000000042.jpg",)
    assert areas(media, tmp_path) == {"3226956": (9,)}


def test_stuff_and_crowds_are_left_out_and_counted_unless_they_are_wanted(tmp_path):
    root = written(tmp_path)
    assert scanned(root)[0].left_out == {"stuff": 1, "crowd": 1}
    (media,) = scanned(root, stuff="keep", crowds="keep")
    assert media.left_out == {}
    assert areas(media, root) == {"3226956": (9,), "500": (9,), "7": (9,)}
    assert [item.category for item in media.objects] == ["person", "sky-other-merged", "person"]


def test_the_picture_may_have_another_suffix_than_the_file_says(tmp_path):
    assert scanned(written(tmp_path, suffix="png"))[0].file_names == ("val2017/000000000042.png",)


def test_the_mask_may_be_named_as_the_picture(tmp_path):
    body = panoptic()
    body["annotations"][0]["file_name"] = "000000000042.jpg"
    assert areas(scanned(written(tmp_path, body))[0], tmp_path) == {"3226956": (9,)}


def test_a_mask_file_that_was_made_smaller_with_a_palette_has_the_same_objects(tmp_path):
    root = written(tmp_path)
    from PIL import Image

    path = root / "panoptic_val2017/000000000042.png"
    Image.open(path).quantize(16).save(path)
    assert areas(scanned(root)[0], root) == {"3226956": (9,)}


@pytest.mark.parametrize("identity", [0, -1, 2**24, "x", None])
def test_a_segment_whose_id_is_no_colour_has_no_mask(tmp_path, identity):
    found = areas(scanned(written(tmp_path, panoptic(id=identity)))[0], tmp_path)
    assert set(found.values()) <= {"empty_mask", "bad_id"}


def test_a_mask_that_is_missing_costs_only_its_own_objects(tmp_path):
    body = panoptic()
    body["images"].append({"id": 43, "file_name": "000000000043.jpg", "width": 8, "height": 6})
    body["annotations"].append(
        {"image_id": 43, "file_name": "000000000043.png", "segments_info": [{"id": 5, "category_id": 1}]}
    )
    first, second = scanned(written(tmp_path, body))
    assert areas(first, tmp_path) == {"3226956": (9,)}
    assert areas(second, tmp_path) == {"5": "mask_missing"}


def test_a_mask_name_that_climbs_stands_for_its_last_part(tmp_path):
    body = panoptic()
    body["annotations"][0]["file_name"] = "../../000000000042.png"
    (media,) = scanned(written(tmp_path, body))
    assert b".." not in bytes(media.objects[0].segmentation)
    assert areas(media, tmp_path) == {"3226956": (9,)}


@pytest.mark.parametrize("name", ["/etc/passwd", "..\\x.png", "a\0.png", ".."])
def test_a_mask_name_outside_of_the_root_leads_nowhere(tmp_path, name):
    body = panoptic()
    body["annotations"].append({**body["annotations"][0], "image_id": 43, "file_name": name})
    body["images"].append({**body["images"][0], "id": 43})
    second = scanned(written(tmp_path, body))[1]
    assert all(text not in bytes(second.objects[0].segmentation) for text in (b"..", b"etc", b"\0"))
    assert set(areas(second, tmp_path).values()) <= {"mask_missing", "empty_mask"}


def test_a_file_of_instances_and_one_of_videos_are_told(tmp_path):
    body = panoptic()
    del body["annotations"][0]["segments_info"]
    with pytest.raises(UserError, match="--dataset coco"):
        scanned(written(tmp_path, body))
    with pytest.raises(UserError, match="--dataset vipseg"):
        scanned(written(tmp_path, {"videos": []}))


def test_masks_that_were_never_put_there_are_said_at_once(tmp_path):
    put(tmp_path, "annotations/panoptic_val2017.json", panoptic())
    picture(tmp_path / "val2017" / "000000000042.jpg")
    with pytest.raises(
        MissingFile, match=r"000000000042\.png; put the masks' PNGs there \(looked in 'panoptic_val2017/'"
    ):
        scanned(tmp_path)


def test_a_mask_of_another_size_is_a_fault(tmp_path):
    root = written(tmp_path)
    palette(root / "panoptic_val2017/000000000042.png", [[1, 2], [3, 4]])
    assert areas(scanned(root)[0], root) == {"3226956": "mask_size"}


def test_an_entry_that_is_no_list_of_segments_is_counted(tmp_path):
    body = panoptic()
    body["annotations"] += [None, 7, {"image_id": 42}]
    media = scanned(written(tmp_path, body))
    reasons = [item.reason for medium in media for item in medium.objects]
    assert reasons.count("bad_annotation") == 3


@pytest.mark.parametrize(
    ("file", "masks"),
    [
        ("annotations/panoptic_val2017_100.json", "panoptic_val2017"),
        ("annotations/panoptic_val2017_100.json", "annotations/panoptic_val2017"),
        ("mini.json", "panoptic_masks"),
        ("some/mini.json", "some"),
    ],
)
def test_a_part_of_the_set_is_found_with_the_masks_of_the_whole(tmp_path, file, masks):
    from capgen.pipeline.sources.recognise import recognise

    root = written(tmp_path, None, file, masks)
    (found,) = recognise(root)
    (media,) = scanned(root, split=found.split)
    assert areas(media, root) == {"3226956": (9,)}
