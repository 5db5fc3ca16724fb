"""The files of a release, written range by range: each task joins, counts and writes the shards of one range."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from capgen.dataset.files import Limits, NumberedWriter, part_of, sha256_of
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.quality.release_counts import ReleaseCounts
from capgen.dataset.release_record import CONFIGS, DEFAULT_RULES, DedupRules, ReviewCounts, stem
from capgen.dataset.schema import (
    CAPTIONS,
    CAPTIONS_EMBEDDED,
    DEDUP,
    IMAGE_TYPE,
    MEDIA,
    MEDIA_EMBEDDED,
    OBJECT_FIELDS,
    OBJECT_TYPE,
)
from capgen.dataset.stats import RowOutcome
from capgen.pipeline.releasing.dedup import Duplicates, RepeatedCaption
from capgen.pipeline.releasing.embedded import (
    Embed,
    by_medium,
    embedded_frames,
    embedded_picture,
    object_pictures,
    shown_frames,
)
from capgen.pipeline.releasing.outcomes import JoinedShard, join
from capgen.pipeline.releasing.ranges import ShardRange
from capgen.pipeline.releasing.reviewed import Effect, judged_in
from capgen.pipeline.tasks import Tell

_CAPTIONS_LIMITS = Limits(group_rows=1000)
_MEDIA_LIMITS = Limits(group_rows=500)
_EMBEDDED_LIMITS = Limits(group_rows=100)  # readers, and the Hub's viewer, hold a row group of pictures in memory
_EMBED_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class PackOptions:
    """``embed`` puts a picture of each object into ``captions``, and ``media`` also all pictures into ``media``.

    ``dedup``: which repeated captions are left out; None: none are.

    ``keep_alike``: captions that do not tell their objects apart stay in ``media``, although not in ``captions``.
    """

    embed: Embed | None = None
    dedup: DedupRules | None = DEFAULT_RULES
    keep_alike: bool = True

    @property
    def embed_media(self) -> bool:
        """Whether ``media`` holds the pictures."""
        return self.embed == "media"

    @property
    def captions_schema(self) -> pa.Schema:
        """The schema of the ``captions`` config."""
        return CAPTIONS if self.embed is None else CAPTIONS_EMBEDDED

    @property
    def media_schema(self) -> pa.Schema:
        """The schema of the ``media`` config."""
        return MEDIA_EMBEDDED if self.embed_media else MEDIA


@dataclass(frozen=True, slots=True)
class PackTask:
    """A range to be packed.

    Args:
        folder: takes the files, below a folder of this range's own; every machine must see it.
        reviews: what people had said when the packing began.
        duplicates: what dedup found; None where it is off.
        root: where the dataset's pictures are now.
        bounds: the folder out of which links among the pictures must not lead; None follows all links.
        legacy_root: see ``PlanRecord``.
    """

    out: Path
    shards: ShardRange
    options: PackOptions
    folder: Path
    reviews: ReviewCounts | None
    duplicates: Duplicates | None
    root: Path | str = ""
    bounds: Path | None = None
    legacy_root: str | None = None


class PackedFile(NamedTuple):
    """A finished file of a range."""

    config: str
    path: Path
    rows: int
    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class PackedRange:
    """What a task has made of a range: its files in order, its counts, and the rows of ``OUT/dedup.parquet``."""

    shards: ShardRange
    files: list[PackedFile]
    counts: ReleaseCounts
    effects: Counter[Effect]
    left_out: pa.Table


def pack_range(task: PackTask, tell: Tell) -> PackedRange:
    """Join, count and write the shards of one range.

    Raises:
        LedgerError: candidates and plan disagree.
    """
    folder = task.folder / f"range-{task.shards.number:05d}"
    part = part_of(folder)
    part.mkdir()
    packing = _Packing(task, part)
    reviewed = judged_in(task.out, task.reviews)
    repeated = {} if task.duplicates is None else task.duplicates.of_ranges([task.shards.number])
    for entry in task.shards.shards:
        packing.add(join(task.out, entry, repeated, reviewed, legacy_root=task.legacy_root))
        tell()
    files = packing.close()
    shutil.rmtree(folder, ignore_errors=True)  # of a machine that was lost
    part.rename(folder)
    return PackedRange(
        task.shards,
        [file._replace(path=folder / file.path.relative_to(part)) for file in files],
        packing.counts,
        reviewed.effects,
        pa.concat_tables([DEDUP.empty_table(), *packing.left_out]).combine_chunks(),
    )


class _Packing:
    """The files and counts of a range in the making; each shard is added once, in the order of the plan."""

    def __init__(self, task: PackTask, folder: Path) -> None:
        self.counts = ReleaseCounts()
        self.stats = self.counts.stats
        self.left_out: list[pa.Table] = []
        self._split = task.shards.split
        self._bounds, self._options, self._root = task.bounds, task.options, task.root
        self.stats.open_split(self._split)
        options = task.options
        parts = {
            "captions": (options.captions_schema, _EMBEDDED_LIMITS if options.embed else _CAPTIONS_LIMITS),
            "media": (options.media_schema, _EMBEDDED_LIMITS if options.embed_media else _MEDIA_LIMITS),
        }
        self._writers: dict[str, NumberedWriter] = {}
        for config in CONFIGS:
            (folder / config).mkdir()
            self._writers[config] = NumberedWriter(folder / config, stem(self._split), *parts[config])

    def add(self, shard: JoinedShard) -> None:
        """Write a shard's captions and media, and count them."""
        kept = np.fromiter((outcome.status == "kept" for outcome in shard.outcomes), np.bool_, len(shard.outcomes))
        dup_of = pa.array([outcome.dup_of for outcome in shard.outcomes], pa.string())
        rows = shard.rows.append_column("dup_of", dup_of).filter(pa.array(kept))
        captions = rows.select(CAPTIONS.names).replace_schema_metadata(CAPTIONS.metadata)
        for part in self._caption_tables(shard, captions, kept.tolist()):
            self._writers["captions"].add(part)
        for media in self._media_tables(shard):
            self._writers["media"].add(media)
        repeated = dedup_table(shard.outcomes)
        if repeated.num_rows:
            self.left_out.append(repeated)
        self.counts.add(self._split, len(shard.media), shard.rows, shard.outcomes)

    def close(self) -> list[PackedFile]:
        """Close the files; their records."""
        return [
            PackedFile(config, file.path, file.rows, sha256_of(file.path), file.path.stat().st_size)
            for config, writer in self._writers.items()
            for file in writer.close()
        ]

    def _caption_tables(self, shard: JoinedShard, captions: pa.Table, kept: Sequence[bool]) -> Iterator[pa.Table]:
        """The captioned rows, with the pictures of the objects of a few media at a time where they are embedded."""
        embed = self._options.embed
        if embed is None:
            yield captions
            return
        shown = shown_frames(captions)
        start = 0
        for media, count in by_medium(shard.media, kept):
            frames = shown[start : start + count]
            pictures = object_pictures(embed, Path(self._root, media.folder), media, frames, self._bounds)
            if embed == "crops":
                self.stats.pictures += count
                self.stats.missing_pictures += pictures.count(None)
            column = pa.array(pictures, IMAGE_TYPE)
            part = captions.slice(start, count).append_column("image", column)
            yield part.replace_schema_metadata(CAPTIONS_EMBEDDED.metadata)
            start += count

    def _media_tables(self, shard: JoinedShard) -> Iterator[pa.Table]:
        table = media_table(shard, keep_alike=self._options.keep_alike)
        if not self._options.embed_media:
            yield table
            return
        for start in range(0, table.num_rows, _EMBED_AT_ONCE):
            images = [self._images(media) for media in shard.media[start : start + _EMBED_AT_ONCE]]
            column = pa.array(images, pa.list_(IMAGE_TYPE))
            part = table.slice(start, _EMBED_AT_ONCE).append_column("images", column)
            yield part.replace_schema_metadata(MEDIA_EMBEDDED.metadata)

    def _images(self, media: PlannedMedia) -> list[dict[str, Any] | None]:
        root = Path(self._root, media.folder)
        of_videos = embedded_frames(root, media, self._bounds)
        images = [of_videos.get(name) or embedded_picture(root, name, self._bounds) for name in media.file_names]
        self.stats.pictures += len(images)
        self.stats.missing_pictures += images.count(None)
        return images


