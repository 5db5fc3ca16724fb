"""The files of a release while they are written: built in ``OUT/data.part``, swapped in when they are complete."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from capgen.dataset.files import (
    Limits,
    NumberedWriter,
    open_parquet,
    publish,
    remove_parts,
    sha256_of,
    sync,
    write_whole,
)
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.quality.release_counts import ReleaseCounts
from capgen.dataset.release_record import CONFIGS, DEFAULT_RULES, DedupRules, ReleasedFile, stem
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
from capgen.errors import MissingFile
from capgen.pipeline.releasing.dedup import RepeatedCaption
from capgen.pipeline.releasing.embedded import (
    Embed,
    by_medium,
    embedded_frames,
    embedded_picture,
    object_pictures,
    shown_frames,
)
from capgen.pipeline.releasing.outcomes import JoinedShard

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


class Packing:
    """A release in the making; each shard is added once, in the order of the plan.

    Args:
        root: where the dataset's pictures are now.
        bounds: the folder out of which links among the pictures must not lead; None follows all links.
    """

    def __init__(
        self,
        out: Path,
        splits: Sequence[str],
        options: PackOptions,
        root: Path | str = "",
        bounds: Path | None = None,
    ) -> None:
        self.counts = ReleaseCounts()
        self.stats = self.counts.stats
        self._bounds = bounds
        self._layout, self._options, self._root = RunLayout(out), options, root
        self._folder = self._layout.data_part
        remove_parts(out)
        shutil.rmtree(self._folder, ignore_errors=True)
        parts = {
            "captions": (options.captions_schema, _EMBEDDED_LIMITS if options.embed else _CAPTIONS_LIMITS),
            "media": (options.media_schema, _EMBEDDED_LIMITS if options.embed_media else _MEDIA_LIMITS),
        }
        self._writers: dict[tuple[str, str], NumberedWriter] = {}
        for config in CONFIGS:
            (self._folder / config).mkdir(parents=True)
            for split in splits:
                self._writers[config, split] = NumberedWriter(self._folder / config, stem(split), *parts[config])
                self.stats.open_split(split)
        self._dedup = open_parquet(self._layout.dedup_part, DEDUP)

    def add(self, split: str, shard: JoinedShard) -> None:
        """Write a shard's captions and media, and count them."""
        kept = np.fromiter((outcome.status == "kept" for outcome in shard.outcomes), np.bool_, len(shard.outcomes))
        dup_of = pa.array([outcome.dup_of for outcome in shard.outcomes], pa.string())
        rows = shard.rows.append_column("dup_of", dup_of).filter(pa.array(kept))
        captions = rows.select(CAPTIONS.names).replace_schema_metadata(CAPTIONS.metadata)
        for part in self._caption_tables(shard, captions, kept.tolist()):
            self._writers["captions", split].add(part)
        for media in self._media_tables(shard):
            self._writers["media", split].add(media)
        repeated = dedup_table(shard.outcomes)
        if repeated.num_rows:
            self._dedup.write_table(repeated)
        self.counts.add(split, len(shard.media), shard.rows, shard.outcomes)

    def finish(self) -> list[ReleasedFile]:
        """Close the files; their records, with the paths that they are going to have under OUT.

        Raises:
            MissingFile: pictures were to be embedded and not one was found.
        """
        self._dedup.close()
        files = [(config, split, file) for (config, split), writer in self._writers.items() for file in writer.close()]
        if self.stats.pictures and self.stats.missing_pictures == self.stats.pictures:
            raise MissingFile("every picture that was to be embedded", "give the folder that holds them with --root")
        return [
            ReleasedFile(
                path=self._layout.record_of(self._layout.data_dir / config / file.path.name),
                sha256=sha256_of(file.path),
                bytes=file.path.stat().st_size,
                config=config,
                split=split,
                rows=file.rows,
            )
            for config, split, file in files
        ]

    def swap(self, readme: str) -> None:
        """Replace OUT's release by this one; its record is removed first, because it is no longer true."""
        data, old = self._layout.data_dir, self._layout.data_old
        self._layout.release_json.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        if data.exists():
            data.rename(old)
        self._folder.rename(data)
        sync(self._layout.out)
        shutil.rmtree(old, ignore_errors=True)
        publish(self._layout.dedup_part, self._layout.dedup)
        write_whole(self._layout.card, readme.encode())

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
