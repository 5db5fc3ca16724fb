from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from capgen.dataset.plan import PlannedMedia
from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.lvvis import LvVis
from tests.pipeline.sources.files import (
    RLE,
    SHARED,
    check_accounts,
    damaged,
    lvis,
    lvvis,
    lvvis_root,
    mutated,
    put,
    reasons,
)
from tests.test_video_frames import write_video


def scan(root: Path, split: str = "all") -> list[PlannedMedia]:
    return list(LvVis(root, split).scan())


def scanned(root: Path, data: object) -> list[PlannedMedia]:
    return scan(lvvis_root(root, data))


def test_videos_come_with_their_tracks_and_frames(tmp_path: Path) -> None:
    media = scanned(tmp_path, lvvis())
    assert [[item.object_id for item in medium.objects] for medium in media] == [["1", "2"], ["3"], []]
    assert media[0].file_names == ("00000/00000.jpg", "00000/00001.jpg")
    assert {(medium.folder, medium.kind) for medium in media} == {("train/JPEGImages", "video")}
    assert set(reasons(media).values()) == {None}


def test_categories_are_mapped_by_the_list_not_by_position(tmp_path: Path) -> None:
    tracks = scanned(tmp_path, lvvis())[0].objects
    assert [(track.category_id, track.category) for track in tracks] == [(7, "wallet"), (9, "sea_lion")]


def test_null_segmentations_are_frames_on_which_the_track_is_not_visible(tmp_path: Path) -> None:
    tracks = decode_media(scanned(tmp_path, lvvis())[0], tmp_path).objects
    assert [track.visible for track in tracks] == [(0,), (1,)]
    assert tracks[0].counts[1] is tracks[0].boxes[1] is tracks[0].areas[1] is None


def test_a_track_that_is_never_visible_fails_with_a_reason(tmp_path: Path) -> None:
    data = lvvis()
    data["annotations"][0]["segmentations"] = [None, None]
    data["annotations"][1]["segmentations"] = None
    tracks = decode_media(scanned(tmp_path, data)[0], tmp_path).objects
    assert [track.fault and track.fault.reason for track in tracks] == ["empty_mask", "empty_mask"]
    assert [track.counts for track in tracks] == [(None, None), (None, None)]


def test_names_with_backslashes_keep_their_last_two_parts(tmp_path: Path) -> None:
    data = lvvis()
    data["videos"][2]["file_names"] = ["D:\\data\\LVVIS\\train\\JPEGImages\\00002\\00000.jpg"]
    media = scanned(tmp_path, data)
    assert [medium.file_names for medium in media[1:]] == [("00001/00000.jpg",), ("00002/00000.jpg",)]


def test_run_lengths_may_be_text_a_list_or_what_python_writes_for_bytes(tmp_path: Path) -> None:
    made = coco.frPyObjects(RLE, *RLE["size"])["counts"]
    escaped = coco.frPyObjects({"size": [80, 60], "counts": [44, 10, 4746]}, 80, 60)["counts"]
    assert b"\\" in escaped
    data = lvvis()
    spellings = [made.decode(), RLE["counts"], str(made)]
    data["annotations"] = [
        {"id": i, "video_id": 1, "category_id": 7, "segmentations": [{"size": [6, 8], "counts": counts}]}
        for i, counts in enumerate(spellings)
    ]
    big = {"id": 9, "width": 60, "height": 80, "file_names": ["00009/00000.jpg"]}
    data["videos"].append(big)
    data["annotations"] += [
        {"id": i, "video_id": 9, "category_id": 7, "segmentations": [{"size": [80, 60], "counts": counts}]}
        for i, counts in enumerate((escaped.decode(), str(escaped)))
    ]
    media = [decode_media(medium, tmp_path) for medium in scanned(tmp_path, data)]
    assert {item.counts for item in media[1].objects} == {(made.decode(),)}
    assert {item.counts for item in media[3].objects} == {(escaped.decode(),)}


def test_ids_beyond_2_to_the_53_lose_no_digit(tmp_path: Path) -> None:
    data, big = lvvis(), 9_007_199_254_740_993
    data["videos"][0]["id"] = data["annotations"][0]["video_id"] = data["annotations"][1]["video_id"] = big
    data["annotations"][0]["id"] = 2**60 + 1
    assert list(reasons(scanned(tmp_path, data)))[:2] == [f"{big}/{2**60 + 1}", f"{big}/2"]


@pytest.mark.parametrize("annotations", [None, [], "absent"])
def test_a_test_split_has_videos_only(tmp_path: Path, annotations: object) -> None:
    data = lvvis() | {"annotations": annotations}
    if annotations == "absent":
        del data["annotations"]
    (tmp_path / "test" / "JPEGImages").mkdir(parents=True)
    put(tmp_path, "test_instances.json", data)
    media = scan(tmp_path, "test")
    assert [(medium.split, medium.objects) for medium in media] == [("test", ())] * 3


