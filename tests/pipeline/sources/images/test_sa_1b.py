"""SA-1B: a JSON beside each picture, no categories, filters on what the file says of a mask, planning file by file."""

import json
import os

import numpy as np
import pytest
from pycocotools import mask as coco

from capgen.errors import MissingFile, UnknownName
from capgen.pipeline.sources.images.sa_1b import Sa1b
from tests.pipeline.sources.files import areas, picture


def encoded(*corners, size=(6, 8)):
    top, left, bottom, right = corners
    bitmap = np.zeros(size, np.uint8, order="F")
    bitmap[top:bottom, left:right] = 1
    found = coco.encode(bitmap)
    return {"size": list(size), "counts": found["counts"].decode()}


WHOLE, PART, OTHER = encoded(0, 0, 4, 4), encoded(0, 0, 2, 4), encoded(4, 4, 6, 8)


def annotation(number, segmentation, **more):
    return {
        "id": number,
        "segmentation": segmentation,
        "bbox": [0, 0, 1, 1],
        "area": 1,
        "predicted_iou": 0.9,
        "stability_score": 0.95,
        "crop_box": [0, 0, 8, 6],
        "point_coords": [[1.0, 1.0]],
        **more,
    }


def written(root, *annotations, number=223750, folder="", **image):
    body = {
        "image": {"image_id": number, "width": 8, "height": 6, "file_name": f"sa_{number}.jpg", **image},
        "annotations": list(annotations) or [annotation(1, WHOLE), annotation(2, PART), annotation(3, OTHER)],
    }
    picture(root / folder / f"sa_{number}.jpg")
    (root / folder / f"sa_{number}.json").write_text(json.dumps(body))
    return root


def scanned(root, **options):
    return list(Sa1b(root, **options).scan())


def test_each_json_is_a_picture_with_masks_that_have_no_category(tmp_path):
    (media,) = scanned(written(tmp_path))
    assert (media.split, media.media_id, media.file_names) == ("train", "223750", ("sa_223750.jpg",))
    assert areas(media, tmp_path) == {"1": (16,), "2": (8,), "3": (8,)}
    assert {item.category for item in media.objects} == {None}


def test_folders_of_the_release_are_one_split_or_splits_of_their_own(tmp_path):
    written(tmp_path, folder="sa_000000", number=1)
    written(tmp_path, folder="sa_000001", number=2)
    assert [(one.split, one.folder, one.media_id) for one in scanned(tmp_path)] == [
        ("train", "sa_000000", "1"),
        ("train", "sa_000001", "2"),
    ]
    assert [one.split for one in scanned(tmp_path, split="sa_000001")] == ["sa_000001"]
    with pytest.raises(UnknownName, match="sa_000002"):
        scanned(tmp_path, split="sa_000002")


def test_masks_below_a_score_are_left_out_and_counted(tmp_path):
    root = written(
        tmp_path,
        annotation(1, WHOLE, predicted_iou=0.5),
        annotation(2, PART, stability_score=0.5),
        annotation(3, OTHER),
    )
    (media,) = scanned(root, min_predicted_iou=0.8, min_stability=0.9)
    assert [item.object_id for item in media.objects] == ["3"]
    assert media.left_out == {"predicted_iou": 1, "stability": 1}


def test_parts_of_a_larger_mask_are_left_out_where_that_is_wanted(tmp_path):
    (media,) = scanned(written(tmp_path), max_overlap=0.8)
    assert [item.object_id for item in media.objects] == ["1", "3"]
    assert media.left_out == {"overlap": 1}


def test_a_damaged_mask_hides_no_other(tmp_path):
    bad = {"size": [6, 8], "counts": "~~~"}
    (media,) = scanned(
        written(tmp_path, annotation(1, bad), annotation(2, WHOLE), annotation(3, PART)), max_overlap=0.5
    )
    assert areas(media, tmp_path) == {"1": "bad_mask", "2": (16,)}


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"annotations": 7}', b"\xff", b'{"image": {}}' + b"[" * 9])
def test_a_file_that_is_damaged_is_one_failed_object_and_the_others_go_on(tmp_path, text):
    written(tmp_path, number=1)
    written(tmp_path, number=2)
    (tmp_path / "sa_1.json").write_bytes(text)
    first, second = scanned(tmp_path)
    assert [item.reason for item in first.objects] == ["bad_annotation"]
    assert first.file_names == ()
    assert len(second.objects) == 3


@pytest.mark.parametrize("image", [{"width": 0}, {"width": None}, {"height": "6"}])
def test_a_size_that_is_none_is_a_reason(tmp_path, image):
    (media,) = scanned(written(tmp_path, **image))
    assert {item.reason for item in media.objects} == {"bad_size"}


@pytest.mark.parametrize("name", ["../x.jpg", "/etc/passwd", "other.jpg", None])
def test_the_picture_is_the_one_beside_the_json_whatever_it_says(tmp_path, name):
    assert scanned(written(tmp_path, file_name=name))[0].file_names == ("sa_223750.jpg",)


def test_ids_that_repeat_have_names_of_their_own_and_a_reason(tmp_path):
    (media,) = scanned(written(tmp_path, annotation(1, WHOLE), annotation(1, PART), annotation(None, OTHER)))
    assert [(item.object_id, item.reason) for item in media.objects] == [
        ("1", None),
        ("1~2", "duplicate_id"),
        ("no-id", "bad_id"),
    ]


def test_a_folder_without_json_files_is_refused(tmp_path):
    picture(tmp_path / "sa_1.jpg")
    with pytest.raises(MissingFile, match=r"sa_1\.json.*beside its picture"):
        scanned(tmp_path)


def test_names_and_sizes_of_the_files_make_the_fingerprint(tmp_path):
    from capgen.pipeline.planning.open_source import source_hashes

    root = written(tmp_path, number=1)
    before = source_hashes(Sa1b(root), root)
    assert source_hashes(Sa1b(root), root) == before
    written(tmp_path, number=2)
    assert source_hashes(Sa1b(root), root) != before


@pytest.mark.parametrize("lay", ["link", "pipe"])
def test_masks_behind_a_link_out_of_the_bounds_or_a_pipe_are_not_read(tmp_path, lay):
    root = written(tmp_path / "root", folder="sa_000001")
    file = root / "sa_000001" / "sa_223750.json"
    file.rename(tmp_path / "secret.json")
    os.mkfifo(file) if lay == "pipe" else file.symlink_to(tmp_path / "secret.json")
    (media,) = scanned(root, bounds=root if lay == "link" else None)
    assert [item.reason for item in media.objects] == ["bad_annotation"]
