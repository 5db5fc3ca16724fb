"""Parts of a source planned side by side: the files and the table are those of one process."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_media
from capgen.errors import UserError
from capgen.pipeline.planning.open_source import WithoutSpecks
from capgen.pipeline.planning.plan import write_plan
from capgen.pipeline.sources.images import sa_1b
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.images.sa_1b import Sa1b
from capgen.pipeline.tasks import LocalProcesses
from tests.conftest import write_lvis
from tests.pipeline.planning.test_plan import Listed
from tests.pipeline.sources.images.test_sa_1b import annotation, encoded, written


@pytest.fixture(scope="module")
def processes():
    with LocalProcesses(2) as tasks:
        yield tasks


def files(out: Path) -> dict[str, bytes]:
    assert not RunLayout(out).scratch.exists()
    return {path.name: path.read_bytes() for path in sorted((out / "plan").iterdir())}


def both(source, tmp_path, processes, **options):
    """The table from one process and from two, which must not differ, nor may the files."""
    told: list[tuple[int, int]] = []
    one = write_plan(source, tmp_path / "one", shard_objects=3, **options)
    two = write_plan(
        source,
        tmp_path / "two",
        shard_objects=3,
        tasks=lambda _: processes,
        progress=lambda *counts: told.append(counts),
        **options,
    )
    assert one == two
    assert files(tmp_path / "one") == files(tmp_path / "two")
    assert told
    assert all(media <= two.media and objects <= two.objects for media, objects in told)
    return two


@pytest.fixture
def splits(tmp_path):
    """LVIS with two splits, as files."""
    root = write_lvis(tmp_path / "lvis", images=5)
    body = json.loads((root / "lvis_v1_train.json").read_text())
    (root / "lvis_v1_val.json").write_text(json.dumps(body))
    return root


def test_annotation_files_are_planned_side_by_side_and_their_shards_numbered_through(tmp_path, splits, processes):
    source = Lvis(splits, split="all")
    assert [part.split for part in source.parts()] == ["train", "val"]
    table = both(source, tmp_path, processes)
    assert table.splits == ("train", "val")
    assert [entry.index for entry in table.shards] == list(range(len(table.shards)))
    back = [medium for entry in table.shards for medium in read_media(tmp_path / "two", entry)]
    assert [msgspec.json.encode(m) for m in back] == [msgspec.json.encode(m) for m in source.scan()]
    assert set(table.folders) == {"lvis/train", "lvis/val"}


@pytest.mark.parametrize("limit", [1, 9, 11, 1000])
def test_a_limit_plans_the_beginning_of_the_same_shards(tmp_path, splits, processes, limit):
    source = Lvis(splits, split="all")
    whole = write_plan(source, tmp_path / "whole", shard_objects=3)
    table = both(source, tmp_path, processes, limit=limit)
    assert table.objects == min(limit, whole.objects)
    assert [e.sha256 for e in table.shards[:-1]] == [e.sha256 for e in whole.shards[: len(table.shards) - 1]]


def test_small_objects_are_left_out_of_every_part(tmp_path, splits, processes):
    source = WithoutSpecks(Lvis(splits, split="all"), 10**6, splits, None)
    table = both(source, tmp_path, processes)
    assert table.objects == 0
    assert table.left_out["small"] > 0


def test_a_part_with_a_mistake_ends_in_its_own_line(tmp_path, splits, processes):
    (splits / "lvis_v1_val.json").write_text("[]")
    with pytest.raises(UserError, match=r"lvis_v1_val\.json is not an? LVIS"):
        write_plan(Lvis(splits, split="all"), tmp_path / "out", shard_objects=3, tasks=lambda _: processes)
    assert not RunLayout(tmp_path / "out").scratch.exists()


class Twins(Listed):
    """Splits whose names are one in file names, each a part."""

    def parts(self):
        return [Listed(**{name: numbers}) for name, numbers in self.splits.items()]


def test_splits_of_two_parts_that_are_one_in_file_names_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"the splits 'a\.b' and 'a_b' of d are one in file names"):
        write_plan(Twins(**{"a.b": [1], "a_b": [1]}), tmp_path, shard_objects=3)


def folders_of_sa_1b(root: Path, numbers: list[list[int]]) -> Sa1b:
    for place, folder in enumerate(numbers):
        for number in folder:
            masks = [annotation(k, encoded(0, 0, 4, 4)) for k in range(2)]
            written(root, *masks, number=number, folder=f"sa_{place:06d}")
    return Sa1b(root)


def test_sa_1b_is_planned_by_folders(tmp_path, processes, monkeypatch):
    monkeypatch.setattr(sa_1b, "_PART_FILES", 2)
    source = folders_of_sa_1b(tmp_path / "sa", [[1, 2, 3], [4], [5], [6]])
    assert [[folder for _, folder in part.folders] for part in source.parts()] == [
        ["sa_000000"],
        ["sa_000001", "sa_000002"],
        ["sa_000003"],
    ]
    table = both(source, tmp_path, processes)
    assert table.media == 6
    assert [entry.media for entry in table.shards] == [2, 1, 2, 1], "a shard ends where a part ends"


def test_an_image_id_that_comes_in_two_folders_is_planned_as_by_one_look_at_all(tmp_path, processes, monkeypatch):
    monkeypatch.setattr(sa_1b, "_PART_FILES", 1)
    source = folders_of_sa_1b(tmp_path / "sa", [[1], [2], [1]])
    table = both(source, tmp_path, processes)
    names = [medium.media_id for entry in table.shards for medium in read_media(tmp_path / "two", entry)]
    assert names == ["1", "2", "1~2"]
