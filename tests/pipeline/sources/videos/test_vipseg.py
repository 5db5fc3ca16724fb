"""VIPSeg: a segment's id is one object through the video."""

import pytest

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.videos.vipseg import VipSeg
from tests.pipeline.sources.files import areas, coloured, picture, put, square

CATEGORIES = [{"id": 61, "name": "person", "isthing": 1}, {"id": 3, "name": "sky", "isthing": 0}]


def vipseg():
    names = ["00000290.jpg", "00000295.jpg"]
    segments = [
        [{"id": 9000, "category_id": 61, "iscrowd": 0}, {"id": 3, "category_id": 3, "iscrowd": 0}],
        [{"id": 9000, "category_id": 61, "iscrowd": 0}, {"id": 9001, "category_id": 61, "iscrowd": 0}],
    ]
    return {
        "videos": [
            {
                "video_id": "12_ab",
                "images": [{"id": n[:-4], "width": 8, "height": 6, "file_name": n} for n in names],
            }
        ],
        "annotations": [
            {
                "video_id": "12_ab",
                "annotations": [
                    {"image_id": n[:-4], "file_name": n[:-4] + ".png", "segments_info": found}
                    for n, found in zip(names, segments, strict=True)
                ],
            }
        ],
        "categories": CATEGORIES,
    }


def written(root, body=None, base="", frames="images"):
    for number, ids in enumerate(
        (square(9000) + square(3, at=(0, 5)), square(9000, at=(3, 1)) + square(9001, at=(0, 5)))
    ):
        name = ("00000290", "00000295")[number]
        picture(root / base / frames / "12_ab" / f"{name}.jpg")
        coloured(root / base / "panomasksRGB" / "12_ab" / f"{name}.png", ids)
    return put(root / base, "panoptic_gt_VIPSeg_val.json", body or vipseg()) and root


@pytest.mark.parametrize("base", ["", "VIPSeg_720P"])
@pytest.mark.parametrize("frames", ["images", "imgs"])
def test_a_segment_is_one_object_through_the_video(tmp_path, base, frames):
    (media,) = VipSeg(written(tmp_path, base=base, frames=frames)).scan()
    assert (media.split, media.media_id, len(media.file_names)) == ("val", "12_ab", 2)
    assert areas(media, tmp_path) == {"9000": (9, 9), "9001": (None, 9)}
    assert media.left_out == {"stuff": 1}


def test_stuff_is_kept_where_it_is_wanted(tmp_path):
    (media,) = VipSeg(written(tmp_path), stuff="keep").scan()
    assert areas(media, tmp_path)["3"] == (9, None)


def test_frames_and_masks_may_have_other_suffixes_than_the_file_says(tmp_path):
    body = vipseg()
    for image in body["videos"][0]["images"]:
        image["file_name"] = image["file_name"].replace(".jpg", ".png")
    for frame in body["annotations"][0]["annotations"]:
        frame["file_name"] = frame["file_name"].replace(".png", ".jpg")
    (media,) = VipSeg(written(tmp_path, body)).scan()
    assert media.file_names[0].endswith("12_ab/00000290.jpg")
    assert areas(media, tmp_path)["9000"] == (9, 9)


def test_segments_of_a_video_or_frame_that_is_not_listed_are_accounted_for(tmp_path):
    body = vipseg()
    body["annotations"][0]["annotations"][0]["image_id"] = "elsewhere"
    body["annotations"].append({"video_id": "none", "annotations": body["annotations"][0]["annotations"]})
    media = list(VipSeg(written(tmp_path, body)).scan())
    assert areas(media[0], tmp_path) == {"9000": (None, 9), "9001": (None, 9)}
    assert {item.reason for item in media[1].objects} == {"unknown_media"}


def test_masks_that_are_not_there_and_files_of_another_kind_are_said(tmp_path):
    put(tmp_path, "panoptic_gt_VIPSeg_val.json", vipseg())
    with pytest.raises(MissingFile, match="panomasksRGB"):
        list(VipSeg(tmp_path).scan())
    put(tmp_path, "panoptic_gt_VIPSeg_val.json", {"images": [], "annotations": []})
    with pytest.raises(UserError, match="--dataset coco-panoptic"):
        list(VipSeg(tmp_path).scan())
