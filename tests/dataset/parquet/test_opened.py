"""A Parquet file that unpacks to more than a file of its size may is refused before it is unpacked."""

import resource

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.parquet.opened import UnpacksTooLarge, opened_parquet

MIB = 2**20


def repeated(count, text="x" * MIB):
    """One text many times: a dictionary has it once."""
    return pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int32)), pa.array([text]))


def write(path, table, **options):
    """A file of a stranger: Arrow's own schema is left out, which would keep dictionaries as they are."""
    given = {"compression": "zstd", "store_schema": False, "dictionary_pagesize_limit": 64 * MIB} | options
    pq.write_table(table, path, **given)
    return path


def dictionary(path):
    return write(path, pa.table({"caption": repeated(100_000)}))


def nested(path):
    inner = pa.StructArray.from_arrays([repeated(100_000), pa.array(range(100_000))], ["caption", "n"])
    return write(path, pa.table({"objects": pa.ListArray.from_arrays([0, 100_000], inner)}))


def mapped(path):
    answers = pa.MapArray.from_arrays([0, 100_000], pa.array(map(str, range(100_000))), repeated(100_000))
    return write(path, pa.table({"answers": answers}))


def groups(path, table, count):
    """The same rows in so many row groups."""
    with pq.ParquetWriter(path, table.schema, compression="zstd", use_dictionary=False, write_statistics=False) as file:
        for _ in range(count):
            file.write_table(table)
    return path


def pages(path):
    """Zeros, which zstd makes nothing of: 1.1 GiB."""
    zeros = pa.FixedSizeBinaryArray.from_buffers(pa.binary(MIB), 16, [None, pa.py_buffer(bytes(16 * MIB))])
    return groups(path, pa.table({"picture": zeros.cast(pa.binary())}), 70)


def nulls(path):
    return write(path, pa.table({"n": pa.nulls(4_000_000, pa.int8())}))


def wide_nulls(path):
    return groups(path, pa.table({"n": pa.nulls(10, pa.binary(MIB))}), 120)


def shared_beginnings(path):
    texts = pa.array(["x" * 1000] * 1000)
    options = {"use_dictionary": False, "column_encoding": {"caption": "DELTA_BYTE_ARRAY"}}
    return write(path, pa.table({"caption": texts}), **options)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (dictionary, "'caption' it unpacks to more than 1.0 GiB"),
        (nested, r"'objects\.list\.element\.caption' it unpacks to more than 1.0 GiB"),
        (mapped, r"'answers\.key_value\.value' it unpacks to more than 1.0 GiB"),
        (pages, "'picture' it unpacks to more than"),
        (nulls, "'n' has more than"),
        (wide_nulls, "'n' it unpacks to more than"),
        (shared_beginnings, "DELTA_BYTE_ARRAY hides how long texts are"),
    ],
)
def test_a_file_that_unpacks_to_gigabytes_is_refused_in_little_memory(tmp_path, make, said):
    file = make(tmp_path / "bomb.parquet")
    assert file.stat().st_size < 3 * MIB
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(UnpacksTooLarge, match=said), opened_parquet(file):
        pass
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024, "KiB"


@pytest.mark.parametrize(
    ("make", "column"), [(dictionary, "caption"), (nested, "objects"), (nested, "objects.list.element.caption")]
)
def test_only_columns_that_are_read_are_held_to_the_bound(tmp_path, make, column):
    """A name stands for the column called so and for all inside of it, as it does for pyarrow."""
    file = make(tmp_path / "bomb.parquet")
    bomb = pq.read_schema(file)
    assert len(bomb) == 1
    for other in ("other", column[:-1], f"{column}.more"):
        with opened_parquet(file, ["id", other]) as parquet:
            assert not next(parquet.iter_batches(columns=["id", other])).column_names
    with pytest.raises(UnpacksTooLarge), opened_parquet(file, ["id", column]):
        pass


