"""Numbered Parquet files: every row once, in order, within the limits."""

from __future__ import annotations

import errno
import os
import stat

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.dataset.files import Limits, NumberedWriter, remove_parts, write_whole

SCHEMA = pa.schema([("n", pa.int64()), ("text", pa.list_(pa.string()))])


def table(start: int, rows: int, width: int = 8) -> pa.Table:
    numbers = range(start, start + rows)
    return pa.table({"n": list(numbers), "text": [["x" * width] * (n % 3) for n in numbers]}, SCHEMA)


def written(folder, sizes, limits):
    folder.mkdir()
    writer = NumberedWriter(folder, "train", SCHEMA, limits)
    start = 0
    for size in sizes:
        writer.add(table(start, size))
        start += size
    return writer.close()


@settings(deadline=None, max_examples=40)
@given(sizes=st.lists(st.integers(0, 40), max_size=8), group=st.integers(1, 20), file=st.integers(1, 60))
def test_every_row_is_in_exactly_one_file_in_order(tmp_path_factory, sizes, group, file):
    folder = tmp_path_factory.mktemp("w") / "x"
    files = written(folder, sizes, Limits(group_rows=group, file_rows=file))
    read = [pq.read_table(one.path) for one in files]
    assert pa.concat_tables(read).column("n").to_pylist() == list(range(sum(sizes)))
    assert [one.rows for one in files] == [one.num_rows for one in read]
    assert [one.path.name for one in files] == [f"train-{i:05d}-of-{len(files):05d}.parquet" for i in range(len(files))]
    assert sorted(folder.iterdir()) == [one.path for one in files]
    groups = [pq.ParquetFile(one.path).metadata for one in files]
    assert all(meta.row_group(i).num_rows <= group for meta in groups for i in range(meta.num_row_groups))
    assert all(one.rows < file + group for one in files)


def test_bytes_bound_a_row_group_and_a_file_as_rows_do(tmp_path):
    writer = NumberedWriter(tmp_path, "train", SCHEMA, Limits(group_rows=1000, group_bytes=20_000, file_bytes=60_000))
    for start in range(0, 400, 100):
        writer.add(table(start, 100, width=1000))
    files = writer.close()
    assert len(files) > 3
    meta = [pq.ParquetFile(one.path).metadata for one in files]
    assert max(m.row_group(i).num_rows for m in meta for i in range(m.num_row_groups)) < 50
    assert sum(one.rows for one in files) == 400


def test_a_stream_without_rows_gives_one_file_with_the_schema(tmp_path):
    files = written(tmp_path / "x", [], Limits(group_rows=10))
    assert [(one.path.name, one.rows) for one in files] == [("train-00000-of-00001.parquet", 0)]
    assert pq.read_schema(files[0].path).equals(SCHEMA)


def test_the_same_rows_give_the_same_bytes(tmp_path):
    limits = Limits(group_rows=7, file_rows=30)
    one, two = (written(tmp_path / name, [13, 0, 50], limits) for name in "ab")
    assert [a.path.read_bytes() for a in one] == [b.path.read_bytes() for b in two]


def test_a_small_file_is_replaced_whole(tmp_path):
    path = tmp_path / "plan.json"
    write_whole(path, b"old")
    write_whole(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["README.md.0a1b2c3d.part", "dedup.parquet.part"])
def test_half_written_files_are_removed_but_no_folder(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    (tmp_path / "data.part").mkdir()
    (tmp_path / "README.md").write_text("x")
    assert [path.name for path in remove_parts(tmp_path)] == [name]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "data.part"]


def test_a_file_system_that_cannot_sync_folders_costs_one_warning(tmp_path, monkeypatch, caplog):
    """CIFS and some FUSE file systems refuse it; for a file the error counts."""
    real = os.fsync

    def no_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", no_folders)
    for name in ("a", "b"):
        write_whole(tmp_path / name, b"content")
        assert (tmp_path / name).read_bytes() == b"content"
    assert caplog.text.count("cannot sync folders") == 1
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "I/O error")))
    with pytest.raises(OSError, match="I/O error"):
        write_whole(tmp_path / "c", b"content")
    assert not (tmp_path / "c").exists()
