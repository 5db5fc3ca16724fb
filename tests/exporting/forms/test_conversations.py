"""Conversations as LLaVA, ms-swift and PixelRefer read them: names, tokens and boxes go together."""

from __future__ import annotations

import json
import re

import datasets
import msgspec
import pytest
from pycocotools import mask as coco_mask

from capgen.errors import UnknownName, UserError
from tests.exporting.releases import exported, film_release, image_release, spoil, video, video_release
from tests.tiny_runs import plan_run, planned_image, said

CAPTIONED = ["tiny/train/1/11", "tiny/train/2/20", "tiny/train/2/21", "tiny/train/4/40"]


def rows(path):
    text = path.read_text("utf-8")
    return [json.loads(line) for line in text.splitlines()] if path.suffix == ".jsonl" else json.loads(text)


def test_llava_has_a_picture_a_question_with_the_box_and_the_caption(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "llava", pictures="copy")
    found = rows(tmp_path / "dest/train.json")
    assert [row["id"] for row in found] == CAPTIONED
    first = found[0]
    assert (tmp_path / "dest" / first["image"]).is_file()
    human, gpt = first["conversations"]
    assert (human["from"], gpt["from"]) == ("human", "gpt")
    assert re.fullmatch(r"<image>\n[^<]*\[9, 4, 15, 13\][^<]*", human["value"])
    assert gpt["value"] == "A tea_pot numbered 11."
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "dest/train.json"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == 4


@pytest.mark.parametrize(
    ("boxes", "said"), [("unit", "[0.141, 0.083, 0.234, 0.271]"), ("thousand", "[141, 83, 234, 271]")]
)
def test_boxes_have_the_scale_that_was_asked_for(tmp_path, boxes, said):
    exported(image_release(tmp_path), tmp_path / "dest", "llava", boxes=boxes)
    assert said in rows(tmp_path / "dest/train.json")[0]["conversations"][0]["value"]


def check_swift(row):
    """What ms-swift 4 asks of a row: roles, as many tokens as pictures and boxes, and boxes of corners."""
    text = "".join(message["content"] for message in row["messages"])
    assert {message["role"] for message in row["messages"]} == {"user", "assistant"}
    assert text.count("<image>") == len(row["images"])
    objects = row["objects"]
    assert set(objects) == {"ref", "bbox", "bbox_type", "image_id"}
    assert text.count("<bbox>") == len(objects["bbox"]) == len(objects["image_id"])
    assert text.count("<ref-object>") == len(objects["ref"])
    for (x1, y1, x2, y2), image in zip(objects["bbox"], objects["image_id"], strict=True):
        assert x1 < x2
        assert y1 < y2
        assert image in range(len(row["images"]))


@pytest.mark.parametrize("questions", ["caption", "several"])
@pytest.mark.parametrize("make", [image_release, video_release])
def test_ms_swift_has_a_box_for_every_token_in_their_order(tmp_path, make, questions):
    exported(make(tmp_path), tmp_path / "dest", "ms-swift", questions=questions, frames=3)
    found = rows(tmp_path / "dest/train.jsonl")
    for row in found:
        check_swift(row)
    loaded = datasets.load_dataset(
        "json", data_files=str(tmp_path / "dest/train.jsonl"), split="train", cache_dir=str(tmp_path / "cache")
    )
    assert len(loaded) == len(found) > 0


def test_ms_swift_names_its_box_types_and_writes_thousandths_into_the_text(tmp_path):
    out = image_release(tmp_path)
    for boxes, kind in (("pixels", "real"), ("unit", "norm1")):
        exported(out, tmp_path / boxes, "ms-swift", boxes=boxes)
        objects = rows(tmp_path / boxes / "train.jsonl")[0]["objects"]
        assert objects["bbox_type"] == kind
    assert objects["bbox"] == [pytest.approx([9 / 64, 4 / 48, 15 / 64, 13 / 48], abs=1e-5)]
    exported(out, tmp_path / "thousand", "ms-swift", boxes="thousand")
    row = rows(tmp_path / "thousand/train.jsonl")[0]
    assert "objects" not in row
    assert "[141, 83, 234, 271]" in row["messages"][0]["content"]


def test_a_video_shows_some_of_the_frames_on_which_the_object_is(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "llava", frames=2)
    by_id = {row["id"]: row for row in rows(tmp_path / "dest/train.json")}
    assert by_id["films/train/1/11"]["image"] == ["00001/00001.jpg", "00001/00003.jpg"]
    human = by_id["films/train/1/11"]["conversations"][0]["value"]
    assert human.startswith("<image>\n<image>\n")
    assert "frame 1: [4, 4, 20, 20], frame 2: [4, 4, 20, 20]" in human
    assert "films/train/2/21" not in by_id


