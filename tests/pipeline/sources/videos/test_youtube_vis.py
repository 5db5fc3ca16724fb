"""YouTube-VIS files and their relatives: frames are found, tracks may be absent on frames, lengths may lie."""

import json

import numpy as np
import pytest
from PIL import Image

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.youtube_vis import YoutubeVis
from tests.pipeline.sources.files import RLE, SQUARE
from tests.test_video_frames import write_video

FRAMES = ("0a/00000.jpg", "0a/00005.jpg")


def youtube_vis(**video):
    size = {"width": 8, "height": 6}
    return {
        "videos": [{"id": 1, "file_names": list(FRAMES), "length": 2, **size, **video}],
        "annotations": [
            {"id": 1, "video_id": 1, "category_id": 3, "segmentations": [RLE, None], "iscrowd": 0, "bboxes": []},
            {"id": 2, "video_id": 1, "category_id": 3, "segmentations": [None, SQUARE], "iscrowd": 1},
        ],
        "categories": [{"id": 3, "name": "fish", "supercategory": "object"}],
    }


def written(root, body, file="train.json", folder="train/JPEGImages", frames=FRAMES):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(body))
    for name in frames:
        path = root / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(path)
    return root


def scanned(root, **options):
    return list(YoutubeVis(root, **options).scan())


@pytest.mark.parametrize(
    ("file", "folder", "split"),
    [
        ("train.json", "train/JPEGImages", "train"),
        ("valid/instances.json", "valid/JPEGImages", "valid"),
        ("annotations_train.json", "train", "train"),
        ("annotations/train.json", "JPEGImages", "train"),
        ("annotations/instances_train.json", "train/JPEGImages", "train"),
        ("VideoDenseSet/UVO_video_train_dense.json", "uvo_videos_dense_frames", "train"),
        ("UVO_sparse_val_video.json", "UVO_Videos/uvo_videos_sparse_frames", "val"),
    ],
)
def test_the_layouts_of_the_owners_are_found(tmp_path, file, folder, split):
    (media,) = scanned(written(tmp_path, youtube_vis(), file, folder))
    assert (media.dataset, media.split, media.kind) == ("youtube-vis", split, "video")
    assert media.file_names == tuple(f"{folder}/{name}" for name in FRAMES)
    assert media.left_out == {"crowd": 1}
    (track,) = decode_media(media, tmp_path).objects
    assert (track.category, track.visible) == ("fish", (0,))


def test_the_frames_count_and_not_the_length(tmp_path):
    (media,) = scanned(written(tmp_path, youtube_vis(length=99)))
    assert len(media.file_names) == 2
    assert decode_media(media, tmp_path).objects[0].fault is None


def test_a_track_of_another_length_fails_alone(tmp_path):
    body = youtube_vis()
    body["annotations"][1] |= {"segmentations": [RLE], "iscrowd": 0}
    objects = decode_media(scanned(written(tmp_path, body))[0], tmp_path).objects
    assert [item.fault and item.fault.reason for item in objects] == [None, "bad_mask"]


def test_frames_that_are_nowhere_are_said_at_once(tmp_path):
    with pytest.raises(MissingFile, match="put the videos' frames or files there"):
        scanned(written(tmp_path, youtube_vis(), frames=()))


def test_categories_may_be_missing(tmp_path):
    body = youtube_vis()
    del body["categories"]
    assert scanned(written(tmp_path, body))[0].objects[0].category is None


def test_an_image_file_is_told_from_a_video_file(tmp_path):
    with pytest.raises(UserError, match="--dataset coco"):
        scanned(written(tmp_path, {"images": [], "annotations": []}))


def of_file(tmp_path, count, suffix="mp4", **video):
    write_video(tmp_path / "train" / "JPEGImages" / f"0a.{suffix}", count, size=(6, 8))
    (tmp_path / "train.json").write_text(json.dumps(youtube_vis(**video)))
    return scanned(tmp_path)[0]


def test_a_video_file_stands_for_the_folder_of_its_name_and_names_number_its_frames(tmp_path):
    media = of_file(tmp_path, 6)
    assert media.file_names == tuple(f"train/JPEGImages/0a.mp4#{i}" for i in (0, 5))


@pytest.mark.parametrize("key", ["file_name", "name", "file_names"])
def test_a_file_that_names_its_video_lists_every_frame_or_every_so_many(tmp_path, key):
    value = ["0a.mp4"] if key == "file_names" else "0a.mp4"
    named = {"file_names": None, key: value}
    assert of_file(tmp_path, 2, **named).file_names == tuple(f"train/JPEGImages/0a.mp4#{i}" for i in (0, 1))
    assert of_file(tmp_path, 9, **named, length=3).file_names == tuple(
        f"train/JPEGImages/0a.mp4#{i}" for i in (0, 3, 6)
    )


def test_a_count_that_fits_no_step_fails_the_video_with_a_reason(tmp_path):
    media = of_file(tmp_path, 9, file_names=None, name="0a.mp4", length=7)
    assert media.file_names == ()
    assert {item.reason for item in media.objects} == {"bad_frames"}
    assert "the annotations have 7 frames, the video 9" in media.objects[0].message


def test_numbers_of_frames_may_be_given(tmp_path):
    media = of_file(tmp_path, 9, file_names=None, name="0a.mp4", frame_numbers=[2, 7])
    assert media.file_names == tuple(f"train/JPEGImages/0a.mp4#{i}" for i in (2, 7))


def test_a_damaged_video_file_is_a_reason(tmp_path):
    (tmp_path / "train" / "JPEGImages").mkdir(parents=True)
    (tmp_path / "train" / "JPEGImages" / "0a.mp4").write_text("no video")
    (tmp_path / "train.json").write_text(json.dumps(youtube_vis(file_names=None, name="0a.mp4")))
    assert {item.reason for item in scanned(tmp_path)[0].objects} == {"picture_unreadable"}
