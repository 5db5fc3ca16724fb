"""What cannot be read is one line that names the file and what to do; an OUT may come from a stranger."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset import reader
from capgen.dataset.layout import RunLayout
from capgen.dataset.release_record import check_released, released_files
from capgen.dataset.schema import CANDIDATES
from capgen.encoding import is_below
from capgen.errors import CapgenError, LedgerError, MissingFile, UnknownName, UserError
from capgen.pipeline.checks.lint import lint_file
from tests.tiny_runs import dropped, planned_image, three_shards


@pytest.fixture
def run(tmp_path):
    run = three_shards(tmp_path / "out").commit(
        change=lambda row: dropped(row, "length") if row.object_id == "10" else row
    )
    run.pack()
    return run


def rewritten(path, change):
    """A Parquet file with a changed table."""
    table = change(pq.read_table(path))
    pq.write_table(table, path)


def assert_one_line(error, *said):
    text = str(error.value)
    assert isinstance(error.value, CapgenError)
    assert "\n" not in text
    assert all(part in text for part in said), text


def test_a_release_is_read_as_it_was_written(run):
    captions = dict(reader.released_captions(run.out))
    media = [reader.media_of(b, i) for b in reader.media_batches(run.out, "train", rows=3) for i in range(b.num_rows)]
    assert [one.media_id for one in media] == ["1", "2", "3", "4"]
    assert (media[0].license, media[0].width, media[2].objects) == ("4", 64, ())
    first, second = media[0].objects
    assert (first.caption, first.dropped) == (None, "length")
    assert (second.dropped, second.caption) == (None, captions[media[0].key_of(second.object_id)])
    assert second.segmentation[0]["size"] == [48, 64]
    assert second.bbox == ((9.0, 4.0, 6.0, 9.0),)
    assert len(captions) == 7


def test_a_light_read_has_what_is_counted_and_no_masks(run):
    (batch,) = reader.media_batches(run.out, "val", rows=9, light=True)
    (one,) = reader.media_of(batch, 0).objects[:1]
    assert (one.category, one.frame_index, one.segmentation) == ("cup", (0,), ())
    assert one.caption


@pytest.mark.parametrize("name", ["category", "reasons"])
def test_text_that_is_no_utf_8_is_damage_that_is_named(run, name):
    path = RunLayout(run.out).candidates(0)

    def spoilt(table):
        place, field = table.column_names.index(name), table.schema.field(name)
        count = table.num_rows
        values = pa.array([b"\xff\xfe"] * count).view(pa.string())
        if name == "reasons":
            values = pa.ListArray.from_arrays(pa.array(range(count + 1), pa.int32()), values)
        return table.set_column(place, field, values.cast(field.type, safe=False))

    rewritten(path, spoilt)
    with pytest.raises(LedgerError) as error:
        list(reader.read_rows(path))
    assert_one_line(error, str(path), "UTF8")
    with pytest.raises(UserError) as error:
        list(lint_file(path))
    assert_one_line(error, str(path), "UTF8")


def test_splits_and_releases_that_are_not_there_are_named(run, tmp_path):
    with pytest.raises(UnknownName, match="did you mean 'train'"):
        list(reader.media_batches(run.out, "trian", rows=9))
    with pytest.raises(MissingFile, match="capgen run"):
        list(reader.media_batches(tmp_path, "train", rows=9))
    with pytest.raises(MissingFile, match="capgen run"):
        list(reader.released_captions(tmp_path))


@pytest.mark.parametrize("damage", ["missing", "half", "empty"])
def test_a_damaged_parquet_file_is_named_with_the_remedy(run, damage):
    path = RunLayout(run.out).candidates(1)
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200] if damage == "half" else b"")
    with pytest.raises(LedgerError) as error:
        list(reader.read_rows(path))
    assert_one_line(error, str(path), "run the same command again")
    file = released_files(run.out, "captions")[0]
    file.write_bytes(b"PAR1")
    with pytest.raises(LedgerError) as error:
        list(reader.released_captions(run.out))
    assert_one_line(error, str(file), "release.json")


def test_a_release_is_the_files_of_its_record_with_their_hashes(run):
    (run.out / "data" / "captions" / "train-00001-of-00001.parquet").write_bytes(b"of somebody else")
    assert len(dict(reader.released_captions(run.out))) == 7, "what no record names is not read"
    file = released_files(run.out, "captions")[0]
    whole = file.read_bytes()
    file.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with pytest.raises(LedgerError) as error:
        list(reader.released_captions(run.out))
    assert_one_line(error, str(file), "is not the file that release.json records")


@pytest.mark.parametrize("path", ["/etc/passwd", "../other/data/captions/a.parquet", "C:\\\\secret", ""])
def test_a_record_that_names_files_outside_is_refused(run, path):
    file = RunLayout(run.out).release_json
    record = json.loads(file.read_bytes())
    record["files"][0]["path"] = path
    file.write_text(json.dumps(record))
    for read in (lambda: list(reader.released_captions(run.out)), lambda: check_released(run.out, "media")):
        with pytest.raises(LedgerError) as error:
            read()
        assert_one_line(error, str(file), "outside of its folder")


def test_without_its_record_there_is_no_release(run):
    RunLayout(run.out).release_json.unlink()
    for read in (reader.released_captions, lambda out: reader.media_batches(out, "train", rows=9)):
        with pytest.raises(MissingFile, match=r"release\.json"):
            list(read(run.out))


def test_a_missing_column_is_named_with_the_remedy(run):
    path = RunLayout(run.out).candidates(0)
    rewritten(path, lambda table: table.drop_columns(["caption"]))
    for read in (lambda: list(reader.read_rows(path)), lambda: reader.read_columns(run.out, 0, ("key", "caption"))):
        with pytest.raises(LedgerError) as error:
            read()
        assert_one_line(error, str(path), "no column 'caption'", "run the same command again")


def test_a_column_of_another_type_is_one_line(run):
    path = RunLayout(run.out).candidates(0)
    rewritten(path, lambda table: table.set_column(0, table.column_names[0], pa.array([1] * table.num_rows)))
    with pytest.raises(LedgerError) as error:
        reader.read_columns(run.out, 0)
    assert_one_line(error, str(path), "has a column of another type", "run the same command again")


def test_a_column_that_came_later_is_null_in_older_files(run):
    path = RunLayout(run.out).candidates(0)
    rewritten(path, lambda table: table.drop_columns(["coco_url"]))
    assert {row.coco_url for row in reader.read_rows(path)} == {None}
    assert reader.read_columns(run.out, 0).schema == CANDIDATES


def test_a_run_from_before_confidence_and_second_tries_is_read(run):
    path = RunLayout(run.out).candidates(0)
    rewritten(path, lambda table: table.drop_columns(["logprob_min", "logprob_mean", "tries", "answers"]))
    rows = list(reader.read_rows(path))
    assert {(row.logprob_min, row.logprob_mean, row.tries, row.answers) for row in rows} == {(None, None, 1, ())}


def test_a_column_of_a_newer_capgen_is_left_alone(run):
    path = RunLayout(run.out).candidates(0)
    before = list(reader.read_rows(path))
    rewritten(path, lambda table: table.append_column("mood", pa.array(["calm"] * len(table))))
    assert list(reader.read_rows(path)) == before


def test_a_foreign_version_is_named(run):
    path = RunLayout(run.out).candidates(0)
    rewritten(path, lambda table: table.replace_schema_metadata({"capgen_schema_version": "9"}))
    with pytest.raises(LedgerError) as error:
        list(reader.read_rows(path))
    assert_one_line(error, str(path), "version '9'", "use the capgen that wrote it")
    file = RunLayout(run.out).plan_json
    file.write_text(json.dumps(json.loads(file.read_bytes()) | {"version": "9"}))
    with pytest.raises(LedgerError) as error:
        reader.read_plan(run.out)
    assert_one_line(error, str(file), "version '9'")


@pytest.mark.parametrize("body", ["", "{}", "[1]", '{"version": "2", "fingerprint": 3, "shards": []}', "\xff"])
def test_a_damaged_plan_is_named(run, body):
    file = RunLayout(run.out).plan_json
    file.write_text(body, "latin-1")
    with pytest.raises(LedgerError) as error:
        reader.read_plan(run.out)
    assert_one_line(error, str(file), "restore it")


def test_pictures_of_a_release_that_are_not_where_one_says_are_refused(run, tmp_path):
    for number in (1, 2):
        (tmp_path / f"{number}.jpg").write_bytes(b"")
    assert reader.release_folders(run.out, tmp_path)["*"] == (str(tmp_path),)
    with pytest.raises(UserError) as error:
        reader.release_folders(run.out, tmp_path / "elsewhere")
    assert_one_line(error, str(tmp_path / "elsewhere"), "/nowhere", "1.jpg")


def test_no_name_is_looked_for_outside_of_the_root(tmp_path):
    run = three_shards(tmp_path / "out")
    assert run.table.media == 5
    for name in ("../x.jpg", "/etc/passwd", "a/../../x", "C:\\x", "\\\\host\\x", ""):
        assert not is_below(name)
    assert is_below(planned_image("1").file_names[0])
