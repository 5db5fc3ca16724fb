"""A release against what it was made from: its files as recorded, its rows as the candidates' outcomes say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from capgen.dataset.card import strange_configs
from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.reader import parquet_batches
from capgen.dataset.release_record import CONFIGS, Release, ReleasedFile
from capgen.dataset.schema import CAPTIONS, DEDUP, MEDIA
from capgen.dataset.stats import RowOutcome

Note = Callable[[str], None]
"""Is told each problem in a sentence."""

_REMEDY = "delete release.json and run the same command again"
_BATCH_ROWS = 500
_OBJECT = "objects.list.element"
_COLUMNS = {
    "captions": (CAPTIONS, ("key", "caption", "dup_of")),
    "media": (MEDIA, ("media_id", *(f"{_OBJECT}.{name}" for name in ("object_id", "caption", "dropped")))),
    "dedup": (DEDUP, ("key", "dup_of")),
}


class ReleaseAudit:
    """Reads a release's rows alongside the shards, in the order of the plan, and notes where they part.

    Args:
        splits: the splits of the plan.
        note: takes the problems.
    """

    def __init__(self, out: Path, release: Release, splits: Sequence[str], note: Note) -> None:
        self._note, self._keep_alike = note, release.keep_alike
        self._marks = release.dedup_rules is not None
        bad = {file.path for file in release.files if not _as_recorded(out, file, note)}
        _note_strangers(out, release, note)
        _note_configs(out, note)
        named = [(config, split, release.of(config, split)) for config in CONFIGS for split in splits]
        dedup = [file for file in release.files if file.path == RunLayout(out).record_of(RunLayout(out).dedup)]
        known = release.dedup_rules is not None or not release.dedup  # older releases have another column
        self._streams = {
            (config, split): _Stream(out, config, files)
            for config, split, files in [*named, *([("dedup", "", dedup)] if known else [])]
            if not bad.intersection(file.path for file in files)
        }

    def compare(self, split: str, media: Sequence[PlannedMedia], outcomes: Sequence[RowOutcome]) -> None:
        """The next shard of the plan: what the release must hold of it, and whether it does."""
        captions = ((v.key, v.caption, v.dup_of if self._marks else None) for v in outcomes if v.status == "kept")
        self._expect("captions", split, captions)
        self._expect("media", split, _media_rows(media, outcomes, keep_alike=self._keep_alike))
        left_out = (v for v in outcomes if v.dup_of is not None and v.status == "dropped")
        self._expect("dedup", "", ((v.key, v.dup_of) for v in left_out))

    def give_up(self, split: str) -> None:
        """The next shard cannot be read: nothing more can be said of its split."""
        for name in [*((config, split) for config in CONFIGS), ("dedup", "")]:
            self._streams.pop(name, None)

    def finish(self) -> None:
        """After the last shard: nothing may be left over."""
        for stream in self._streams.values():
            left = next(stream, None)
            if left is not None:
                self._note(f"{stream.name} holds {left[0]}, which no candidate says; {_REMEDY}")
        self._streams.clear()

    def _expect(self, config: str, split: str, rows: Iterable[tuple[Any, ...]]) -> None:
        stream = self._streams.get((config, split))
        if stream is None:
            return
        for row in rows:
            found = next(stream, None)
            if found != row:
                what = "ends" if found is None else f"has {found[0]}"
                where = row[0] if found is None or found[0] != row[0] else f"{row[0]} with other contents"
                self._note(f"{stream.name} {what} where the candidates have {where}; {_REMEDY}")
                del self._streams[config, split]
                return


class _Stream:
    """The rows of a config and split over all of its files, as plain tuples."""

    def __init__(self, out: Path, config: str, files: Sequence[ReleasedFile]) -> None:
        self.name = files[0].path if files else f"the release's {config}"
        self._out, self._config, self._files = out, config, files
        self._rows = self._read()

    def __next__(self) -> tuple[Any, ...]:
        return next(self._rows)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        return self

    def _read(self) -> Iterator[tuple[Any, ...]]:
        for file in self._files:
            self.name = file.path
            schema, columns = _COLUMNS[self._config]
            path = RunLayout(self._out).released(file.path)
            for batch in parquet_batches(path, schema, columns, rows=_BATCH_ROWS):
                yield from map(_plain, batch.to_pylist())


def _plain(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(tuple(map(_plain, value)) if isinstance(value, list) else value for value in row.values())


def _media_rows(
    media: Sequence[PlannedMedia], outcomes: Sequence[RowOutcome], *, keep_alike: bool
) -> Iterator[tuple[Any, ...]]:
    said = {outcome.key: outcome for outcome in outcomes}
    for one in media:
        of_medium = [said[one.key_of(item.object_id)] for item in one.objects]
        yield (
            one.media_id,
            tuple(
                (item.object_id, outcome.media_caption(keep_alike=keep_alike), outcome.reason)
                for item, outcome in zip(one.objects, of_medium, strict=True)
            ),
        )


def _as_recorded(out: Path, file: ReleasedFile, note: Note) -> bool:
    path = RunLayout(out).released(file.path)
    if not path.is_file():
        note(f"{path} is missing; {_REMEDY}")
        return False
    if path.stat().st_size != file.bytes or sha256_of(path) != file.sha256:
        note(f"{path} differs from its record in release.json; {_REMEDY}")
        return False
    if file.rows is None:
        return True
    try:
        rows = pq.read_metadata(path).num_rows
    except (OSError, pa.ArrowException):
        rows = -1
    if rows != file.rows:
        note(f"{path} does not hold the {file.rows} rows that release.json says; {_REMEDY}")
    return bool(rows == file.rows)


def _note_configs(out: Path, note: Note) -> None:
    """A card that has ``datasets`` load anything but the release."""
    card = RunLayout(out).card
    strange = strange_configs(card.read_bytes()) if card.is_file() else None
    if strange is not None:
        note(f"{card} has datasets load other files: {strange}; {_REMEDY}")


def _note_strangers(out: Path, release: Release, note: Note) -> None:
    """Files in ``data/`` that no record names would be loaded with the others."""
    known = {file.path for file in release.files}
    for path in RunLayout(out).unrecorded(known):
        note(f"{path} does not belong to the release; delete it")
