"""Mask pictures: DAVIS, MOSE, LVOS, YouTube-VOS and one's own folders, of videos and of pictures."""

import json

import numpy as np
import pytest
from PIL import Image

from capgen.dataset.layout import picture_bounds
from capgen.errors import MissingFile, UnknownName, UserError
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.videos.masks import Masks
from tests.pipeline.sources.files import areas, coloured, palette, picture, square
from tests.test_video_frames import write_video
from tests.tiny_runs import three_shards


def sequence(root, *masks, frames="JPEGImages", annotations="Annotations", name="bear", count=None):
    """A video of as many frames as masks, or ``count``; a mask of None has no file."""
    for number in range(count or len(masks)):
        picture(root / frames / name / f"{number:05d}.jpg")
    for number, ids in enumerate(masks):
        if ids is not None:
            palette(root / annotations / name / f"{number:05d}.png", ids)
    return root


def scanned(root, **options):
    return list(Masks(root, **options).scan())


TWO = square(1) + square(2, at=(1, 5))


@pytest.mark.parametrize("size", ["", "/480p", "/Full-Resolution"])
@pytest.mark.parametrize("base", ["", "train/"])
def test_an_index_of_the_palette_is_an_object(tmp_path, size, base):
    root = sequence(tmp_path, TWO, square(2), frames=f"{base}JPEGImages{size}", annotations=f"{base}Annotations{size}")
    (media,) = scanned(root)
    assert (media.split, media.media_id, media.kind) == ("train" if base else "data", "bear", "video")
    assert media.file_names == tuple(f"{base}JPEGImages{size}/bear/0000{i}.jpg" for i in range(2))
    assert areas(media, root) == {"1": (9, None), "2": (9, 9)}


def test_index_255_and_254_are_borders_to_ignore(tmp_path):
    border = square(1, others=255)
    border[0] = 254
    assert areas(scanned(sequence(tmp_path, border, border))[0], tmp_path) == {"1": (9, 9)}


def test_in_a_binary_mask_255_is_the_object(tmp_path):
    for number in range(2):
        picture(tmp_path / "JPEGImages" / "bear" / f"0000{number}.jpg")
        path = tmp_path / "Annotations" / "bear" / f"0000{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(square(255).astype(np.uint8)).save(path)
    assert areas(scanned(tmp_path)[0], tmp_path) == {"1": (9, 9)}


def test_masks_on_the_first_frame_alone_leave_the_others_to_be_shown_unmarked(tmp_path):
    root = sequence(tmp_path, square(1), count=4)
    (media,) = scanned(root)
    assert len(media.file_names) == 4
    assert areas(media, root) == {"1": (9, None, None, None)}
    (media,) = scanned(root, unannotated="drop")
    assert len(media.file_names) == 1


def test_a_palette_that_was_saved_as_colours_gives_an_object_a_colour(tmp_path):
    picture(tmp_path / "JPEGImages" / "bear" / "00000.jpg")
    coloured(tmp_path / "Annotations" / "bear" / "00000.png", square(128) + square(32768, at=(1, 5)))
    assert areas(scanned(tmp_path)[0], tmp_path) == {"128": (9,), "32768": (9,)}


def test_categories_come_from_the_meta_file_of_youtube_vos(tmp_path):
    root = sequence(tmp_path, TWO, frames="train/JPEGImages", annotations="train/Annotations")
    meta = {"videos": {"bear": {"objects": {"1": {"category": "bear", "frames": ["00000"]}, "2": {"category": 7}}}}}
    (root / "train/meta.json").write_text(json.dumps(meta))
    assert [item.category for item in scanned(root)[0].objects] == ["bear", None]
    assert Masks(root).files == (root / "train/meta.json",)


def test_the_lists_of_davis_make_the_splits(tmp_path):
    for name in ("bear", "camel"):
        sequence(tmp_path, square(1), frames="JPEGImages/480p", annotations="Annotations/480p", name=name)
    for split, name in (("train", "bear"), ("val", "camel")):
        (tmp_path / "ImageSets/2017").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"ImageSets/2017/{split}.txt").write_text(f"{name}\n")
    assert [(media.split, media.media_id) for media in scanned(tmp_path)] == [("train", "bear"), ("val", "camel")]
    assert [media.media_id for media in scanned(tmp_path, split="val")] == ["camel"]
    with pytest.raises(UnknownName, match=r"vall.*did you mean 'val'"):
        scanned(tmp_path, split="vall")


def test_a_frame_that_is_missing_is_part_of_the_video_and_fails_what_needs_it(tmp_path):
    root = sequence(tmp_path, square(1), square(1))
    (root / "JPEGImages/bear/00001.jpg").unlink()
    assert scanned(root)[0].file_names == ("JPEGImages/bear/00000.jpg", "JPEGImages/bear/00001.jpg")


def test_a_mask_that_is_damaged_fails_the_objects_of_its_video(tmp_path):
    root = sequence(tmp_path, TWO, square(1))
    (root / "Annotations/bear/00001.png").write_bytes(b"\x89PNG nothing")
    assert areas(scanned(root)[0], root) == {"1": "mask_unreadable", "2": "mask_unreadable"}


