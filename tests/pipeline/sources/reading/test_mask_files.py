"""Masks in picture files: indices stay indices, colours are COCO's ids, and what is wrong with a file is its fault."""

import json

import msgspec
import numpy as np
import pytest
from PIL import Image

from capgen import rle
from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.images import PictureFault, read_labels
from capgen.pipeline.sources.reading.decode import decode_media

IDS = np.array([[0, 1, 1], [2, 2, 255]], np.uint8)


def palette(path, ids=IDS):
    image = Image.fromarray(ids, mode="P")
    image.putpalette([value for i in range(256) for value in (i * 7 % 256, i * 13 % 256, 200)])
    image.save(path)
    return path


def coloured(path, ids):
    ids = np.asarray(ids, np.uint32)
    Image.fromarray(np.stack([ids & 255, ids >> 8 & 255, ids >> 16 & 255], -1).astype(np.uint8)).save(path)
    return path


def decoded(root, *frames, kind="image"):
    names = ("a.jpg",) if kind == "image" else tuple(f"{i}.jpg" for i in range(len(frames[0])))
    objects = tuple(
        PlannedObject(object_id=str(i), segmentation=msgspec.Raw(json.dumps(frame).encode()))
        for i, frame in enumerate(frames)
    )
    planned = PlannedMedia(
        dataset="d", split="s", media_id="m", kind=kind, file_names=names, width=3, height=2, objects=objects
    )
    return decode_media(planned, root).objects


def test_a_palette_gives_its_indices_and_never_its_colours(tmp_path):
    assert read_labels(palette(tmp_path / "a.png"), size=(2, 3)).tolist() == IDS.tolist()


def test_greys_of_sixteen_bits_keep_all_of_them(tmp_path):
    ids = np.array([[0, 6100, 6101], [124, 65535, 0]], np.uint16)
    Image.fromarray(ids).save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png", size=(2, 3)).tolist() == ids.tolist()


def test_a_picture_of_two_colours_gives_zero_and_one(tmp_path):
    Image.fromarray(IDS > 0).save(tmp_path / "a.png")
    assert read_labels(tmp_path / "a.png", size=(2, 3)).tolist() == [[0, 1, 1], [1, 1, 1]]


def test_colours_are_the_ids_of_the_panoptic_format(tmp_path):
    ids = [[0, 3226956, 3226956], [255, 256, 65536]]
    path = coloured(tmp_path / "a.png", ids)
    assert read_labels(path, size=(2, 3)).tolist() == ids
    Image.open(path).quantize(8).save(tmp_path / "small.png")
    assert read_labels(tmp_path / "small.png", size=(2, 3), colours=True).tolist() == ids


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda path: path.unlink(), "picture_missing"),
        (lambda path: path.write_bytes(path.read_bytes()[:60]), "picture_unreadable"),
        (lambda path: path.write_bytes(b"GIF"), "picture_unreadable"),
        (lambda path: Image.fromarray(np.zeros((3, 3), np.uint8)).save(path), "picture_size"),
        (lambda path: Image.fromarray(IDS).save(path, format="JPEG"), "picture_unreadable"),
        (lambda path: Image.fromarray(IDS.astype(np.float32)).save(path, format="TIFF"), "picture_unreadable"),
    ],
)
def test_a_file_that_holds_no_labels_says_why(tmp_path, break_it, reason):
    path = palette(tmp_path / "a.png")
    break_it(path)
    with pytest.raises(PictureFault) as fault:
        read_labels(path, size=(2, 3))
    assert fault.value.reason == reason


def test_objects_take_their_pixels_of_one_file(tmp_path):
    palette(tmp_path / "a.png")
    coloured(tmp_path / "b.png", [[0, 300, 300], [300, 0, 0]])
    one, two, three, four = decoded(
        tmp_path,
        {"png": "a.png", "value": 1},
        {"png": "a.png", "value": 2, "form": "index"},
        {"png": "b.png", "value": 300, "form": "rgb"},
        {"png": "a.png", "form": "binary"},
    )
    assert [one.areas, two.areas, three.areas, four.areas] == [(2,), (2,), (3,), (5,)]
    assert rle.decode(one.counts[0], (2, 3)).tolist() == (IDS == 1).tolist()
    assert one.boxes == ((1.0, 0.0, 2.0, 1.0),)


def test_a_file_that_is_missing_or_of_another_size_costs_only_the_objects_in_it(tmp_path):
    palette(tmp_path / "a.png")
    palette(tmp_path / "c.png", np.ones((3, 3), np.uint8))
    found = decoded(
        tmp_path,
        *({"png": name, "value": 1} for name in ("a.png", "b.png", "c.png", "../a.png", "/etc/passwd")),
        {"png": "a.png", "value": 9},
    )
    reasons = [item.fault and item.fault.reason for item in found]
    assert reasons == [None, "mask_missing", "mask_size", "bad_path", "bad_path", "empty_mask"]
    assert "b.png" in found[1].fault.message


def test_an_object_is_absent_on_frames_whose_file_does_not_show_it(tmp_path):
    palette(tmp_path / "0.png")
    palette(tmp_path / "1.png", np.zeros((2, 3), np.uint8))
    (track,) = decoded(tmp_path, [{"png": f"{i}.png", "value": 2} for i in range(2)], kind="video")
    assert track.visible == (0,)


def test_a_box_without_a_mask_is_visible_and_clipped_to_its_picture(tmp_path):
    inside, outside, sliver, track_of = (
        decoded(tmp_path, {"box": [1, -1, 5, 2.5]})[0],
        decoded(tmp_path, {"box": [4, 0, 2, 2]})[0],
        decoded(tmp_path, {"box": [0, 0, 0.5, 2]})[0],
        decoded(tmp_path, [None, {"box": [0, 0, 2, 2]}], kind="video")[0],
    )
    assert (inside.boxes, inside.counts, inside.areas) == (((1.0, 0.0, 2.0, 1.5),), (None,), (None,))
    assert [item.fault.reason for item in (outside, sliver)] == ["empty_mask", "empty_mask"]
    assert track_of.visible == (1,)


@pytest.mark.parametrize("box", [[], [1, 2, 3], [0, 0, 1e999, 2], ["1", 2, 3, 4], None])
def test_a_box_that_is_none_is_a_fault(tmp_path, box):
    assert decoded(tmp_path, {"box": box})[0].fault.reason == "bad_mask"