@pytest.mark.parametrize("name", ["val_instances.json", "val_instances_.json", "annotations/val_instances_.json"])
@pytest.mark.parametrize("frames", ["val/JPEGImages", "JPEGImages"])
def test_files_are_found_where_the_releases_put_them(tmp_path: Path, name: str, frames: str) -> None:
    put(tmp_path, name, lvvis())
    (tmp_path / frames).mkdir(parents=True)
    medium = scan(tmp_path)[0]
    assert (medium.split, medium.folder) == ("val", frames)


def test_the_frames_of_an_image_oracle_file_are_those_of_its_split(tmp_path: Path) -> None:
    put(tmp_path, "image_val_instances.json", lvvis())
    (tmp_path / "val" / "JPEGImages").mkdir(parents=True)
    medium = scan(tmp_path, "image_val_instances.json")[0]
    assert (medium.split, medium.folder) == ("image_val", "val/JPEGImages")


def test_what_is_missing_is_said_in_one_line_with_the_expected_path(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/train_instances.json.*train_instances_.json"):
        scan(tmp_path)
    put(tmp_path, "train_instances.json", lvvis())
    with pytest.raises(MissingFile, match=f"missing {tmp_path}/train/JPEGImages"):
        scan(tmp_path)


def test_an_lvis_file_is_told_from_an_lv_vis_one(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train_instances.json is not an LV-VIS file.*'images'.*use --dataset lvis"):
        scanned(tmp_path, lvis())


@pytest.mark.parametrize(
    "names", [None, [], "x", [None], ["../a.jpg"], ["/a.jpg"], ["ok.jpg", "..\\..\\a.jpg"], ["a\0"]]
)
def test_one_bad_frame_name_refuses_the_video(tmp_path: Path, names: object) -> None:
    data = lvvis()
    data["videos"][0]["file_names"] = names
    media = scanned(tmp_path, data)
    assert media[0].file_names == ()
    assert reasons(media) == {"0/1": "bad_path", "0/2": "bad_path", "1/3": None}


def test_tracks_that_name_no_video_are_accounted_for(tmp_path: Path) -> None:
    data = lvvis()
    data["annotations"][0]["video_id"] = 404
    data["annotations"][1]["category_id"] = "7x"
    assert reasons(scanned(tmp_path, data)) == {"0/2": "unknown_category", "1/3": None, "404/1": "unknown_media"}


@pytest.mark.skipif(not SHARED.is_dir(), reason="no ../shared")
def test_the_two_real_clips_have_six_tracks() -> None:
    media = [decode_media(medium, SHARED / "lv-vis_mini") for medium in scan(SHARED / "lv-vis_mini")]
    tracks = [track for medium in media for track in medium.objects]
    assert (len(media), len(tracks), {track.fault for track in tracks}) == (2, 6, {None})
    assert all((Path(medium.root) / name).is_file() for medium in media for name in medium.file_names)
    source = json.loads((SHARED / "lv-vis_mini" / "train_instances.json").read_text())["annotations"]
    for track, row in zip(tracks, source, strict=True):
        assert list(track.counts) == [rle and rle["counts"] for rle in row["segmentations"]]


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_whatever_stands_in_the_file_every_track_is_accounted_for(data: st.DataObject) -> None:
    check_accounts(LvVis, lvvis_root, json.dumps(data.draw(mutated(lvvis()))).encode())


@settings(deadline=None, max_examples=150)
@given(damaged(lvvis()))
def test_a_damaged_file_is_refused_or_accounted_for(text: bytes) -> None:
    check_accounts(LvVis, lvvis_root, text)


def test_a_video_may_be_a_file_whose_frames_the_names_number(tmp_path: Path) -> None:
    write_video(tmp_path / "train" / "JPEGImages" / "00000.mp4", 2, size=(6, 8))
    media = scanned(tmp_path, lvvis())
    assert (media[0].folder, media[0].file_names) == ("train/JPEGImages", ("00000.mp4#0", "00000.mp4#1"))
    assert media[1].file_names == ("00001/00000.jpg",)


def test_a_crowd_is_left_out_and_counted_or_kept(tmp_path):
    data = lvvis()
    data["annotations"][0]["iscrowd"] = 1
    root = lvvis_root(tmp_path, data)
    found = list(LvVis(root).scan())
    assert (sum(len(media.objects) for media in found), found[0].left_out) == (2, {"crowd": 1})
    assert sum(len(media.objects) for media in LvVis(root, crowds="keep").scan()) == 3
