"""A release put together from its ranges in ``OUT/data.part``, and swapped in when it is complete."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from capgen.dataset.files import open_parquet, publish, remove_parts, sync, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.release_counts import ReleaseCounts
from capgen.dataset.release_record import CONFIGS, ReleasedFile, stem
from capgen.dataset.schema import DEDUP
from capgen.errors import MissingFile
from capgen.pipeline.releasing.release_writer import PackedFile, PackedRange


class Assembly:
    """A release in the making; each range is added once, in the order of the plan."""

    def __init__(self, out: Path, splits: Sequence[str]) -> None:
        self.counts = ReleaseCounts()
        self._layout, self._splits = RunLayout(out), splits
        self._files: dict[tuple[str, str], list[tuple[PackedFile, tuple[int, int]]]] = {}
        remove_parts(out)
        shutil.rmtree(self._layout.data_part, ignore_errors=True)
        for config in CONFIGS:
            (self._layout.data_part / config).mkdir(parents=True)
        for split in splits:
            self.counts.stats.open_split(split)
        self._dedup = open_parquet(self._layout.dedup_part, DEDUP)

    def add(self, packed: PackedRange) -> None:
        """Take a range's files and counts."""
        for file in packed.files:
            self._files.setdefault((file.config, packed.shards.split), []).append((file, packed.shards.span))
        if packed.left_out.num_rows:
            self._dedup.write_table(packed.left_out)
        self.counts.merge(packed.counts)

    def finish(self) -> list[ReleasedFile]:
        """Give the files their names; their records, with the paths that they are going to have under OUT.

        Raises:
            MissingFile: pictures were to be embedded and not one was found.
        """
        self._dedup.close()
        stats = self.counts.stats
        if stats.pictures and stats.missing_pictures == stats.pictures:
            raise MissingFile("every picture that was to be embedded", "give the folder that holds them with --root")
        named = [file for config in CONFIGS for split in self._splits for file in self._named(config, split)]
        for config in CONFIGS:
            sync(self._layout.data_part / config)
        return named

    def _named(self, config: str, split: str) -> list[ReleasedFile]:
        """The files of a split that have rows, or one without any, which has the schema."""
        found = self._files.pop((config, split), [])
        files = [(file, span) for file, span in found if file.rows] or found[:1]
        records = []
        for number, (file, span) in enumerate(files):
            name = f"{stem(split)}-{number:05d}-of-{len(files):05d}.parquet"
            file.path.rename(self._layout.data_part / config / name)
            records.append(
                ReleasedFile(
                    path=self._layout.record_of(self._layout.data_dir / config / name),
                    sha256=file.sha256,
                    bytes=file.bytes,
                    config=config,
                    split=split,
                    rows=file.rows,
                    shards=span,
                )
            )
        return records

    def swap(self, readme: str) -> None:
        """Replace OUT's release by this one; its record is removed first, because it is no longer true."""
        data, old = self._layout.data_dir, self._layout.data_old
        self._layout.release_json.unlink(missing_ok=True)
        shutil.rmtree(old, ignore_errors=True)
        if data.exists():
            data.rename(old)
        self._layout.data_part.rename(data)
        sync(self._layout.out)
        shutil.rmtree(old, ignore_errors=True)
        publish(self._layout.dedup_part, self._layout.dedup)
        write_whole(self._layout.card, readme.encode())
