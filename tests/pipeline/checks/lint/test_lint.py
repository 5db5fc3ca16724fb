"""The checks on any captions: rows in, the same rows with their reasons out."""

from __future__ import annotations

import json
import re

import pytest

from capgen.errors import MissingFile, UserError
from capgen.pipeline.checks.base import build_checks
from capgen.pipeline.checks.lint import LintCounts, lint, lint_file
from capgen.pipeline.settings import CheckSettings

CHECKS = build_checks(CheckSettings().names, {})


def reasons(*rows):
    return [row["reasons"] for row in lint([("here", row) for row in rows], CHECKS)]


def test_a_line_comes_out_as_it_was_with_its_reasons():
    row = {"id": 2**60, "caption": "The image shows a dog.", "category": "dog", "extra": {"a": [1, None]}}
    assert list(lint([("here", row)], CHECKS)) == [row | {"reasons": ["meta_talk"]}]


def test_an_honest_caption_has_no_reasons():
    assert reasons({"caption": "A brown dog on a red sofa."}) == [[]]


def test_the_category_and_its_synonyms_are_known_to_the_checks():
    row = {"caption": "A green rectangular box with a lid."}
    assert reasons(row, row | {"category": "box"}, row | {"category": "carton", "synonyms": ["box"]}) == [
        ["marker_leak"],
        [],
        [],
    ]


def test_what_the_engine_did_not_finish_is_not_judged_further():
    row = {"caption": "The image shows a dog"}
    assert reasons(
        row | {"finish_reason": "length"}, row | {"finish_reason": "stop"}, row | {"finish_reason": None}
    ) == [
        ["not_stopped"],
        ["meta_talk"],
        ["meta_talk"],
    ]


def test_a_caption_that_is_null_is_empty():
    assert reasons({"caption": None}, {"caption": ""}) == [["empty"], ["empty"]]


def test_reasons_of_an_earlier_run_are_replaced():
    assert reasons({"caption": "A brown dog on a red sofa.", "reasons": ["length"]}) == [[]]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "captions.jsonl:3: not JSON"),
        ("[1]", "captions.jsonl:3: not a JSON object"),
        ('"A dog."', "captions.jsonl:3: not a JSON object"),
        ("{}", "captions.jsonl:3: no `caption`"),
        ('{"caption": 7}', "captions.jsonl:3: `caption` is 7"),
        ('{"caption": ["A dog."]}', "captions.jsonl:3: `caption`"),
        ('{"caption": "A dog.", "category": 7}', "captions.jsonl:3: `category` is 7"),
        ('{"caption": "A dog.", "synonyms": "hound"}', "captions.jsonl:3: `synonyms`"),
        ('{"caption": "A dog.", "finish_reason": 1}', "captions.jsonl:3: `finish_reason`"),
        ('{"caption": "A dog.", "score": NaN}', "captions.jsonl:3: not JSON"),
        ("[" * 100_000, "captions.jsonl:3: not JSON"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number_in_one_line(tmp_path, line, message):
    file = tmp_path / "captions.jsonl"
    file.write_text('{"caption": "A brown dog."}\n\n' + line + '\n{"caption": "A red mug."}\n', "utf-8")
    got = []
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        got.extend(lint_file(file))
    assert len(got) == 2, "the lines before and after the bad one are checked"
    assert "1 of 3 rows could not be read" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300 + len(str(file))


def test_a_file_goes_through_line_by_line(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"caption": "A caf\xc3\xa9 with a red door."}\r\n\n{"caption": "\\ud800 Dog."}')
    whole, half = lint_file(file)
    assert whole == '{"caption":"A café with a red door.","reasons":[]}'
    assert json.loads(half) == {"caption": "\ud800 Dog.", "reasons": ["length"]}
    assert half.isascii()


def test_a_separator_inside_a_caption_is_no_line_end(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_text(json.dumps({"caption": "A brown\u2028dog\u0085 sits."}, ensure_ascii=False), "utf-8")
    assert [json.loads(line)["reasons"] for line in lint_file(file)] == [[]]


def test_a_line_that_is_not_utf8_is_named_with_the_likely_encoding(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_bytes('{"caption": "A café with a red door."}\n'.encode("cp1252") + b'{"caption": "A red mug."}\n')
    got = []
    with pytest.raises(UserError, match=r"captions\.jsonl:1: not UTF-8.*Windows-1252"):
        got.extend(lint_file(file))
    assert len(got) == 1


def test_utf16_is_refused_by_name(tmp_path):
    file = tmp_path / "captions.jsonl"
    file.write_bytes("{}".encode("utf-16"))
    with pytest.raises(UserError, match="UTF-16"):
        list(lint_file(file))


def test_many_bad_lines_are_counted_and_five_are_named(tmp_path, caplog):
    file = tmp_path / "captions.jsonl"
    file.write_text("{\n" * 70 + '{"caption": "A red mug."}\n' + "[]\n" * 30)
    got = []
    with pytest.raises(UserError, match=r"captions\.jsonl:1: .*100 of 101 rows could not be read"):
        got.extend(lint_file(file))
    assert len(got) == 1
    assert len(caplog.messages) == 5


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(MissingFile, match=r"nothing\.jsonl"):
        list(lint_file(tmp_path / "nothing.jsonl"))
    with pytest.raises(MissingFile, match="candidates"):
        list(lint_file(tmp_path))


def test_drops_are_counted_by_every_reason(tmp_path, caplog):
    file = tmp_path / "captions.jsonl"
    captions = ["A brown dog on a sofa.", "The image shows a dog outlined in red.", "A close-up of a dog.", None]
    file.write_text("".join(json.dumps({"caption": caption}) + "\n" for caption in captions), "utf-8")
    tally = LintCounts()
    for line in lint_file(file, as_json=True):
        tally.add(json.loads(line)["reasons"])
    expected = {"marker_leak": 2, "meta_talk": 1, "empty": 1}
    assert tally.as_json() == {"captions": 4, "kept": 1, "dropped": 3, "reasons": expected}
    assert not caplog.messages
    list(lint_file(file))
    assert caplog.messages == ["4 captions: kept 1, dropped 3 (marker_leak 2, meta_talk 1, empty 1)"]
