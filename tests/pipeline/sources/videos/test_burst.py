"""BURST: sequences with masks on some of their frames, tracks by text, categories of LVIS."""

import pytest

from capgen.errors import MissingFile, UserError
from capgen.pipeline.sources.videos.burst import Burst
from tests.pipeline.sources.files import areas, picture, put
from tests.pipeline.sources.images.test_sa_1b import OTHER, PART, WHOLE
from tests.test_video_frames import write_video

FRAMES = [f"frame{i:04d}.jpg" for i in (1, 7, 13, 19)]


def burst(**more):
    return {
        "sequences": [
            {
                "id": 3,
                "width": 8,
                "height": 6,
                "seq_name": "v_a-b_scene_0",
                "dataset": "HACS",
                "fps": 6,
                "all_image_paths": FRAMES,
                "annotated_image_paths": [FRAMES[0], FRAMES[2]],
                "track_category_ids": {"1": 805, "2": 95},
                "segmentations": [
                    {"1": {"rle": WHOLE["counts"], "is_gt": True}},
                    {"1": {"rle": PART["counts"], "is_gt": True}, "2": {"rle": OTHER["counts"], "is_gt": False}},
                ],
                **more,
            }
        ],
        "categories": [{"id": 805, "name": "person"}, {"id": 95, "name": "baseball_bat", "synonyms": ["bat"]}],
        "split": "val",
    }


def written(root, body=None, file="val/all_classes.json", frames="frames/val"):
    for name in FRAMES:
        picture(root / frames / "HACS/v_a-b_scene_0" / name)
    return put(root, file, body or burst())


@pytest.mark.parametrize("frames", ["frames/val", "frames", "val", ""])
@pytest.mark.parametrize(
    "file", ["val/all_classes.json", "annotations/val/all_classes.json", "val.json", "val/val.json"]
)
def test_the_annotated_frames_make_the_video(tmp_path, file, frames):
    (media,) = Burst(written(tmp_path, file=file, frames=frames)).scan()
    prefix = f"{frames}/" if frames else ""
    assert (media.split, media.media_id) == ("val", "3")
    assert media.file_names == tuple(f"{prefix}HACS/v_a-b_scene_0/{FRAMES[i]}" for i in (0, 2))
    assert areas(media, tmp_path) == {"1": (16, 8), "2": (None, 8)}
    assert [item.category for item in media.objects] == ["person", "baseball_bat"]


def test_the_other_frames_are_shown_where_that_is_wanted(tmp_path):
    (media,) = Burst(written(tmp_path), unannotated="show").scan()
    assert len(media.file_names) == 4
    assert areas(media, tmp_path) == {"1": (16, None, 8, None), "2": (None, None, 8, None)}


def test_a_track_without_masks_or_category_is_accounted_for(tmp_path):
    body = burst(track_category_ids={"1": 805, "9": 805})
    (media,) = Burst(written(tmp_path, body)).scan()
    assert areas(media, tmp_path) == {"1": (16, 8), "9": "empty_mask", "2": "unknown_category"}


def test_a_damaged_mask_fails_its_track_alone(tmp_path):
    body = burst()
    body["sequences"][0]["segmentations"][1]["2"]["rle"] = "~~"
    (media,) = Burst(written(tmp_path, body)).scan()
    assert areas(media, tmp_path) == {"1": (16, 8), "2": "bad_mask"}


def test_frames_that_are_nowhere_and_other_files_are_said(tmp_path):
    put(tmp_path, "val.json", burst())
    with pytest.raises(MissingFile, match="frames or files"):
        list(Burst(tmp_path).scan())
    put(tmp_path, "val.json", {"videos": []})
    with pytest.raises(UserError, match="--dataset youtube-vis"):
        list(Burst(tmp_path).scan())


@pytest.mark.parametrize(("count", "expected"), [(4, (0, 2)), (20, (0, 12))])
def test_a_video_file_has_all_listed_frames_or_those_that_their_names_number(tmp_path, count, expected):
    write_video(tmp_path / "frames/val/HACS/v_a-b_scene_0.mp4", count, size=(6, 8))
    put(tmp_path, "val.json", burst())
    (media,) = Burst(tmp_path).scan()
    assert media.file_names == tuple(f"frames/val/HACS/v_a-b_scene_0.mp4#{i}" for i in expected)
    assert areas(media, tmp_path) == {"1": (16, 8), "2": (None, 8)}
