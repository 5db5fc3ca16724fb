"""``tracks.json`` of ``capgen predict`` as a source: of a video file, of a folder, of boxes alone."""

import json

import pytest

from capgen.errors import MissingFile
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.tracks import PredictedTracks
from tests.pipeline.sources.files import areas, picture
from tests.pipeline.sources.images.test_sa_1b import OTHER, WHOLE
from tests.test_video_frames import write_video


def tracks(**video):
    return {
        "info": {"description": "capgen"},
        "videos": [
            {
                "id": 1,
                "name": "clip.mp4",
                "width": 8,
                "height": 6,
                "length": 2,
                "fps": 10.0,
                "frame_numbers": [0, 3],
                "times": [0.0, 0.3],
                **video,
            }
        ],
        "categories": [{"id": 4, "name": "cup"}],
        "annotations": [
            {
                "id": 1,
                "video_id": 1,
                "category_id": 4,
                "score": 0.9,
                "caption": "A cup.",
                "bboxes": [[0, 0, 4, 4], None],
                "segmentations": [WHOLE, None],
                "areas": [16, None],
            },
            {
                "id": 2,
                "video_id": 1,
                "category_id": 4,
                "score": 0.2,
                "bboxes": [None, [4, 4, 4, 2]],
                "areas": [None, 8],
            },
        ],
    }


def written(root, body=None, file="tracks.json"):
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_text(json.dumps(body or tracks()))
    return root


def test_the_frames_are_those_of_the_video_that_was_looked_at(tmp_path):
    write_video(tmp_path / "clip.mp4", 4, size=(6, 8))
    (media,) = PredictedTracks(written(tmp_path)).scan()
    assert (media.split, media.file_names) == ("tracks", ("clip.mp4#0", "clip.mp4#3"))
    assert areas(media, tmp_path) == {"1": (16, None), "2": (None, None)}
    assert decode_media(media, tmp_path).objects[1].boxes == (None, (4.0, 4.0, 4.0, 2.0))
    assert [item.category for item in media.objects] == ["cup", "cup"]


def test_weak_tracks_are_left_out_and_counted(tmp_path):
    write_video(tmp_path / "clip.mp4", 4, size=(6, 8))
    (media,) = PredictedTracks(written(tmp_path), min_score=0.5).scan()
    assert [item.object_id for item in media.objects] == ["1"]
    assert media.left_out == {"score": 1}


@pytest.mark.parametrize("folder", ["", "holiday/"])
def test_a_folder_of_frames_is_found_with_and_without_its_name(tmp_path, folder):
    for name in ("a.jpg", "b.jpg"):
        picture(tmp_path / f"{folder}{name}")
    body = tracks(name="holiday", file_names=["a.jpg", "b.jpg"])
    (media,) = PredictedTracks(written(tmp_path, body)).scan()
    assert media.file_names == (f"{folder}a.jpg", f"{folder}b.jpg")


def test_predictions_of_several_videos_are_splits(tmp_path):
    write_video(tmp_path / "clip.mp4", 4, size=(6, 8))
    for name in ("one", "two"):
        written(tmp_path, file=f"{name}/tracks.json")
    assert [media.split for media in PredictedTracks(tmp_path).scan()] == ["one", "two"]


def test_a_class_agnostic_model_has_no_categories(tmp_path):
    write_video(tmp_path / "clip.mp4", 4, size=(6, 8))
    body = tracks() | {"categories": []}
    (media,) = PredictedTracks(written(tmp_path, body)).scan()
    assert [(item.category, item.reason) for item in media.objects] == [(None, None), (None, None)]


def test_a_video_that_is_not_below_the_root_is_said(tmp_path):
    with pytest.raises(MissingFile, match=r"clip\.mp4|videos' frames or files"):
        list(PredictedTracks(written(tmp_path)).scan())


def test_masks_and_boxes_may_stand_in_one_file(tmp_path):
    write_video(tmp_path / "clip.mp4", 4, size=(6, 8))
    body = tracks()
    body["annotations"][1]["segmentations"] = [None, OTHER]
    (media,) = PredictedTracks(written(tmp_path, body)).scan()
    assert areas(media, tmp_path)["2"] == (None, 8)
