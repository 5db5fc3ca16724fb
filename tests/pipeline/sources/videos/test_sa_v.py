"""SA-V: mp4 with JSON masklets on every fourth frame, and the frames and mask PNGs of val and test."""

import json
import os

import pytest

from capgen.errors import MissingFile, UnknownName
from capgen.pipeline.rendering.frames import load_frame
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos import sa_v
from capgen.pipeline.sources.videos.sa_v import SaV
from tests.pipeline.sources.files import areas, palette, picture, square
from tests.pipeline.sources.images.test_sa_1b import OTHER, PART, WHOLE
from tests.test_video_frames import level, write_video

EMPTY = {"size": [6, 8], "counts": "`1"}
"""Run lengths without a pixel, as the release has them where an object is not visible."""


def masklets(**more):
    return {
        "video_id": "sav_000001",
        "video_duration": 0.375,
        "video_frame_count": 9.0,
        "video_height": 6.0,
        "video_width": 8.0,
        "masklet": [[WHOLE, EMPTY], [PART, OTHER], [EMPTY, OTHER]],
        "masklet_id": [0, 1],
        **more,
    }


def written(root, body=None, folder="", kind="manual"):
    write_video(root / folder / "sav_000001.mp4", 9, size=(6, 8))
    (root / folder / f"sav_000001_{kind}.json").write_text(json.dumps(body or masklets()))
    return root


def scanned(root, **options):
    return list(SaV(root, **options).scan())


@pytest.mark.parametrize("folder", ["", "sav_000", "sav_train/sav_000"])
def test_masks_are_those_of_every_fourth_frame(tmp_path, folder):
    (media,) = scanned(written(tmp_path, folder=folder))
    name = f"{folder}/sav_000001.mp4" if folder else "sav_000001.mp4"
    assert (media.split, media.media_id, media.width, media.height) == ("train", "sav_000001", 8, 6)
    assert media.file_names == tuple(f"{name}#{i}" for i in (0, 4, 8))
    assert areas(media, tmp_path) == {"manual_0": (16, 8, None), "manual_1": (None, 8, 8)}


def test_the_frame_that_is_shown_is_the_one_that_was_annotated(tmp_path):
    media = decode_media(scanned(written(tmp_path))[0], tmp_path)
    for index, number in enumerate((0, 4, 8)):
        assert abs(int(load_frame(media, index).mean()) - level(number)) < 12


def test_frames_between_the_annotated_ones_are_shown_where_that_is_wanted(tmp_path):
    (media,) = scanned(written(tmp_path), unannotated="show")
    assert len(media.file_names) == 9
    assert areas(media, tmp_path)["manual_0"] == (16, None, None, None, 8, None, None, None, None)


def test_automatic_masklets_are_added_where_they_are_wanted(tmp_path):
    root = written(tmp_path)
    (root / "sav_000001_auto.json").write_text(json.dumps(masklets()))
    assert list(areas(scanned(root, masklets="auto")[0], root)) == ["auto_0", "auto_1"]
    both = areas(scanned(root, masklets="both")[0], root)
    assert list(both) == ["manual_0", "manual_1", "auto_0", "auto_1"]


def test_frames_that_somebody_has_extracted_are_used(tmp_path):
    root = written(tmp_path)
    (root / "sav_000001.mp4").unlink()
    for number in range(9):
        picture(root / "sav_000001" / f"{number:05d}.jpg")
    assert scanned(root)[0].file_names == tuple(f"sav_000001/0000{i}.jpg" for i in (0, 4, 8))


@pytest.mark.parametrize(
    "more", [{"video_frame_count": 30.0}, {"video_height": None}, {"masklet": []}, {"video_width": 8.5}]
)
def test_a_file_that_does_not_say_which_frames_are_meant_plans_none(tmp_path, more):
    (media,) = scanned(written(tmp_path, masklets(**more)))
    assert media.file_names == ()
    assert {item.reason for item in media.objects} <= {"bad_frames"}


@pytest.mark.parametrize("text", ["", "[]", '{"masklet": 7}'])
def test_a_damaged_file_is_one_failed_object(tmp_path, text):
    root = written(tmp_path)
    (root / "sav_000001_manual.json").write_text(text)
    assert [item.reason for item in scanned(root)[0].objects] == ["bad_annotation"]


def val(root, base="sav_val"):
    for number in range(9):
        picture(root / base / "JPEGImages_24fps" / "sav_000262" / f"{number:05d}.jpg")
    for obj, corner in (("000", (0, 0)), ("001", (2, 2))):
        for number in (0, 4, 8):
            palette(root / base / "Annotations_6fps" / "sav_000262" / obj / f"{number:05d}.png", square(1, at=corner))
    return root


@pytest.mark.parametrize("base", ["sav_val", ""])
def test_val_has_a_folder_of_masks_for_each_object_and_they_may_overlap(tmp_path, base):
    root = val(tmp_path / "sav_val", "") if not base else val(tmp_path)
    (media,) = scanned(root)
    prefix = f"{base}/" if base else ""
    assert media.split == "val"
    assert media.file_names == tuple(f"{prefix}JPEGImages_24fps/sav_000262/0000{i}.jpg" for i in (0, 4, 8))
    assert areas(media, root) == {"000": (9, 9, 9), "001": (9, 9, 9)}
    assert len(scanned(root, unannotated="show")[0].file_names) == 9


def test_train_and_val_are_splits_of_one_root(tmp_path):
    written(tmp_path, folder="sav_train/sav_000")
    val(tmp_path)
    assert [media.split for media in scanned(tmp_path)] == ["train", "val"]
    assert [media.split for media in scanned(tmp_path, split="val")] == ["val"]
    with pytest.raises(UnknownName, match="test"):
        scanned(tmp_path, split="test")


def test_a_folder_of_something_else_is_refused(tmp_path):
    with pytest.raises(MissingFile, match="beside its mp4"):
        scanned(tmp_path)


def test_the_listing_has_every_file_that_says_what_there_is(tmp_path):
    written(tmp_path, folder="sav_train")
    val(tmp_path)
    assert len(list(SaV(tmp_path).listing())) == 1 + 6


def test_its_parts_together_are_the_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sa_v, "_PART_VIDEOS", 1)
    written(tmp_path, folder="sav_000")
    written(tmp_path, folder="sav_001")
    val(tmp_path)
    source = sa_v.SaV(tmp_path)
    parts = source.parts()
    assert [(part.split, len(part.videos)) for part in parts] == [("train", 1), ("train", 1), ("val", 0)]
    whole, found = list(source.scan()), [medium for part in parts for medium in part.scan()]
    assert [one.objects for one in found] == [one.objects for one in whole]
    assert [one.split for one in found] == [one.split for one in whole]


@pytest.mark.parametrize("lay", ["link", "pipe"])
def test_masklets_behind_a_link_out_of_the_bounds_or_a_pipe_are_not_read(tmp_path, lay):
    root = written(tmp_path / "root")
    file = root / "sav_000001_manual.json"
    file.rename(tmp_path / "secret.json")
    os.mkfifo(file) if lay == "pipe" else file.symlink_to(tmp_path / "secret.json")
    (media,) = scanned(root, bounds=root if lay == "link" else None)
    assert [item.reason for item in media.objects] == ["bad_path" if lay == "link" else "bad_annotation"]
