"""Objects go to Label Studio and CVAT with their keys and captions, and people's judgements come back."""

from __future__ import annotations

import json
import zipfile
from xml.etree import ElementTree as ET

import cv2
import numpy as np
import pytest

from capgen import rle
from capgen.dataset.reader import read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import MissingFile, UserError
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.gallery.selection import Selection
from capgen.pipeline.releasing.reviews import append_reviews, read_reviews, review
from capgen.pipeline.reviewing import cvat
from capgen.pipeline.reviewing.exchange import count_reviews, send, take
from tests.tiny_runs import dropped, said, three_shards


def change(row):
    return {
        "10": lambda: said(row, 'A <b>red</b> cup & "saucer".'),
        "11": lambda: dropped(said(row, "The image shows a pot."), "meta_talk"),
    }.get(row.object_id, lambda: row)()


@pytest.fixture
def run(tmp_path):
    root = tmp_path / "pictures"
    root.mkdir()
    for number in range(1, 5):
        cv2.imwrite(str(root / f"{number}.jpg"), np.full((48, 64, 3), 255, np.uint8))
    return three_shards(tmp_path / "out", str(root)).commit(change=change)


def rows(run):
    return {row.key: row for index in range(3) for row in read_rows(candidates_path(run.out, index))}


def label_studio(run, folder):
    """The tasks; one picture is not there."""
    send(run.out, "label-studio", folder, Selection())
    return json.loads((folder / "tasks.json").read_text())


def annotated(task, by=7, **told):
    """A task as Label Studio exports it after somebody filled in some fields."""
    kinds = {"verdict": ("choices", "choices"), "caption": ("textarea", "text"), "why": ("textarea", "text")}
    result = [
        {"from_name": name, "to_name": "image", "type": kinds[name][0], "value": {kinds[name][1]: [value]}}
        for name, value in told.items()
    ]
    outlines = [one for one in task["predictions"][0]["result"] if one["type"] == "polygonlabels"]
    done = {"completed_by": by, "was_cancelled": False, "updated_at": "2026-11-25T10:00:00Z"}
    older = {"completed_by": by, "was_cancelled": False, "updated_at": "2026-11-24T10:00:00Z", "result": []}
    cancelled = {"completed_by": by, "was_cancelled": True, "updated_at": "2026-11-26T10:00:00Z", "result": []}
    return task | {"id": 1, "annotations": [older, done | {"result": [*outlines, *result]}, cancelled]}


def test_label_studio_gets_a_task_an_object_with_outline_and_caption(run, tmp_path, caplog):
    tasks = label_studio(run, tmp_path / "studio")
    assert "2 objects of tiny/val/5 are left out" in caplog.text
    known = {key: row for key, row in rows(run).items() if not key.startswith("tiny/val")}
    assert {task["data"]["key"]: task["data"]["caption"] for task in tasks} == {
        key: row.caption for key, row in known.items()
    }, "the picture of val is not there"
    for task in tasks:
        row = known[task["data"]["key"]]
        mask = rle.decode(row.segmentation[0]["counts"], (row.height, row.width))
        drawn = np.zeros(mask.shape, np.uint8)
        for region in task["predictions"][0]["result"]:
            if region["type"] == "polygonlabels":
                points = np.array(region["value"]["points"]) * [row.width / 100, row.height / 100]
                cv2.fillPoly(drawn, [points.round().astype(np.int32)], 1)
        assert (drawn.astype(bool) == mask).mean() > 0.99
        assert (tmp_path / "studio" / "images" / task["data"]["image"].rsplit("/", 1)[1]).is_file()
    config = ET.parse(tmp_path / "studio" / "label_config.xml")
    assert {element.get("name") for element in config.iter() if element.get("name")} >= {"image", "caption", "verdict"}


def test_what_people_do_in_label_studio_becomes_reviews_once(run, tmp_path):
    tasks = {task["data"]["key"].rsplit("/", 1)[1]: task for task in label_studio(run, tmp_path / "studio")}
    same = tasks["40"]["data"]["caption"]
    exported = [
        annotated(tasks["10"], verdict="bad", why="not red"),
        annotated(tasks["11"], caption="A blue  pot.", verdict="bad"),
        annotated(tasks["20"], verdict="good", caption=f" {tasks['20']['data']['caption']} "),
        annotated(tasks["40"], caption=same),
        tasks["21"] | {"annotations": []},
    ]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(exported))
    done = take(run.out, file)
    assert (done.new, done.known, done.silent, done.strange) == ({"bad": 1, "edit": 1, "good": 1}, 0, 1, 0)
    found = {key.rsplit("/", 1)[1]: one for key, one in read_reviews(run.out).items()}
    assert (found["10"].why, found["10"].by) == ("not red", "Label Studio: 7")
    assert (found["11"].caption, found["11"].said) == ("A blue pot.", "The image shows a pot.")
    assert take(run.out, file).known == 3
    assert count_reviews(run.out) == {"bad": 1, "edit": 1, "good": 1}


