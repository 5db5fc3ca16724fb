"""A release that somebody else made or changed: training on it works, or ends in one line."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.cli.maskcaptioner import _validation_scores
from capgen.cli.training import Seams
from capgen.errors import CapgenError
from capgen.pipeline.running.own_runs import note_import
from tests.maskcaptioner.training.trainings import learn
from tests.tiny_runs import record_release

SHORT = (
    *("stages.images.steps=1", "stages.clips.steps=1", "stages.clips.accumulate=1"),
    *("validation.every=1", "validation.split=train", "validation.pictures=1"),
)


@pytest.fixture
def copy(home, tmp_path):
    """The releases and the training file, free to be changed."""
    for name in ("images", "videos"):
        shutil.copytree(home / name, tmp_path / name)
        note_import(tmp_path / name)
    shutil.copy(home / "tiny.toml", tmp_path)
    return tmp_path


def change(copy, edit, name="images"):
    """Edit the rows of a release's media."""
    for file in (copy / name / "data" / "media").glob("*.parquet"):
        table = pq.read_table(file)
        pq.write_table(pa.Table.from_pylist([edit(row) for row in table.to_pylist()], table.schema), file)
    record_release(copy / name)


@pytest.mark.parametrize("category", ["cup\nmug", "cup\rmug", "\x1b[31mcup", "c" * 5000])
def test_an_odd_name_of_a_class_does_not_end_the_training_at_its_first_validation(copy, category):
    def named(row):
        for one in row["objects"]:
            one["category"] = category
        return row

    for name in ("images", "videos"):
        change(copy, named, name)
    learn(copy, copy / "out", *SHORT, seams=Seams(score=_validation_scores))
    assert (copy / "out" / "model" / "model.safetensors").is_file()


def without(key):
    return lambda row: {**row, key: None}


def objects(**values):
    return lambda row: {**row, "objects": [{**one, **values} for one in row["objects"]]}


TAMPERED = {
    "no height": lambda copy: change(copy, without("height")),
    "no files": lambda copy: change(copy, without("file_names")),
    "masks cut off": lambda copy: change(copy, objects(segmentation=[{"size": [1, 1], "counts": "0"}])),
    "frames that are not there": lambda copy: change(copy, objects(frame_index=[99])),
    "negative size": lambda copy: change(copy, lambda row: {**row, "width": -1}),
    "damaged picture": lambda copy: change(copy, lambda row: {**row, "images": [{"bytes": b"x", "path": "x"}]}),
    "empty plan": lambda copy: (copy / "images" / "plan.json").write_bytes(b""),
    "no record": lambda copy: (copy / "images" / "release.json").unlink(),
    "plan of a list": lambda copy: (copy / "images" / "plan.json").write_text(json.dumps([1])),
    "no Parquet": lambda copy: [f.write_bytes(b"x") for f in (copy / "images" / "data" / "media").glob("*")],
}


@pytest.mark.parametrize("kind", TAMPERED)
def test_a_tampered_release_ends_in_one_line(copy, kind):
    TAMPERED[kind](copy)
    with pytest.raises(CapgenError) as refused:
        learn(copy, copy / "out", *SHORT)
    assert len(str(refused.value).splitlines()) == 1


def test_a_release_of_other_bytes_than_its_record_says_is_not_learnt_from(copy):
    file = next((copy / "images" / "data" / "media").glob("*.parquet"))
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(CapgenError, match=r"is not the file that release\.json records"):
        learn(copy, copy / "out", *SHORT)
    assert not (copy / "out" / "checkpoints").exists()