def test_a_photograph_is_no_mask(tmp_path):
    ids = np.arange(60 * 80).reshape(60, 80)
    picture(tmp_path / "JPEGImages/bear/00000.jpg", (60, 80))
    coloured(tmp_path / "Annotations/bear/00000.png", ids)
    assert areas(scanned(tmp_path)[0], tmp_path) == {"no-id": "bad_mask"}


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_video_may_be_a_file_whose_frames_the_names_of_the_masks_number(tmp_path, suffix):
    write_video(tmp_path / "JPEGImages" / f"bear.{suffix}", 6, "libvpx" if suffix == "webm" else "mpeg4", size=(6, 8))
    for number in (0, 4):
        palette(tmp_path / "Annotations/bear" / f"{number:05d}.png", square(1))
    (media,) = scanned(tmp_path)
    assert media.file_names == tuple(f"JPEGImages/bear.{suffix}#{i}" for i in range(6))
    assert areas(media, tmp_path) == {"1": (9, None, None, None, 9, None)}
    (media,) = scanned(tmp_path, unannotated="drop")
    assert media.file_names == tuple(f"JPEGImages/bear.{suffix}#{i}" for i in (0, 4))


@pytest.mark.parametrize(
    ("photo", "masks", "expected"),
    [
        ("images/a.jpg", {"masks/a.png": TWO}, {"1": (9,), "2": (9,)}),
        ("images/a.png", {"masks/a.png": square(1)}, {"1": (9,)}),
        ("a.jpg", {"a.png": TWO}, {"1": (9,), "2": (9,)}),
        ("a.jpg", {"a_mask.png": square(255)}, {"1": (9,)}),
        ("a.png", {"a_mask_0.png": square(255), "a_mask_1.png": square(255, at=(3, 4))}, {"0": (9,), "1": (9,)}),
        ("images/a.jpg", {"masks/a_2.png": square(1), "masks/a_7.png": square(1)}, {"2": (9,), "7": (9,)}),
    ],
)
def test_pictures_have_their_masks_in_another_folder_or_beside_them(tmp_path, photo, masks, expected):
    picture(tmp_path / photo)
    for name, ids in masks.items():
        palette(tmp_path / name, ids)
    (media,) = scanned(tmp_path)
    assert (media.kind, media.media_id, media.file_names) == ("image", "a", (photo,))
    assert areas(media, tmp_path) == expected
    assert Masks(tmp_path).kind == "image"


def test_pictures_without_a_mask_are_planned_without_objects(tmp_path):
    picture(tmp_path / "images/a.jpg")
    picture(tmp_path / "images/b.jpg")
    palette(tmp_path / "masks/b.png", square(3))
    assert [len(media.objects) for media in scanned(tmp_path)] == [0, 1]


def test_a_folder_without_masks_is_refused_with_what_belongs_there(tmp_path):
    picture(tmp_path / "a.jpg")
    with pytest.raises(MissingFile, match=r"Annotations.*VIDEO/00000\.png.*beside each other"):
        scanned(tmp_path)


def test_files_that_the_system_leaves_are_no_masks(tmp_path):
    root = sequence(tmp_path, square(1))
    (root / "Annotations/bear/._00000.png").write_bytes(b"x")
    (root / "Annotations/.DS_Store").write_bytes(b"x")
    assert areas(scanned(root)[0], root) == {"1": (9,)}


def test_every_mask_file_counts_for_the_fingerprint(tmp_path):
    root = sequence(tmp_path, square(1), square(1))
    assert [path.name for path in Masks(root).listing()] == ["00000.png", "00001.png"]


def settings_of(root, **source):
    flags = {f"source.{name}": value for name, value in {"root": root, **source}.items()}
    return load_settings("masks", {"model.id": "none", **flags})


def reasons(root, **source):
    """What is wrong with each object of a plan over a root."""
    settings = settings_of(root, **source)
    media = list(build_source(settings).scan())
    bounds = picture_bounds(root, settings.source.follow_links)
    return [item.fault and item.fault.reason for one in media for item in decode_media(one, root, bounds).objects]


@pytest.mark.parametrize("bounded", [True, False])
def test_a_mask_that_is_a_link_out_of_the_bounds_is_not_opened(tmp_path, bounded):
    root = sequence(tmp_path / "root", square(1), square(1))
    palette(tmp_path / "secret.png", square(7))
    inside = root / "Annotations" / "bear" / "00001.png"
    inside.unlink()
    inside.symlink_to(tmp_path / "secret.png")
    media = list(build_source(settings_of(root, follow_links=not bounded)).scan())
    names = {item.object_id for one in media for item in one.objects}
    assert names == ({"1"} if bounded else {"1", "7"}), "what the file holds is not learnt"
    assert reasons(root, follow_links=not bounded) == (["bad_path"] if bounded else [None, None])


def test_masks_beside_pictures_and_frames_are_bounded_too(tmp_path):
    root = tmp_path / "root"
    picture(root / "images" / "a.jpg")
    (root / "masks").mkdir()
    palette(tmp_path / "secret.png", square(7))
    (root / "masks" / "a.png").symlink_to(tmp_path / "secret.png")
    assert reasons(root, follow_links=False) == ["mask_unreadable"]
    assert reasons(root) == [None]
    picture(tmp_path / "b.jpg")
    (root / "images" / "a.jpg").unlink()
    (root / "images" / "a.jpg").symlink_to(tmp_path / "b.jpg")
    assert reasons(root, follow_links=False) == ["bad_path"]


def test_a_source_in_a_runs_folder_is_bounded_by_itself_and_a_plan_cannot_say_otherwise(tmp_path):
    run = three_shards(tmp_path / "out")
    root = sequence(run.out / "world", square(1))
    (tmp_path / "list.txt").write_text("bear\n")
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "val.txt").symlink_to(tmp_path / "list.txt")
    settings = settings_of(root, bounds="/", options={"bounds": "/"})
    with pytest.raises(UserError, match=r"val\.txt is a link out of the root folder; --follow-links allows it"):
        build_source(settings)
    assert build_source(settings_of(root, follow_links=True)).bounds is None