def test_cvat_gets_exact_masks_and_gives_reviews_back(run, tmp_path):
    folder = tmp_path / "cvat"
    assert send(run.out, "cvat", folder, Selection(status=("kept",))) == 5
    tree = ET.parse(folder / "annotations.xml")
    known = rows(run)
    shapes = {}
    for image in tree.iterfind("image"):
        for shape in image.iterfind("mask"):
            told = {one.get("name"): one for one in shape.iterfind("attribute")}
            row = known[told["key"].text]
            left, top, width, height = (int(shape.get(name)) for name in ("left", "top", "width", "height"))
            counts = [int(count) for count in shape.get("rle").split(",")]
            flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
            mask = np.zeros((row.height, row.width), bool)
            mask[top : top + height, left : left + width] = flat.reshape(height, width)
            assert (mask == rle.decode(row.segmentation[0]["counts"], mask.shape)).all()
            assert told["caption"].text == row.caption
            shapes[row.object_id] = told
    shapes["10"]["caption"].text = "A red cup."
    shapes["20"]["verdict"].text = "bad"
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", ET.tostring(tree.getroot()))
    done = take(run.out, tmp_path / "export.zip")
    assert (done.new, done.silent) == ({"edit": 1, "bad": 1}, 3)
    assert {one.caption for one in read_reviews(run.out).values()} == {"A red cup.", None}
    labels = json.loads((folder / "labels.json").read_text())
    assert {one["name"] for one in labels[0]["attributes"]} == set(shapes["10"])
    (label,) = tree.iterfind("./meta/task/labels/label")
    assert label.findtext("name") == labels[0]["name"]
    assert {one.findtext("name"): one.findtext("input_type") for one in label.iterfind("attributes/attribute")} == {
        one["name"]: one["input_type"] for one in labels[0]["attributes"]
    }, "readers of the form look for the label here"


def test_files_that_are_no_exports_are_refused_in_one_line(run, tmp_path):
    bad = {
        "a.json": b'[{"data": 5}]',
        "b.json": b"[",
        "c.xml": b"<tags/>",
        "d.xml": b'<!DOCTYPE x [<!ENTITY y "z">]><annotations>&y;</annotations>',
        "e.zip": b"PK\x05\x06" + bytes(18),
    }
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError) as error:
            take(run.out, tmp_path / name)
        assert name in str(error.value)
        assert "\n" not in str(error.value)
    with pytest.raises(MissingFile):
        take(run.out, tmp_path / "missing.json")
    with pytest.raises(UserError, match="is the folder of a run"):
        send(run.out, "cvat", run.out, Selection())
    assert not read_reviews(run.out)


def test_keys_of_another_run_are_counted_and_left_out(run, tmp_path):
    task = label_studio(run, tmp_path / "studio")[0]
    task["data"]["key"] = "tiny/train/9/9"
    (tmp_path / "x.json").write_text(json.dumps([annotated(task, verdict="bad")]))
    done = take(run.out, tmp_path / "x.json")
    assert (done.new, done.strange) == ({}, 1)


def test_a_review_of_a_replaced_caption_is_counted_as_outdated(run):
    append_reviews(run.out, [review(next(iter(rows(run))), "bad", "a tester", said="Something else.")])
    assert count_reviews(run.out) == {"outdated": 1}


LS = {"data": {"key": "tiny/train/1/10", "caption": "A cup."}, "annotations": [{"result": []}]}
ODD = {
    "key": LS | {"data": {"key": 5, "caption": "a"}, "annotations": [{"result": []}]},
    "caption": LS | {"data": {"key": "k", "caption": {"a": 1}}},
    "data": LS | {"data": [1]},
    "results": LS
    | {"annotations": [{"result": [{"type": "choices", "from_name": [], "value": {"choices": ["good"]}}]}]},
    "values": LS | {"annotations": [{"result": [{"type": "textarea", "from_name": "why", "value": {"text": [7]}}]}]},
    "annotations": LS | {"annotations": {"a": 1}},
}


@pytest.mark.parametrize("name", ODD)
def test_a_task_of_other_types_is_one_line_with_its_number(run, tmp_path, name):
    (tmp_path / "x.json").write_text(json.dumps([LS, ODD[name]]))
    with pytest.raises(UserError, match="task 2, is none of capgen's") as error:
        take(run.out, tmp_path / "x.json")
    assert len(str(error.value).splitlines()) == 1
    assert not read_reviews(run.out)


def test_a_bomb_or_a_nest_of_elements_takes_no_memory(run, tmp_path, monkeypatch):
    shape = b'<image><mask><attribute name="key">tiny/train/1/10</attribute></mask></image>'
    many = b"<annotations>" + shape * 20_000 + b"</annotations>"
    with zipfile.ZipFile(tmp_path / "many.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", many)
    assert take(run.out, tmp_path / "many.zip").silent == 20_000
    monkeypatch.setattr(cvat, "_LARGEST", len(many) - 1)
    with pytest.raises(UserError, match="in it is larger than"):
        take(run.out, tmp_path / "many.zip")
    (tmp_path / "deep.xml").write_bytes(b"<annotations>" + b"<a>" * 100_000)
    with pytest.raises(UserError, match="nests its elements more than 50 deep"):
        take(run.out, tmp_path / "deep.xml")
    cut = (tmp_path / "many.zip").read_bytes()
    (tmp_path / "cut.zip").write_bytes(cut[:200] + bytes(400) + cut[600:])
    with pytest.raises(UserError, match=r"cut\.zip"):
        take(run.out, tmp_path / "cut.zip")


@pytest.mark.parametrize("tool", ["label-studio", "cvat"])
def test_a_link_in_the_place_of_pictures_leads_no_write_elsewhere(run, tmp_path, tool):
    (tmp_path / "victim").mkdir()
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "images").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is a symbolic link"):
        send(run.out, tool, tmp_path / "tasks", Selection())
    (tmp_path / "tasks" / "pictures").symlink_to(tmp_path / "victim")
    with pytest.raises(UserError, match="is a symbolic link"):
        export_run(run.out, tmp_path / "tasks", limit=9)
    assert not [*(tmp_path / "victim").iterdir()]