def media_table(shard: JoinedShard, *, keep_alike: bool = True) -> pa.Table:
    """A row for each medium of a shard with all of its objects, in the schema ``MEDIA``; see ``PackOptions``."""
    ends = np.cumsum([0, *(len(media.objects) for media in shard.media)], dtype=np.int32)
    columns = {
        name: shard.rows.column(name).combine_chunks() for name in OBJECT_FIELDS if name in shard.rows.column_names
    }
    captions = [outcome.media_caption(keep_alike=keep_alike) for outcome in shard.outcomes]
    columns["caption"] = pa.array(captions, pa.string())
    columns["dropped"] = pa.array([outcome.reason for outcome in shard.outcomes], pa.string())
    columns["dup_of"] = pa.array([outcome.dup_of for outcome in shard.outcomes], pa.string())
    structs = pa.StructArray.from_arrays([columns[name] for name in OBJECT_FIELDS], fields=list(OBJECT_TYPE))
    objects = pa.ListArray.from_arrays(pa.array(ends), structs)
    own = [
        pa.array([getattr(media, field.name) for media in shard.media], field.type)
        for field in MEDIA
        if field.name != "objects"
    ]
    return pa.Table.from_arrays([*own, objects], schema=MEDIA)


def dedup_table(outcomes: Sequence[RowOutcome]) -> pa.Table:
    """The rows that dedup leaves out, in the schema ``DEDUP``."""
    rows = [
        {
            "key": one.key,
            "reasons": [one.reason],
            "message": RepeatedCaption(one.dup_of, one.similarity or 0.0, one.reason).message(),
            "dup_of": one.dup_of,
            "similarity": one.similarity,
        }
        for one in outcomes
        if one.dup_of is not None and one.status == "dropped"
    ]
    return pa.Table.from_pylist(rows, DEDUP)
