from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.dataset.plan import PlannedMedia, PlannedObject, ShardTable
from capgen.dataset.reader import read_media
from capgen.errors import UserError
from capgen.pipeline.planning.open_source import file_sha256
from capgen.pipeline.planning.plan import write_plan
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from tests.pipeline.sources.files import SQUARE, lvis, lvis_root
from tests.tiny_runs import planned_image


class Listed:
    """A source of so many objects a medium, in splits."""

    files = ()

    def __init__(self, **splits: list[int]) -> None:
        self.splits = splits

    def scan(self) -> Iterator[PlannedMedia]:
        for split, numbers in self.splits.items():
            for media_id, number in enumerate(numbers):
                objects = tuple(
                    PlannedObject(object_id=str(i), segmentation=msgspec.Raw(json.dumps(SQUARE).encode()))
                    for i in range(number)
                )
                yield PlannedMedia(
                    dataset="d",
                    split=split,
                    media_id=str(media_id),
                    kind="image",
                    file_names=("a.jpg",),
                    width=8,
                    height=6,
                    objects=objects,
                )


def planned(out: Path, table: ShardTable) -> list[PlannedMedia]:
    return [medium for entry in table.shards for medium in read_media(out, entry)]


def keys(media: list[PlannedMedia]) -> list[tuple[str, str, str]]:
    return [(medium.split, medium.media_id, item.object_id) for medium in media for item in medium.objects]


def test_a_shard_is_full_once_it_holds_enough_objects(tmp_path: Path) -> None:
    table = write_plan(Listed(train=[2, 1, 0, 4, 5, 1, 0]), tmp_path, shard_objects=3)
    assert [(entry.media, entry.objects) for entry in table.shards] == [(2, 3), (2, 4), (1, 5), (2, 1)]
    assert [entry.index for entry in table.shards] == [0, 1, 2, 3]
    assert (table.media, table.objects) == (7, 13)


def test_a_shard_never_holds_two_splits(tmp_path: Path) -> None:
    table = write_plan(Listed(train=[1, 1], val=[1]), tmp_path, shard_objects=100)
    assert [(entry.split, entry.media) for entry in table.shards] == [("train", 2), ("val", 1)]
    for entry in table.shards:
        assert {medium.split for medium in read_media(tmp_path, entry)} == {entry.split}


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.integers(0, 5), max_size=12),
    st.lists(st.integers(0, 5), max_size=4),
    st.integers(1, 9),
    st.none() | st.integers(1, 40),
)
def test_every_object_is_planned_once_in_the_order_of_the_source(
    train: list[int], val: list[int], shard_objects: int, limit: int | None
) -> None:
    source = Listed(train=train, val=val)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        table = write_plan(source, out, shard_objects=shard_objects, limit=limit)
        media = planned(out, table)
    assert keys(media) == keys(list(source.scan()))[:limit]
    assert table.objects == len(keys(media))
    assert table.media == len(media)


@pytest.mark.parametrize(("limit", "media"), [(1, 1), (2, 1), (3, 2), (5, 3), (6, 3), (7, 4)])
def test_a_limit_plans_exactly_so_many_objects(tmp_path: Path, limit: int, media: int) -> None:
    table = write_plan(Listed(train=[2, 2, 2, 3]), tmp_path, shard_objects=100, limit=limit)
    assert (table.objects, table.media) == (limit, media)


def test_the_table_has_each_files_hash(tmp_path: Path) -> None:
    table = write_plan(Listed(train=[3, 3]), tmp_path, shard_objects=3)
    for entry in table.shards:
        path = tmp_path / "plan" / entry.file
        assert entry.sha256 == file_sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_table_survives_json(tmp_path: Path) -> None:
    table = write_plan(Listed(train=[3, 3]), tmp_path, shard_objects=3)
    assert msgspec.json.decode(msgspec.json.encode(table), type=ShardTable) == table


def test_planning_again_gives_the_same_bytes_and_leaves_nothing_of_an_older_plan(tmp_path: Path) -> None:
    write_plan(Listed(train=[1] * 9), tmp_path, shard_objects=1)
    (tmp_path / "plan" / "00003.jsonl.part").write_text("torn")
    (tmp_path / "plan" / "notes.txt").write_text("the user's own")
    first = write_plan(Listed(train=[2, 1]), tmp_path, shard_objects=2)
    again = write_plan(Listed(train=[2, 1]), tmp_path, shard_objects=2)
    assert again == first
    assert sorted(path.name for path in (tmp_path / "plan").iterdir()) == ["00000.jsonl", "00001.jsonl", "notes.txt"]


def test_a_source_of_nothing_is_a_plan_of_nothing(tmp_path: Path) -> None:
    assert write_plan(Listed(), tmp_path, shard_objects=5) == ShardTable(shards=())


def test_a_file_with_line_breaks_inside_its_masks_is_planned_as_one_line_a_medium(tmp_path: Path) -> None:
    data = lvis()
    data["categories"][0]["name"] = "two  blanks stay apart in  names"
    root = lvis_root(tmp_path / "root", json.dumps(data, indent=2).encode())
    table = write_plan(Lvis(root), tmp_path, shard_objects=100)
    text = (tmp_path / "plan" / "00000.jsonl").read_bytes()
    assert text.count(b"\n") == table.media == 3
    media = planned(tmp_path, table)
    assert json.loads(bytes(media[0].objects[0].segmentation)) == SQUARE
    assert [item.areas for item in decode_media(media[0], "").objects] == [(16,), (4,)]


def test_what_is_read_back_is_what_was_scanned(tmp_path: Path) -> None:
    root = lvis_root(tmp_path / "root", lvis())
    table = write_plan(Lvis(root), tmp_path, shard_objects=1)
    for back, scanned in zip(planned(tmp_path, table), Lvis(root).scan(), strict=True):
        assert msgspec.json.encode(back) == msgspec.json.encode(scanned)


def test_progress_is_told_after_every_shard(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    write_plan(
        Listed(train=[2, 2, 2]),
        tmp_path,
        shard_objects=2,
        progress=lambda media, objects: told.append((media, objects)),
    )
    assert told == [(1, 2), (2, 4), (3, 6)]


def test_a_file_of_another_kind_leaves_no_shard_behind(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        write_plan(Lvis(lvis_root(tmp_path / "root", {})), tmp_path, shard_objects=1)
    assert list((tmp_path / "plan").iterdir()) == []


@pytest.mark.parametrize("split", ["all", "ALL", "a b", "", "ü-1"])
def test_a_split_that_datasets_cannot_load_is_refused(tmp_path: Path, split: str) -> None:
    with pytest.raises(UserError, match="which `datasets` cannot load"):
        write_plan(Listed(**{split: [1]}), tmp_path, shard_objects=3)


def test_two_splits_that_are_one_in_file_names_are_refused(tmp_path):
    class Splits:
        files = ()

        def scan(self):
            yield planned_image("1", split="a.b")
            yield planned_image("2", split="a_b")

    with pytest.raises(UserError, match=r"the splits 'a\.b' and 'a_b' of tiny are one in file names"):
        write_plan(Splits(), tmp_path, shard_objects=5)
