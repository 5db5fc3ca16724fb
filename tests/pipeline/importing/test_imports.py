"""Imported captions: what an export wrote comes back as the same rows, and the release serves our own tools."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import released_captions
from capgen.dataset.schema import CAPTIONS, MEDIA
from capgen.errors import MissingFile, UserError
from capgen.maskcaptioner.data.release_rows import count, open_releases
from capgen.pipeline.checks.lint import lint_file
from capgen.pipeline.gallery.export import export_run
from capgen.pipeline.importing import imports
from capgen.pipeline.importing.imports import ImportRequest, counts_text, import_captions
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.retry import recorded
from tests.exporting.releases import contents, exported, image_release, video_release

PROVENANCE = {
    *("model", "model_revision", "engine", "prompt", "prompt_sha256", "highlight", "seed", "finish_reason"),
    *("prompt_tokens", "cached_tokens", "output_tokens", "attempts"),
}


def imported(given: Path, out: Path, **more):
    return import_captions(ImportRequest(given, out, **more))


def rows(out: Path, config: str) -> list[dict]:
    """Released rows without what only a run knows."""
    files = sorted((out / "data" / config).glob("*.parquet"))
    found = [row for file in files for row in pq.read_table(file).to_pylist()]
    for row in found:
        for name in PROVENANCE & row.keys():
            del row[name]
    return found


def read(path: Path):
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("to", ["official", "coco"])
def test_images_that_were_exported_come_back_as_the_same_rows(tmp_path, to):
    out = image_release(tmp_path)
    exported(out, tmp_path / "dest", to, pictures="copy")
    ledger = imported(tmp_path / "dest", tmp_path / "back", dataset="tiny")
    assert (ledger.planned, ledger.kept) == (8, 6)
    assert ledger.dropped == ({"no_caption": 2} if to == "official" else {"length": 1, "no_caption": 1})
    assert rows(tmp_path / "back", "captions") == rows(out, "captions")
    before, after = rows(out, "media"), rows(tmp_path / "back", "media")
    for one, other in zip(before, after, strict=True):
        for item, again in zip(one["objects"], other["objects"], strict=True):
            assert (item.pop("dropped") is None) == (again.pop("dropped") is None)
        one.pop("license"), other.pop("license")
        assert one == other


@pytest.mark.parametrize("to", ["official", "youtube-vis"])
def test_videos_that_were_exported_come_back_as_the_same_rows(tmp_path, to):
    out = video_release(tmp_path)
    exported(out, tmp_path / "dest", to, pictures="copy")
    imported(tmp_path / "dest", tmp_path / "back", dataset="films")
    assert rows(tmp_path / "back", "captions") == rows(out, "captions")


@pytest.mark.parametrize("to", ["coco", "youtube-vis"])
def test_why_an_object_has_no_caption_stays_known(tmp_path, to):
    """The reason comes back from an export; what no export wrote is a field of the source."""
    release = image_release if to == "coco" else video_release
    out = release(tmp_path, alike="11")
    exported(out, tmp_path / "dest", to)
    ledger = imported(tmp_path / "dest", tmp_path / "back", split=None)
    assert ledger.dropped["not_distinct"] == 1
    objects = {one["object_id"]: one for row in rows(tmp_path / "back", "media") for one in row["objects"]}
    assert (objects["11"]["dropped"], objects["11"]["caption"], objects["11"]["extra"]) == ("not_distinct", None, None)
    exported(tmp_path / "back", tmp_path / "again", to)
    (file,) = [path for path in (tmp_path / "dest").rglob("*.json") if "train" in path.as_posix()]
    body = read(file)
    body["annotations"][0].pop("caption", None)
    body["annotations"][0]["dropped"] = "because I say so"
    file.write_text(json.dumps(body))
    ledger = imported(file, tmp_path / "odd")
    (odd,) = [row for row in rows(tmp_path / "odd", "media")[0]["objects"] if row["object_id"] == "10"]
    assert (odd["dropped"], odd["extra"]) == ("no_caption", '{"dropped":"because I say so"}')


def test_a_file_that_is_imported_and_exported_again_says_the_same(tmp_path):
    path = tmp_path / "lviscap_v1_train.json"
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    body = read(tmp_path / "dest/lviscap_v1_train.json")
    body["info"] = {"version": "v1", "by": "somebody"}
    body["categories"][0] |= {"synset": "cup.n.01", "frequency": "f", "instance_count": 3}
    body["images"][0] |= {"neg_category_ids": [5], "flickr_url": "f", "unheard_of": {"a": [1, None]}}
    body["annotations"][1] |= {"score": 0.5, "judge": None}
    path.write_text(json.dumps(body))
    imported(path, tmp_path / "out1")
    path.rename(tmp_path / "gone.json")
    exported(tmp_path / "out1", tmp_path / "again", "official")
    assert read(tmp_path / "again/lviscap_v1_train.json") == body
    imported(tmp_path / "again", tmp_path / "out2")
    sources = [RunLayout(tmp_path / name).source_json.read_bytes() for name in ("out1", "out2")]
    assert sources[0] == sources[1]
    first, second = contents(tmp_path / "out1/data"), contents(tmp_path / "out2/data")
    assert first == second


def test_a_release_that_was_imported_is_shown_linted_and_learnt_from(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "official", pictures="copy")
    out = tmp_path / "back"
    imported(tmp_path / "dest", out, model="somebody/model", license="cc-by-nc-4.0")
    assert verify(out).ok
    assert export_run(out, tmp_path / "page", limit=10) == 4
    assert "A tea_pot numbered 11." in (tmp_path / "page" / "index.html").read_text("utf-8")
    census = count(open_releases([out], "train"))
    assert (census.objects, census.captions) == (6, 4)
    assert len(list(lint_file(out, as_json=False))) == 8
    card = RunLayout(out).card.read_text("utf-8")
    assert 'license: "cc-by-nc-4.0"' in card
    assert "Dry run" not in card
    assert next(caption for _, caption in released_captions(out)) == "A tea_pot numbered 11."


def test_captions_that_are_no_text_or_blank_are_none_and_lists_are_kept(tmp_path):
    exported(video_release(tmp_path), tmp_path / "dest", "official")
    path = tmp_path / "dest/lvviscap_train_instances.json"
    body = read(path)
    for one, caption in zip(body["annotations"], ["  ", ["by", "frame"], None, "A ball."], strict=True):
        one["caption"] = caption
    path.write_text(json.dumps(body))
    ledger = imported(path, tmp_path / "back")
    assert (ledger.kept, ledger.dropped) == (1, {"no_caption": 3})
    exported(tmp_path / "back", tmp_path / "again", "official")
    again = {one["id"]: one for one in read(tmp_path / "again/lvviscap_train_instances.json")["annotations"]}
    assert again[11]["caption"] == ["by", "frame"]
    assert "caption" not in again[10]


@pytest.mark.parametrize("number", ["1e999", "[[]]"])
def test_ids_that_are_none_are_of_no_image_and_no_caption(tmp_path, number):
    image = '{"id": 1, "width": 64, "height": 48, "file_name": "a.jpg"}'
    box = '"bbox": [1, 2, 30, 20], "caption": "A box."}'
    rows = f'{{"id": 1, "image_id": 1, {box}, {{"id": {number}, "image_id": {number}, {box}'
    path = _write(tmp_path / "a.json", f'{{"images": [{image}], "annotations": [{rows}]}}')
    assert imported(path, tmp_path / "out").kept == 1


def test_objects_with_a_box_alone_stay_such_objects(tmp_path):
    body = {
        "images": [{"id": 1, "width": 64, "height": 48, "file_name": "a.jpg"}],
        "annotations": [{"id": 1, "image_id": 1, "bbox": [1, 2, 30, 20], "caption": "A box."}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(body))
    imported(tmp_path / "boxes.json", tmp_path / "out")
    (row,) = rows(tmp_path / "out", "captions")
    assert (row["bbox"], row["segmentation"], row["category"]) == ([[1.0, 2.0, 30.0, 20.0]], [None], None)
    exported(tmp_path / "out", tmp_path / "dest", "coco")
    (again,) = read(tmp_path / "dest/annotations/instances_boxes.json")["annotations"]
    assert (again["bbox"], again["segmentation"], again["caption"]) == ([1.0, 2.0, 30.0, 20.0], [], "A box.")


def test_an_import_that_was_stopped_goes_on(tmp_path, monkeypatch):
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    imported(tmp_path / "dest", tmp_path / "whole")
    write, written = imports.write_candidates, []

    def stopping(rows, out, index, extra):
        if written:
            raise KeyboardInterrupt
        written.append(index)
        return write(rows, out, index, extra)

    monkeypatch.setattr(imports, "write_candidates", stopping)
    with pytest.raises(KeyboardInterrupt):
        imported(tmp_path / "dest", tmp_path / "parts")
    assert not (tmp_path / "parts/release.json").exists()
    monkeypatch.undo()
    imported(tmp_path / "dest", tmp_path / "parts")
    assert contents(tmp_path / "parts/data") == contents(tmp_path / "whole/data")
    assert contents(tmp_path / "parts/candidates").keys() == contents(tmp_path / "whole/candidates").keys()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda folder: folder / "nowhere.json", "missing"),
        (lambda folder: _write(folder / "a.json", "[1]"), "is not a JSON object"),
        (lambda folder: _write(folder / "a.json", '{"rows": []}'), "neither 'images' nor 'videos'"),
        (lambda folder: _write(folder / "a.json", '{"images": 3}'), "'images' is not a list"),
        (lambda folder: _write(folder / "all.json", '{"images": []}'), "which for `datasets` is every split"),
        (lambda folder: _write(folder / "sub/a.txt", "x").parent, "holds no captions"),
        (lambda folder: _write(folder / "a.json", '{"images": [], "annotations": []}'), "not one of its 0 objects"),
        (lambda folder: _pipe(folder / "in" / "lviscap_v1_train.json"), "is a folder, a pipe or a device, not a file"),
    ],
)
def test_what_cannot_be_imported_is_one_line(tmp_path, make, words):
    with pytest.raises(UserError) as raised:
        imported(make(tmp_path), tmp_path / "out")
    assert words in str(raised.value)
    assert not (tmp_path / "out/release.json").exists()


def _pipe(path: Path) -> Path:
    path.parent.mkdir()
    os.mkfifo(path)
    return path.parent


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_an_out_of_something_else_is_refused(tmp_path):
    out = image_release(tmp_path)
    exported(out, tmp_path / "dest", "official")
    with pytest.raises(UserError, match="holds another run or import"):
        imported(tmp_path / "dest", out)
    with pytest.raises(MissingFile, match="--root"):
        imported(tmp_path / "dest", tmp_path / "back", root=tmp_path / "nowhere")


def test_retry_says_that_nothing_was_asked(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    ledger = imported(tmp_path / "dest", tmp_path / "back")
    with pytest.raises(UserError, match="holds imported captions"):
        recorded(tmp_path / "back", {}, ())
    assert counts_text(ledger).startswith("8 objects, 6 captions, 2 objects without one")


def test_the_columns_are_those_of_every_release(tmp_path):
    exported(image_release(tmp_path), tmp_path / "dest", "official")
    imported(tmp_path / "dest", tmp_path / "back")
    for config, schema in (("captions", CAPTIONS), ("media", MEDIA)):
        for file in (tmp_path / "back/data" / config).glob("*.parquet"):
            assert pq.read_schema(file).names == schema.names