def test_a_file_whose_footer_says_other_values_than_its_pages_is_refused(tmp_path):
    """A reader trusts the pages: a footer alone proves nothing."""
    file = write(tmp_path / "a.parquet", pa.table({"n": pa.array(range(1000))}), use_dictionary=False)
    start = pq.read_metadata(file).row_group(0).column(0).data_page_offset
    data = bytearray(file.read_bytes())
    place = data.index(b"\xd0\x0f", start)  # 1,000 as Thrift writes it, in the page's header
    data[place : place + 2] = b"\xd2\x0f"
    file.write_bytes(data)
    with (
        pytest.raises(UnpacksTooLarge, match="they have 1001 values, its footer says 1000 in 1000 rows"),
        opened_parquet(file),
    ):
        pass
    data[start : start + 2] = b"\xff\xff"
    file.write_bytes(data)
    with pytest.raises(UnpacksTooLarge, match="the pages of column 'n' cannot be read"), opened_parquet(file):
        pass


def test_a_footer_that_says_more_rows_than_there_are_values_is_refused(tmp_path):
    """A reader makes room for as many rows."""
    file = write(tmp_path / "a.parquet", pa.table({"n": pa.array(range(1000))}), use_dictionary=False)
    data = file.read_bytes()
    footer = len(data) - 8 - int.from_bytes(data[-8:-4], "little")
    head, tail = data[:footer], data[footer:]
    first = tail.index(b"\x16\xd0\x0f")  # the file's rows, then a column's values, then the row group's rows
    last = tail.rindex(b"\x16\xd0\x0f")
    assert first < tail.index(b"\x16\xd0\x0f", first + 1) < last
    file.write_bytes(head + tail[:last] + b"\x16\xfe\x7f" + tail[last + 3 :])
    with pytest.raises(UnpacksTooLarge, match="1000 values, its footer says 1000 in 8191 rows"), opened_parquet(file):
        pass


def test_a_footer_that_is_larger_than_any_is_not_read(tmp_path):
    file = tmp_path / "a.parquet"
    file.write_bytes(b"PAR1" + (2**30).to_bytes(4, "little") + b"PAR1")
    with pytest.raises(UnpacksTooLarge, match="footer"), opened_parquet(file):
        pass


def test_texts_that_are_repeated_often_and_are_short_are_read(tmp_path):
    """By its largest text alone the dictionary could repeat 20 GiB."""
    texts = [f"{n:0500d}" for n in range(2000)]
    numbers = pa.array(np.arange(20_000, dtype=np.int32) % 2000)
    table = pa.table({"message": pa.DictionaryArray.from_arrays(numbers, pa.array(texts)), "n": pa.nulls(20_000)})
    with opened_parquet(write(tmp_path / "a.parquet", table)) as parquet:
        assert parquet.read()["message"].to_pylist() == texts * 10


@pytest.mark.parametrize("options", [{"data_page_version": "2.0"}, {"compression": "none"}, {"use_dictionary": True}])
def test_whatever_pyarrow_writes_is_read(tmp_path, options):
    table = pa.table(
        {
            "text": ["a", None, "bcd"] * 500,
            "number": pa.array([1.5, None, 3.0] * 500, pa.float32()),
            "flag": [True, None, False] * 500,
            "rows": [[{"n": 1, "t": "x"}], [], None] * 500,
            "answers": pa.array([[("a", 1.0)], [], None] * 500, pa.map_(pa.string(), pa.float32())),
            "bytes": pa.array([b"ab", b"cd", None] * 500, pa.binary(2)),
        }
    )
    file = write(
        tmp_path / "a.parquet", table, row_group_size=400, data_page_size=256, write_page_index=True, **options
    )
    with opened_parquet(file) as parquet:
        assert parquet.read().to_pylist() == table.to_pylist()
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), file)
    with opened_parquet(file) as parquet:
        assert parquet.read().num_rows == 0
