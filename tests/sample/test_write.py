"""The sample world on disk: the releases' formats, whole or not at all, the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
import re

import cv2
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco

from capgen import rle
from capgen.errors import UserError
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.lvvis import LvVis
from capgen.sample.scene import image_scene, video_scene
from capgen.sample.write import write_world

IMAGES, VIDEOS, SEED = 46, 6, 11


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("worlds") / "world"
    write_world(folder, images=IMAGES, videos=VIDEOS, seed=SEED)
    return folder


def load(path):
    return json.loads(path.read_text(encoding="utf-8"))


def digests(folder):
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_same_seed_writes_the_same_files(world, tmp_path):
    write_world(tmp_path / "again", images=IMAGES, videos=VIDEOS, seed=SEED)
    assert digests(tmp_path / "again") == digests(world)


def test_a_smaller_world_holds_the_first_scenes_of_a_larger_one(world, tmp_path):
    write_world(tmp_path / "small", images=10, videos=2, seed=SEED)
    large, small = digests(world), digests(tmp_path / "small")
    pictures = {name for name in small if name.endswith(".jpg")}
    assert len(pictures) == 10 + 2 * 12
    assert all(large[name] == small[name] for name in pictures)
    facts, few = load(world / "facts.json")["objects"], load(tmp_path / "small" / "facts.json")["objects"]
    assert few
    assert {key: facts[key] for key in few} == few


@pytest.mark.parametrize("split", ["train", "val"])
def test_lvis_files_have_the_keys_of_the_release(world, shared, split):
    ours, theirs = load(world / f"lvis/lvis_v1_{split}.json"), load(shared / "data/lvis_mini/lvis_v1_val.json")
    assert set(ours) == set(theirs)
    for section in ("annotations", "categories"):
        assert {frozenset(row) for row in ours[section]} == {frozenset(theirs[section][0])}
    of_images = {*theirs["images"][0], "file_name"} - {"coco_url"}
    assert {frozenset(row) for row in ours["images"]} == {frozenset(of_images)}
    assert all(re.fullmatch(r"(train|val)2017/\d{12}\.jpg", row["file_name"]) for row in ours["images"])


def test_nothing_in_a_sample_world_gives_an_address_of_coco(world):
    assert not [file for file in world.rglob("*.json") if b"cocodataset" in file.read_bytes()]


def test_val_draws_on_both_folders_and_some_pictures_are_empty(world):
    rows = {split: load(world / f"lvis/lvis_v1_{split}.json") for split in ("train", "val")}
    folders = {split: {row["file_name"].split("/")[-2] for row in body["images"]} for split, body in rows.items()}
    assert folders == {"train": {"train2017"}, "val": {"train2017", "val2017"}}
    assert [len(rows[split]["images"]) for split in ("train", "val")] == [36, 10]
    empty = [
        row["id"]
        for body in rows.values()
        for row in body["images"]
        if all(note["image_id"] != row["id"] for note in body["annotations"])
    ]
    assert empty == [18]


def test_polygons_decode_to_the_visible_mask(world):
    for split in ("train", "val"):
        body = load(world / f"lvis/lvis_v1_{split}.json")
        sizes = {row["id"]: (row["height"], row["width"]) for row in body["images"]}
        scenes = {}
        for row in body["annotations"]:
            number = row["image_id"]
            objects = scenes.setdefault(number, list(image_scene(SEED, number - 1).objects))
            truth = objects.pop(0).masks[0]
            decoded = coco.decode(coco.merge(coco.frPyObjects(row["segmentation"], *sizes[number]))).astype(bool)
            assert (decoded & truth).sum() / (decoded | truth).sum() > 0.9
            assert row["area"] == truth.sum()
            assert row["bbox"] == list(rle.box(rle.encode(truth), sizes[number]))
            assert all(len(polygon) >= 6 and len(polygon) % 2 == 0 for polygon in row["segmentation"])


def test_categories_are_counted_in_train(world):
    train, val = (load(world / f"lvis/lvis_v1_{split}.json") for split in ("train", "val"))
    assert train["categories"] == val["categories"]
    assert sum(row["instance_count"] for row in train["categories"]) == len(train["annotations"])
    assert [row["id"] for row in train["categories"]] == list(range(1, 21))
    assert {row["frequency"] for row in train["categories"]} == {"r", "c", "f"}
    assert all(row["synonyms"][0] == row["name"] for row in train["categories"])


def test_negative_categories_are_not_in_the_picture(world):
    body = load(world / "lvis/lvis_v1_train.json")
    for row in body["images"]:
        present = {note["category_id"] for note in body["annotations"] if note["image_id"] == row["id"]}
        assert len(row["neg_category_ids"]) == 3
        assert not present & set(row["neg_category_ids"])


def test_lv_vis_tracks_are_the_masks_of_the_scene_with_nulls(world):
    nulls = 0
    for split in ("train", "val"):
        body = load(world / f"lv-vis/{split}_instances.json")
        for video in body["videos"]:
            scene = video_scene(SEED, video["id"])
            tracks = [row for row in body["annotations"] if row["video_id"] == video["id"]]
            assert len(tracks) == len(scene.objects)
            for row, item in zip(tracks, scene.objects, strict=True):
                for k, mask in enumerate(item.masks):
                    part = row["segmentations"][k]
                    assert (part is None) == (row["areas"][k] is None) == (row["bboxes"][k] is None)
                    nulls += part is None
                    if part:
                        assert (rle.decode(part["counts"], tuple(part["size"])) == mask).all()
                        assert row["areas"][k] == mask.sum()
                    else:
                        assert not mask.any()
            frames = [world / "lv-vis" / split / "JPEGImages" / name for name in video["file_names"]]
            assert [cv2.imread(str(path)).shape for path in frames] == [(240, 320, 3)] * 12
    assert nulls


def test_the_pipelines_readers_read_every_object(world):
    """Keys of the facts are the keys that the sources give."""
    keys = {
        item.key
        for source in (Lvis(world / "lvis"), LvVis(world / "lv-vis"))
        for planned in source.scan()
        for item in decode_media(planned, "").objects
        if item.fault is None
    }
    assert keys == set(load(world / "facts.json")["objects"])


def test_facts_say_what_the_scene_says(world):
    body = load(world / "facts.json")
    assert (body["version"], body["seed"]) == (1, SEED)
    for key, fact in body["objects"].items():
        assert fact["kind"] == ("image" if key.startswith("lvis/") else "video")
        assert fact["category"].replace("_", " ") in fact["caption"]
        assert fact["colour"] in fact["caption"]
        assert 0 < fact["area"] < 1
        assert 0 <= fact["hidden"] < 1
        for name in ("category", "colour", "texture", "size"):
            assert fact[name] in body["vocabulary"][name]
        assert fact["motion"] is None or fact["motion"] in body["vocabulary"]["motion"]
    assert len({fact["category"] for fact in body["objects"].values()}) > 15


def test_pictures_on_disk_are_the_frames_that_training_sees(world):
    with Image.open(world / "lvis/train2017/000000000002.jpg") as image:
        assert np.abs(np.asarray(image).astype(int) - image_scene(SEED, 1).frames[0]).max() <= 2


def test_only_what_was_asked_for_is_written(tmp_path):
    summary = write_world(tmp_path / "one", images=1, videos=0, seed=0)
    assert (summary.images, summary.videos, summary.video_objects) == (1, 0, 0)
    assert str(summary).startswith("1 image with ")
    assert "videos" not in str(summary)
    assert sorted(path.name for path in (tmp_path / "one").iterdir()) == ["facts.json", "lvis"]
    assert len(load(tmp_path / "one/lvis/lvis_v1_val.json")["images"]) == 1
    assert load(tmp_path / "one/lvis/lvis_v1_train.json")["images"] == []


def test_progress_counts_every_scene(tmp_path):
    told = []
    write_world(tmp_path / "w", images=2, videos=1, seed=0, progress=lambda *numbers: told.append(numbers))
    assert told == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("counts", "names"),
    [
        ({"images": -1, "videos": 2, "seed": 0}, "--images -1"),
        ({"images": 1, "videos": -2, "seed": 0}, "--videos -2"),
        ({"images": 1, "videos": 1, "seed": -3}, "--seed -3"),
        ({"images": 0, "videos": 0, "seed": 0}, "0 images and 0 videos"),
    ],
)
def test_bad_numbers_are_refused_in_one_line_before_anything_is_written(tmp_path, counts, names):
    with pytest.raises(UserError, match=names) as caught:
        write_world(tmp_path / "w", **counts)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2
    assert not (tmp_path / "w").exists()


def test_a_folder_with_other_things_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        write_world(tmp_path, images=1, videos=0, seed=0)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(UserError, match="is a file"):
        write_world(tmp_path / "mine.txt", images=1, videos=0, seed=0)
    with pytest.raises(UserError, match="cannot write"):
        write_world(tmp_path / "mine.txt" / "inside", images=1, videos=0, seed=0)


def test_an_interrupted_world_is_not_whole_and_is_finished_by_the_same_command(tmp_path):
    def interrupt(done, total):
        if done == 2:
            raise KeyboardInterrupt

    folder = tmp_path / "w"
    with pytest.raises(KeyboardInterrupt):
        write_world(folder, images=3, videos=0, seed=4, progress=interrupt)
    assert not (folder / "facts.json").exists()
    with pytest.raises(UserError, match="unfinished sample world of other numbers"):
        write_world(folder, images=4, videos=0, seed=4)
    write_world(folder, images=3, videos=0, seed=4)
    write_world(tmp_path / "whole", images=3, videos=0, seed=4)
    assert digests(folder) == digests(tmp_path / "whole")
