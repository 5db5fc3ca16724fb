"""YouTube-VIS files and their relatives: frames are found, tracks may be absent on frames, lengths may lie."""

import json

import numpy as np
import pytest
from PIL import Image

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.youtube_vis import YoutubeVis
from tests.pipeline.sources.files import RLE, SQUARE

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
    with pytest.raises(MissingFile, match="put the videos' frames there"):
        scanned(written(tmp_path, youtube_vis(), frames=()))


def test_categories_may_be_missing(tmp_path):
    body = youtube_vis()
    del body["categories"]
    assert scanned(written(tmp_path, body))[0].objects[0].category is None


def test_an_image_file_is_told_from_a_video_file(tmp_path):
    with pytest.raises(UserError, match="--dataset coco"):
        scanned(written(tmp_path, {"images": [], "annotations": []}))
