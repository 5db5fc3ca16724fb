"""Runs made by hand: planned media in a run's folder, and the rows that an engine would have left there."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from capgen.dataset.card import CardInfo
from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PLAN_VERSION, PlannedMedia, PlannedObject, PlanRecord, ShardEntry, ShardTable
from capgen.dataset.reader import read_plan
from capgen.dataset.release_record import Counts, Release, ReleasedFile
from capgen.dataset.row import Row
from capgen.dataset.shards import write_candidates
from capgen.dataset.types import Media, MediaObject
from capgen.pipeline.planning.plan import write_plan_json
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.sources.reading.decode import decode_media

FINGERPRINT = "f" * 64
CARD = CardInfo(
    template="lvis",
    title="Tiny captions",
    dataset="tiny",
    kind="image",
    license_source="made for a test",
    license_captions="cc-by-4.0",
)


def planned_image(media_id: str, objects: int = 2, split: str = "train", **more) -> PlannedMedia:
    """An image of 64x48 pixels with a rectangle for each object."""
    boxes = [(2 + 7 * number, 3 + number, 6, 9) for number in range(objects)]
    polygons = [[[x, y, x + w, y, x + w, y + h, x, y + h]] for x, y, w, h in boxes]
    values = {
        "dataset": "tiny",
        "split": split,
        "media_id": media_id,
        "kind": "image",
        "file_names": (f"{media_id}.jpg",),
        "width": 64,
        "height": 48,
        "license": "4",
        "objects": tuple(
            PlannedObject(
                object_id=f"{media_id}{number}",
                category_id=1 + number % 2,
                category=("cup", "tea_pot")[number % 2],
                segmentation=msgspec.Raw(json.dumps(polygon).encode()),
            )
            for number, polygon in enumerate(polygons)
        ),
    }
    return PlannedMedia(**values | more)


def rows_of(planned: PlannedMedia, change: Callable[[Row], Row] = lambda row: row) -> list[Row]:
    """A kept row for each object, with a caption of its own, after `change`."""
    media = decode_media(planned, "")
    return [change(row_of(media, item)) for item in media.objects]


def row_of(media: Media, item: MediaObject) -> Row:
    """A kept row."""
    visible = item.visible
    size = [media.height, media.width]
    row = Row(
        key=item.key,
        **media.header() | {"license": None},
        object_id=item.object_id,
        category_id=item.category_id,
        category=item.category,
        frame_index=visible,
        segmentation=tuple({"size": size, "counts": item.counts[i]} for i in visible),
        bbox=tuple(item.boxes[i] for i in visible),
        area=tuple(item.areas[i] for i in visible),
        caption=f"A {item.category} numbered {item.object_id}.",
        status="kept",
        reasons=(),
        message=None,
        model="tiny/model",
        model_revision="r1",
        engine="echo",
        prompt="shared-crop_v1",
        prompt_sha256="a" * 64,
        highlight="crop+box",
        seed=0,
        finish_reason="stop",
        prompt_tokens=40,
        cached_tokens=30,
        output_tokens=6,
        attempts=1,
        request_sha256="b" * 64,
    )
    return failed(row, item.fault.reason) if item.fault else row


def dropped(row: Row, *reasons: str) -> Row:
    """The row as a check would have left it."""
    return msgspec.structs.replace(row, status="dropped", reasons=reasons, message=f"because of {reasons[0]}")


def failed(row: Row, reason: str) -> Row:
    """The row of an object that never got an answer."""
    return msgspec.structs.replace(
        row, status="failed", reasons=(reason,), message="no answer", caption=None, finish_reason=None
    )


def said(row: Row, caption: str) -> Row:
    """The row with another caption."""
    return msgspec.structs.replace(row, caption=caption)


@dataclass(frozen=True)
class TinyRun:
    """A planned run in `out`, one shard for each list of media; every shard is of one split."""

    out: Path
    shards: Sequence[Sequence[PlannedMedia]]
    table: ShardTable

    def commit(self, *indices: int, change: Callable[[Row], Row] = lambda row: row) -> TinyRun:
        """Commit these shards, or all."""
        for index in indices or range(len(self.shards)):
            rows = [row for media in self.shards[index] for row in rows_of(media, change)]
            write_candidates(rows, self.out, index, {"fingerprint": FINGERPRINT})
        return self

    def pack(self, **options) -> Release:
        """The release, with a card of the test's own unless `card` is given."""
        return pack(self.out, read_plan(self.out), **{"card": CARD} | options)


def plan_run(out: Path, shards: Sequence[Sequence[PlannedMedia]], root: str = "/nowhere") -> TinyRun:
    """Write the plan of a run."""
    RunLayout(out).plan_dir.mkdir(parents=True)
    entries = []
    for index, media in enumerate(shards):
        data = b"".join(msgspec.json.encode(one) + b"\n" for one in media)
        name = f"{index:05d}.jsonl"
        RunLayout(out).plan_file(name).write_bytes(data)
        objects = sum(len(one.objects) for one in media)
        entries.append(
            ShardEntry(
                index=index,
                split=media[0].split,
                media=len(media),
                objects=objects,
                file=name,
                sha256=hashlib.sha256(data).hexdigest(),
            )
        )
    folders = {f"{one.dataset}/{one.split}": (one.folder,) for media in shards for one in media if one.file_names}
    table = ShardTable(shards=tuple(entries), folders=folders)
    write_plan_json(
        out,
        PlanRecord(version=PLAN_VERSION, fingerprint=FINGERPRINT, root=root, folders=folders, shards=table.shards),
    )
    return TinyRun(out, shards, table)


def record_release(out: Path) -> None:
    """Write the ``release.json`` that fits the Parquet files in ``out``, as whoever changes a release would."""
    layout = RunLayout(out)
    files = [
        ReleasedFile(
            path=layout.record_of(path),
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            config=path.parent.name,
            split="train",
        )
        for path in sorted(layout.data_dir.glob("*/*.parquet"))
    ]
    release = Release(
        version="1",
        fingerprint=FINGERPRINT,
        inputs="",
        dedup=True,
        embed_media=False,
        shards=1,
        shards_planned=1,
        media=1,
        counts=Counts(planned=1, kept=1, dropped={}, failed={}),
        missing_pictures=0,
        files=tuple(files),
    )
    layout.release_json.write_bytes(msgspec.json.encode(release))


def three_shards(out: Path, root: str = "/nowhere") -> TinyRun:
    """Two shards of train and one of val: five images, one of them without objects; eight objects."""
    return plan_run(
        out,
        [
            [planned_image("1"), planned_image("2")],
            [planned_image("3", objects=0), planned_image("4")],
            [planned_image("5", split="val")],
        ],
        root,
    )