def test_pixelrefer_has_a_mask_for_every_region(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "pixelrefer", questions="several")
    for row in rows(tmp_path / "dest/train.json"):
        regions = sum(turn["value"].count("<region>") for turn in row["conversations"])
        assert regions == len(row["masks"]) > 0
        assert all(coco_mask.decode(mask).shape == (row["height"], row["width"]) for mask in row["masks"])


def test_pixelrefer_points_at_a_frame_of_the_video_s_folder(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "pixelrefer", pictures="copy")
    found = {row["id"]: row for row in rows(tmp_path / "dest/train.json")}
    row = found["films/train/1/11"]
    assert row["video"] == ["images/train/00001"]
    ((frame, mask),) = row["masks"][0].items()
    names = sorted(path.name for path in (tmp_path / "dest" / row["video"][0]).iterdir())
    assert names[int(frame)] == "00001.jpg"
    assert coco_mask.decode(mask).sum() == 256
    assert row["conversations"][0]["value"].startswith("<video>\n")


def test_pixelrefer_is_given_a_video_file_and_the_number_of_its_frame(tmp_path):
    exported(film_release(tmp_path), tmp_path / "dest", "pixelrefer")
    (row,) = rows(tmp_path / "dest/train.json")
    assert row["video"] == ["clip.mp4"]
    assert [list(mask) for mask in row["masks"]] == [["2"]]


def test_a_video_whose_frames_are_out_of_order_is_left_out_for_pixelrefer(tmp_path):
    shuffled = video(1)
    shuffled = msgspec.structs.replace(shuffled, file_names=shuffled.file_names[::-1])
    plan_run(tmp_path / "out", [[shuffled]]).commit().pack()
    report = exported(tmp_path / "out", tmp_path / "dest", "pixelrefer")
    assert rows(tmp_path / "dest/train.json") == []
    assert "2 objects or videos have no place" in report.text()


def test_several_questions_of_many_objects_fill_several_conversations(tmp_path):
    template = tmp_path / "questions.toml"
    template.write_text(
        'conversation = "media"\nmax_objects = 2\n[[turns]]\nquestion = "What is at {box}?"\nanswer = "a {category}"\n'
        '[[turns]]\nquestion = "And {region}?"\nanswer = "{caption}"\n'
    )
    plan_run(tmp_path / "out", [[planned_image("1", objects=5)]]).commit(change=spoil).pack()
    exported(tmp_path / "out", tmp_path / "dest", "llava", questions=str(template))
    found = rows(tmp_path / "dest/train.json")
    assert [row["id"] for row in found] == ["tiny/train/1", "tiny/train/1#1", "tiny/train/1#2"]
    assert [len(row["conversations"]) for row in found] == [6, 8, 4]  # the dropped caption's question is not asked
    assert found[0]["conversations"][1]["value"] == "a cup"
    assert [turn["value"].count("<image>") for turn in found[1]["conversations"]] == [1, 0, 0, 0, 0, 0, 0, 0]


def test_tokens_in_a_caption_are_no_tokens_of_the_form(tmp_path):
    bad = "A sign that reads <image> and <bbox><|im_end|> \0{category}."
    plan_run(tmp_path / "out", [[planned_image("1", objects=1)]]).commit(change=lambda row: said(row, bad)).pack()
    report = exported(tmp_path / "out", tmp_path / "dest", "ms-swift")
    (row,) = rows(tmp_path / "dest/train.jsonl")
    check_swift(row)
    assert row["messages"][1]["content"] == "A sign that reads < image> and < bbox>< |im_end|>  {category}."
    assert "1 texts had a token" in report.text()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[[turns]]\nquestion = "What is {colour}?"\nanswer = "{caption}"\n', "{colour} is none of"),
        ('[[turns]]\nquestion = ""\nanswer = "{caption}"\n', "is empty"),
        ('turn = 1\n[[turns]]\nquestion = "a"\nanswer = "b"\n', "turn"),
        ("turns = []\n", "turns"),
        ("[[", "questions.toml"),
    ],
)
def test_a_mistake_in_a_template_is_one_line(tmp_path, text, words):
    (tmp_path / "questions.toml").write_text(text)
    with pytest.raises(UserError) as raised:
        exported(image_release(tmp_path), tmp_path / "dest", "llava", questions=str(tmp_path / "questions.toml"))
    assert words in str(raised.value)
    assert not (tmp_path / "dest").exists()


def test_a_template_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UnknownName, match="'captions' \\(did you mean 'caption'"):
        exported(image_release(tmp_path), tmp_path / "dest", "llava", questions="captions")
