"""A shard is committed whole or not at all, and equal rows are equal bytes."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
from msgspec.structs import replace

from capgen.dataset.reader import read_columns, read_rows
from capgen.dataset.row import Row
from capgen.dataset.schema import CANDIDATES, CAPTIONS, MEDIA, MEDIA_EMBEDDED, SCHEMA_VERSION, describe
from capgen.dataset.shards import (
    ShardState,
    candidates_path,
    is_committed,
    manifest_path,
    read_manifest,
    remove_leftovers,
    shard_state,
    write_candidates,
)
from capgen.errors import LedgerError
from tests.tiny_runs import dropped, failed, planned_image, rows_of, said

RUN = {"fingerprint": "f"}


@pytest.fixture
def rows():
    return rows_of(planned_image("1", objects=4))


def test_a_row_is_a_line_of_the_candidates_schema():
    assert {*Row.__struct_fields__} - {"license", "media_extra"} == {*CANDIDATES.names}


@pytest.mark.parametrize("schema", [CANDIDATES, CAPTIONS, MEDIA, MEDIA_EMBEDDED])
def test_every_schema_says_its_version(schema):
    assert schema.metadata[b"capgen_schema_version"].decode() == SCHEMA_VERSION


@pytest.mark.parametrize("schema", [CAPTIONS, MEDIA, MEDIA_EMBEDDED])
def test_every_released_column_is_explained(schema):
    assert [name for name, _, meaning in describe(schema) if meaning] == schema.names


def test_rows_come_back_as_they_were_written(rows, tmp_path):
    rows[1] = dropped(rows[1], "length", "refusal")
    rows[2] = failed(replace(rows[2], category=None, category_id=None, model_revision=None), "bad_mask")
    rows[3] = said(rows[3], "Ein Füßchen — “tasse” 🫖.")
    write_candidates(rows, tmp_path, 7, RUN)
    assert list(read_rows(candidates_path(tmp_path, 7))) == rows


def test_ids_beyond_two_to_the_53_keep_their_digits(tmp_path):
    big = str(2**63 + 1)
    row = rows_of(planned_image(big, objects=1))[0]
    write_candidates([row], tmp_path, 0, RUN)
    assert [row.media_id for row in read_rows(candidates_path(tmp_path, 0))] == [big]


def test_the_manifest_counts_each_row_once_and_keeps_what_differs_between_runs(rows, tmp_path):
    rows[0] = dropped(rows[0], "length", "refusal")
    rows[1] = dropped(rows[1], "refusal")
    rows[2] = failed(rows[2], "engine_failed")
    extra = {"fingerprint": "f", "started": "2026-11-22T10:00:00", "seconds": 1.5, "asked": 4}
    manifest = write_candidates(rows, tmp_path, 0, extra)
    assert (manifest.rows, manifest.kept) == (4, 1)
    assert manifest.dropped == {"length": 1, "refusal": 1}
    assert manifest.failed == {"engine_failed": 1}
    assert manifest.reasons == {"engine_failed": 1, "length": 1, "refusal": 2}
    assert (manifest.seconds, manifest.extra) == (1.5, {"asked": 4})
    assert read_manifest(tmp_path, 0) == manifest


def test_equal_rows_are_equal_bytes_whenever_they_are_written(rows, tmp_path):
    write_candidates(rows, tmp_path / "a", 0, {**RUN, "started": "2026-01-01", "seconds": 1.0})
    write_candidates(iter(rows), tmp_path / "b", 0, {**RUN, "started": "2026-02-02", "seconds": 9.0})
    assert candidates_path(tmp_path / "a", 0).read_bytes() == candidates_path(tmp_path / "b", 0).read_bytes()


def test_a_shard_without_objects_can_be_committed(tmp_path):
    write_candidates([], tmp_path, 0, RUN)
    assert is_committed(tmp_path, 0, "f", deep=True)
    assert list(read_rows(candidates_path(tmp_path, 0))) == []
    assert read_columns(tmp_path, 0, ["key"]).num_rows == 0


def test_a_shard_is_done_only_under_its_own_fingerprint(rows, tmp_path):
    assert shard_state(tmp_path, 0, "f") is ShardState.ABSENT
    write_candidates(rows, tmp_path, 0, RUN)
    assert is_committed(tmp_path, 0, "f", deep=True)
    assert shard_state(tmp_path, 0, "g") is ShardState.OTHER_FINGERPRINT


def test_half_a_commit_is_no_commit(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, RUN)
    manifest = manifest_path(tmp_path, 0).read_bytes()
    manifest_path(tmp_path, 0).unlink()
    assert shard_state(tmp_path, 0, "f") is ShardState.NO_MANIFEST
    candidates_path(tmp_path, 0).unlink()
    manifest_path(tmp_path, 0).write_bytes(manifest)
    assert shard_state(tmp_path, 0, "f") is ShardState.NO_PARQUET
    manifest_path(tmp_path, 0).write_bytes(manifest[:40])
    assert shard_state(tmp_path, 0, "f") is ShardState.BAD_MANIFEST


def test_a_changed_parquet_file_is_noticed(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, RUN)
    path = candidates_path(tmp_path, 0)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    assert shard_state(tmp_path, 0, "f", deep=True) is ShardState.DAMAGED
    path.write_bytes(data[:-1])
    assert shard_state(tmp_path, 0, "f") is ShardState.DAMAGED


def test_a_shard_that_is_made_again_counts_as_it_was_until_the_new_one_is_whole(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, RUN)

    def interrupted():
        yield rows[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_candidates(interrupted(), tmp_path, 0, RUN)
    assert is_committed(tmp_path, 0, "f", deep=True)
    assert len(list(read_rows(candidates_path(tmp_path, 0)))) == 4
    write_candidates(rows[:2], tmp_path, 0, RUN)
    assert is_committed(tmp_path, 0, "f", deep=True)
    assert len(list(read_rows(candidates_path(tmp_path, 0)))) == 2


def test_leftovers_of_a_kill_are_cleared_and_nothing_else(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, RUN)
    left = tmp_path / "candidates" / "00001.parquet.0a1b2c3d.part"
    left.write_bytes(b"PAR1 torn")
    assert shard_state(tmp_path, 1, "f") is ShardState.ABSENT
    assert remove_leftovers(tmp_path) == [left]
    assert sorted(path.name for path in left.parent.iterdir()) == ["00000.json", "00000.parquet"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda rows: [*rows, rows[0]], "comes twice"),
        (lambda rows: [replace(rows[0], key="tiny/train/1/999")], "ids of another object"),
        (lambda rows: [replace(rows[0], status="dropped")], r"is dropped with reasons \[\]"),
        (lambda rows: [replace(rows[0], reasons=("length",))], "is kept with reasons"),
        (lambda rows: [replace(rows[0], caption=None)], "is kept with reasons"),
    ],
)
def test_rows_that_contradict_themselves_are_refused(rows, tmp_path, spoil, told):
    with pytest.raises(LedgerError, match=told):
        write_candidates(spoil(rows), tmp_path, 0, RUN)
    assert not is_committed(tmp_path, 0, "f")
    assert list((tmp_path / "candidates").iterdir()) == []


def test_a_truncated_file_is_one_clear_line(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, RUN)
    path = candidates_path(tmp_path, 0)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(LedgerError, match=r"00000\.parquet cannot be read"):
        list(read_rows(candidates_path(tmp_path, 0)))


def test_times_are_in_the_manifest_and_not_in_the_parquet_file(rows, tmp_path):
    write_candidates(rows, tmp_path, 0, {**RUN, "started": "2026-11-22T10:00:00"})
    assert json.loads(manifest_path(tmp_path, 0).read_text())["started"] == "2026-11-22T10:00:00"
    assert b"2026-11-22" not in candidates_path(tmp_path, 0).read_bytes()
    assert not any(b"time" in key for key in pq.read_schema(candidates_path(tmp_path, 0)).metadata)
