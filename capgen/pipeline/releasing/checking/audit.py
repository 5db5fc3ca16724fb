"""A release against what it was made from: its files as recorded, its rows as the candidates' outcomes say."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from capgen.dataset.card import strange_configs
from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.parquet.opened import opened_parquet
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.reader import parquet_batches
from capgen.dataset.release_record import Release, ReleasedFile, card_fits
from capgen.dataset.schema import CAPTIONS, DEDUP, MEDIA
from capgen.dataset.stats import RowOutcome
from capgen.errors import first_line

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


def note_files(out: Path, release: Release, files: Iterable[ReleasedFile], note: Note) -> None:
    """What can be said of a release as a whole, and of those of its files that no range holds."""
    card = RunLayout(out).record_of(RunLayout(out).card)
    for file in files:
        if file.path != card or not card_fits(out, release):
            _as_recorded(out, file, note)
    _note_strangers(out, release, note)
    _note_configs(out, note)


class ReleaseAudit:
    """Reads rows of a release alongside those that should be there, and notes where they part.

    Args:
        files: the files of each config, in order; ``dedup`` is the config of ``OUT/dedup.parquet``. A config of which a
            file is not as recorded is not read.
        note: takes the problems.
    """

    def __init__(self, out: Path, files: Mapping[str, Sequence[ReleasedFile]], note: Note) -> None:
        self._note = note
        self._streams: dict[str, _Stream] = {}
        for config, named in files.items():
            sound = [_as_recorded(out, file, note) for file in named]  # each is looked at, whatever the others are
            if all(sound):
                self._streams[config] = _Stream(out, config, named)

    def compare(
        self, media: Sequence[PlannedMedia], outcomes: Sequence[RowOutcome], *, keep_alike: bool, marks: bool
    ) -> None:
        """The next shard: what the release must hold of it, and whether it does.

        Args:
            marks: captions that repeat an earlier one are marked.
        """
        captions = ((v.key, v.caption, v.dup_of if marks else None) for v in outcomes if v.status == "kept")
        self.expect("captions", captions)
        self.expect("media", _media_rows(media, outcomes, keep_alike=keep_alike))

    def give_up(self) -> None:
        """What is next cannot be read: nothing more can be said."""
        self._streams.clear()

    def finish(self) -> None:
        """After the last row: nothing may be left over."""
        for stream in self._streams.values():
            left = next(stream, None)
            if left is not None:
                self._note(f"{stream.name} holds {left[0]}, which no candidate says; {_REMEDY}")
        self._streams.clear()

    def expect(self, config: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """The next rows of a config."""
        stream = self._streams.get(config)
        if stream is None:
            return
        for row in rows:
            found = next(stream, None)
            if found != row:
                what = "ends" if found is None else f"has {found[0]}"
                where = row[0] if found is None or found[0] != row[0] else f"{row[0]} with other contents"
                self._note(f"{stream.name} {what} where the candidates have {where}; {_REMEDY}")
                del self._streams[config]
                return


def left_out(outcomes: Iterable[RowOutcome]) -> list[tuple[Any, ...]]:
    """The rows that ``OUT/dedup.parquet`` must have of a shard."""
    return [(v.key, v.dup_of) for v in outcomes if v.dup_of is not None and v.status == "dropped"]


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
        with opened_parquet(path) as parquet:
            rows = parquet.metadata.num_rows
    except (OSError, pa.ArrowException) as error:
        note(f"{path} cannot be read ({first_line(error)}); {_REMEDY}")
        return False
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
