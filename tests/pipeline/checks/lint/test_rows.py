"""Captions are read from CSV, Parquet and folders as they are from JSON Lines."""

from __future__ import annotations

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.errors import UserError
from capgen.pipeline.checks.lint import lint_file

GOOD, BAD = "A red mug on a table.", "The image shows a mug."


def rows(file):
    return [json.loads(line) for line in lint_file(file, as_json=True)]


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_table_is_read_with_its_header(tmp_path, separator, mark):
    file = tmp_path / "captions.csv"
    cells = [
        ["id", "caption", "finish_reason"],
        ["1", f'"{GOOD}"', "stop"],
        ["2", f'"{BAD}"', ""],
        ["3", GOOD, "length"],
    ]
    file.write_text(mark + "".join(separator.join(line) + "\r\n" for line in cells), "utf-8")
    assert [(row["id"], row["reasons"]) for row in rows(file)] == [
        ("1", []),
        ("2", ["meta_talk"]),
        ("3", ["not_stopped"]),
    ]


def test_a_cell_may_hold_line_ends_and_synonyms(tmp_path):
    file = tmp_path / "captions.csv"
    file.write_text('caption,category,synonyms\n"A green box\nwith ""MILK"" on it.",carton,box | crate\n')
    assert rows(file)[0]["synonyms"] == ["box", "crate"]
    assert rows(file)[0]["reasons"] == []


def test_rows_of_a_table_that_cannot_be_read_are_counted(tmp_path):
    file = tmp_path / "captions.csv"
    file.write_bytes(
        f"caption,id\n{GOOD},1\n{GOOD}\n".encode() + "A café.,2\n".encode("cp1252") + f"{BAD},3\n".encode()
    )
    got = []
    with pytest.raises(UserError, match=r"captions\.csv:3: 1 cells.*2 of 4 rows") as caught:
        got.extend(lint_file(file))
    assert [json.loads(line)["id"] for line in got] == ["1", "3"]
    assert "\n" not in str(caught.value)


def test_a_table_without_captions_is_refused_with_its_header(tmp_path):
    file = tmp_path / "captions.csv"
    file.write_text("id,text\n1,A mug.\n")
    with pytest.raises(UserError, match=r"no column `caption`.*id, text"):
        rows(file)


def test_parquet_is_read_without_its_masks_and_pictures(tmp_path):
    file = tmp_path / "captions.parquet"
    columns = {
        "caption": [GOOD, BAD, None],
        "key": ["a", "b", "c"],
        "image": [b"\x89PNG", b"", None],
        "segmentation": [[{"counts": "x"}], [], []],
        "synonyms": [["mug", "cup"], None, []],
    }
    pq.write_table(pa.table(columns), file)
    got = rows(file)
    assert [row["reasons"] for row in got] == [[], ["meta_talk"], ["empty"]]
    assert set(got[0]) == {"caption", "key", "synonyms", "reasons"}


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    file = tmp_path / "captions.parquet"
    file.write_bytes(b"no")
    with pytest.raises(UserError, match=r"captions\.parquet cannot be read as Parquet"):
        rows(file)
    pq.write_table(pa.table({"text": [GOOD]}), file)
    with pytest.raises(UserError, match="no column `caption`"):
        rows(file)


def test_a_runs_folder_gives_its_answers_and_leaves_out_what_failed(tmp_path):
    (tmp_path / "candidates").mkdir()
    (tmp_path / "data" / "captions").mkdir(parents=True)
    for number, status in enumerate(["kept", "failed"]):
        table = pa.table({"caption": [GOOD, None], "status": ["kept", status], "key": [f"{number}a", f"{number}b"]})
        pq.write_table(table, tmp_path / "candidates" / f"0000{number}.parquet")
    pq.write_table(pa.table({"caption": [GOOD]}), tmp_path / "data" / "captions" / "val.parquet")
    assert [row["key"] for row in rows(tmp_path)] == ["0a", "0b", "1a"]


def test_a_folder_of_a_dataset_gives_all_its_files(tmp_path):
    (tmp_path / "val").mkdir()
    pq.write_table(pa.table({"caption": [GOOD]}), tmp_path / "val" / "0.parquet")
    (tmp_path / "more.jsonl").write_text(json.dumps({"caption": BAD}))
    assert sorted(row["caption"] for row in rows(tmp_path)) == [GOOD, BAD]
