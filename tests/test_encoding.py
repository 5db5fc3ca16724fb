"""A UTF-8 byte order mark is accepted in every kind of file that capgen reads."""

import codecs
import json
import os
from pathlib import Path

import pytest

from capgen.encoding import bad_name, check_name, decode, read_bytes, read_text, unmarked
from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.base import read_json
from capgen.evaluation.benchmarks.bensmot import read_captions
from capgen.evaluation.reading.json_stream import elements
from capgen.evaluation.sample_facts import read_facts
from capgen.pipeline.checks.lint import lint_file
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.resources import resource
from capgen.sample.write import write_world
from tests.conftest import write_lvis

TEXT = "naïve café"


def test_utf8_is_read_with_and_without_the_mark(tmp_path):
    for mark in (b"", codecs.BOM_UTF8):
        assert decode(mark + TEXT.encode(), "x") == TEXT
    file = tmp_path / "text"
    file.write_bytes(codecs.BOM_UTF8 + TEXT.encode())
    assert (read_text(file), read_bytes(file)) == (TEXT, TEXT.encode())
    with pytest.raises(MissingFile):
        read_text(tmp_path / "none")
    with pytest.raises(UserError, match="cannot read"):
        read_text(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le"])
def test_other_encodings_are_named(encoding):
    data = TEXT.encode(encoding)
    if encoding == "utf-16-le":
        data = codecs.BOM_UTF16_LE + data
    with pytest.raises(UserError, match=f"{encoding[:6].upper()} text"):
        unmarked(data, "x")


def mark(path):
    path.write_bytes(codecs.BOM_UTF8 + path.read_bytes())
    return path


def test_annotation_files_with_the_mark_are_read(tmp_path):
    root = write_lvis(tmp_path / "lvis")
    before = [len(medium.objects) for medium in Lvis(root).scan()]
    for file in root.glob("*.json"):
        mark(file)
    assert [len(medium.objects) for medium in Lvis(root).scan()] == before


def test_results_files_with_the_mark_are_read_at_the_right_places(tmp_path):
    file = tmp_path / "results.json"
    rows = [{"image_id": i, "caption": TEXT} for i in range(3)]
    file.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    mark(file)
    data = file.read_bytes()
    found = list(elements(file, frozenset([""])))
    assert [one.exact() for one in found] == rows
    assert [json.loads(data[one.offset : one.offset + one.length]) for one in found] == rows
    assert read_json(file) == rows


def test_captions_prompts_facts_and_lines_with_the_mark_are_read(tmp_path):
    captions = tmp_path / "instance_captions.txt"
    captions.write_text("man0: A man sings.\n")
    assert read_captions(mark(captions)) == {"1": "A man sings."}
    lines = tmp_path / "captions.jsonl"
    lines.write_text('{"caption": "A red mug on a table."}\n')
    assert len(list(lint_file(mark(lines)))) == 1
    prompt = tmp_path / "mine.toml"
    prompt.write_bytes(resource("prompts", "shared-crop_v1", ".toml").read_bytes())
    assert load_prompt(str(mark(prompt)), category=True).before
    write_world(tmp_path / "world", images=1, videos=0, seed=1)
    assert read_facts(mark(tmp_path / "world" / "facts.json")).version == 1


def test_a_name_that_is_not_utf8_is_refused_and_shown_by_its_bytes():
    name = os.fsdecode(b"/data/b\xffad")
    with pytest.raises(UserError, match=r"the name /data/b\\xffad is not UTF-8") as refused:
        check_name(Path(name))
    assert str(refused.value).isascii()
    check_name(Path("/data/é"))


def test_a_name_is_found_in_the_text_that_could_not_be_written():
    with pytest.raises(UnicodeEncodeError) as failed:
        json.dumps({"a": os.fsdecode(b"p\xff.jpg"), "b": 1}, ensure_ascii=False).encode()
    assert "p\\xff.jpg" in (bad_name(failed.value) or "")
    with pytest.raises(UnicodeEncodeError) as other:
        "\ud800".encode()
    assert bad_name(other.value) is None
    assert bad_name(ValueError()) is None
