"""Media to learn from: rows of a release's ``media`` config, streamed, and what is counted of them beforehand.

A row stays in Arrow until it is its turn, so that skipping is cheap; objects become types here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

from capgen.dataset.reader import Folders, media_batches, media_of, release_bounds, release_folders
from capgen.dataset.release_record import check_released
from capgen.dataset.row import ReleasedMedia, ReleasedObject
from capgen.dataset.types import Box, Kind
from capgen.display import plain
from capgen.errors import MissingFile, UserError
from capgen.images import Pixels
from capgen.videos.frames import file_of


class Frames(Protocol):
    """The frames of a medium; ``least`` is the smallest (height, width) that will do, for decoders that can shrink."""

    def __call__(self, indices: Sequence[int], least: tuple[int, int]) -> list[Pixels]: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Masklet:
    """One object: what is known of it by frame index.

    Args:
        counts: compressed RLE by frame; empty for a dataset of boxes.
        boxes: x, y, width, height in pixels by frame.
    """

    object_id: str
    category: str | None
    caption: str | None
    counts: Mapping[int, str]
    boxes: Mapping[int, Box]


@dataclass(frozen=True, slots=True)
class Medium:
    """An image or a video with its objects.

    Args:
        files: a name or bytes a frame.
        root: the folder that names are relative to.
        frames: reads what is in no file of that folder.
        bounds: the folder out of which no link among the files may lead; None follows all links.
    """

    key: str
    kind: Kind
    width: int
    height: int
    files: tuple[str | bytes, ...]
    root: str | None
    masklets: tuple[Masklet, ...]
    names: tuple[str, ...] = ()
    frames: Frames | None = None
    bounds: Path | None = None

    @property
    def captions(self) -> tuple[str, ...]:
        """What is said of its objects."""
        return tuple(masklet.caption for masklet in self.masklets if masklet.caption)


MakeMedia = Callable[[], ReleasedMedia]
"""A row of a release that is made into types when it is called, so that skipping rows is cheap."""


class MediaStream(Protocol):
    """Something that gives the media of a split again and again, in one order; it must survive pickling.

    ``light`` ones may come without masks, boxes and pictures.
    """

    def __call__(self, *, light: bool = False) -> Iterator[MakeMedia]: ...  # noqa: D102


_SMALL_BYTES = 256 * 2**20
_BATCH_ROWS = 32
_SMALL: dict[ReleaseRows, list[Any]] = {}


@dataclass(frozen=True, slots=True)
class ReleaseRows:
    """The ``media`` rows of one split of a release, streamed."""

    out: Path
    split: str
    limit: int | None = None

    def __call__(self, *, light: bool = False) -> Iterator[MakeMedia]:
        """Rows in the release's order.

        Raises:
            MissingFile: there is no release.
            UnknownName: it has no such split.
            LedgerError: a file of it is damaged.
        """
        rows = (partial(media_of, batch, i) for batch in self._batches(light) for i in range(batch.num_rows))
        yield from islice(rows, self.limit)

    def _batches(self, light: bool) -> Iterator[Any]:
        """Arrow rows, some at a time; a split that is small stays in memory after its first whole pass."""
        kept = _SMALL.get(self)
        if kept is not None:
            yield from kept
            return
        seen: list[Any] = []
        size = 0
        for batch in media_batches(self.out, self.split, rows=_BATCH_ROWS, light=light):
            size += batch.nbytes
            if size <= _SMALL_BYTES:
                seen.append(batch)
            else:
                seen.clear()
            yield batch
        if size <= _SMALL_BYTES and not light:
            _SMALL[self] = seen


def medium_of(media: ReleasedMedia, root: str | None, bounds: Path | None = None) -> Medium:
    """A row as a medium; objects that are visible nowhere are left out.

    Args:
        root: the folder that file names are relative to; None where the row has its pictures.
        bounds: see ``Medium``.

    Raises:
        UserError: its numbers do not go together: somebody changed the release.
    """
    _check(media)
    stored = [image.data if image else None for image in media.images]
    files = tuple(stored[i] or name if i < len(stored) else name for i, name in enumerate(media.file_names))
    return Medium(
        key=media.name,
        kind=media.kind,
        width=media.width,
        height=media.height,
        files=files,
        root=root,
        masklets=tuple(_masklet(one) for one in media.objects if one.frame_index),
        names=media.file_names,
        frames=media.frames,
        bounds=bounds,
    )


def _check(media: ReleasedMedia) -> None:
    fault = media.fault()
    if fault is not None:
        raise UserError(
            f"{plain(media.name)} of the release is damaged: {plain(fault)}",
            "make the release again, or take another copy of it",
        )


def _masklet(one: ReleasedObject) -> Masklet:
    return Masklet(
        object_id=one.object_id,
        category=one.category,
        caption=(one.caption or "").strip() or None,
        counts={i: mask["counts"] for i, mask in zip(one.frame_index, one.segmentation, strict=False) if mask},
        boxes=dict(zip(one.frame_index, one.bbox, strict=True)),
    )


@dataclass(frozen=True, slots=True)
class DataPart:
    """One release: its rows, and the folders in which the pictures may be, by dataset and split (``*``: any).

    ``bounds`` is the folder out of which no link among them may lead; None follows all links.
    """

    rows: MediaStream
    folders: Folders = field(default_factory=dict)
    bounds: Path | None = None

    def medium(self, media: ReleasedMedia) -> Medium:
        """The medium of a row."""
        roots = self.folders.get(f"{media.dataset}/{media.split}") or self.folders.get("*") or ()
        return medium_of(media, _holding(roots, media.file_names), self.bounds)


def _holding(roots: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of some folders that holds the first of some files; the first of all where none does."""
    if len(roots) > 1 and names:
        return next((root for root in roots if Path(root, file_of(names[0])).is_file()), roots[0])
    return roots[0] if roots else None


def open_releases(
    releases: Iterable[Path],
    split: str,
    *,
    pictures: Mapping[Path, Path | None] | None = None,
    limit: int | None = None,
    follow_links: bool | None = None,
) -> tuple[DataPart, ...]:
    """The releases as parts.

    Args:
        pictures: by release, where its dataset is now, or the folder of its pictures; of others that is where their
            plan says that it was, which somebody else may have written.
        follow_links: whether pictures may be links out of their folder; see ``picture_bounds``.

    Raises:
        UserError: none is given, or ``pictures`` does not hold the pictures of one.
        MissingFile: one is not there.
    """
    parts = []
    for out in releases:
        if not out.is_dir():
            address = ":" in out.parts[0]  # as a path it has lost a slash
            remedy = "give the address of a bucket or of the Hub with --data, not in the training file"
            raise MissingFile(out, remedy if address else "--data takes the OUT of a finished `capgen run`")
        check_released(out, "media")
        root = (pictures or {}).get(out)
        bounds = release_bounds(out, root, follow_links)
        parts.append(DataPart(ReleaseRows(out, split, limit), release_folders(out, root), bounds))
    if not parts:
        raise UserError("there is no data to train on", "give --data OUT, the folder that `capgen run` filled")
    return tuple(parts)


@dataclass(slots=True)
class Census:
    """What is counted in one pass before training.

    Args:
        media: by kind; ``with_objects`` are those of them that have any.
        rows: of each part, in order: what a row is (None where it has no object) and its categories.
        categories: media that hold the category, by name, in the order of the source's ids.
    """

    media: Counter[str] = field(default_factory=Counter)
    with_objects: int = 0
    objects: int = 0
    captions: int = 0
    categories: Counter[str] = field(default_factory=Counter)
    order: dict[str, int] = field(default_factory=dict)
    rows: list[list[tuple[Kind | None, tuple[str, ...]]]] = field(default_factory=list)

    def add(self, media: ReleasedMedia) -> None:
        """Count a row; what its objects look like does not matter here."""
        self.media[media.kind] += 1
        seen = [one for one in media.objects if one.frame_index]
        self.with_objects += bool(seen)
        self.objects += len(seen)
        self.captions += sum(bool((one.caption or "").strip()) for one in seen)
        for one in seen:
            if one.category:
                self.order.setdefault(one.category, one.category_id or 0)
        names = tuple({one.category: None for one in seen if one.category})
        self.categories.update(names)
        self.rows[-1].append((media.kind if seen else None, names))

    @property
    def names(self) -> list[str]:
        """The categories, in the order of their ids and then of their names."""
        return sorted(self.categories, key=lambda name: (self.order[name], name))


def count(parts: Iterable[DataPart]) -> Census:
    """One pass over the rows of all parts.

    Raises:
        UserError: there is not one medium with an object.
    """
    census = Census()
    for part in parts:
        census.rows.append([])
        for row in part.rows(light=True):
            census.add(row())
    if not census.with_objects:
        raise UserError(
            f"the data has no objects ({sum(census.media.values())} media in the split)",
            "choose another split with --set data.split=NAME, or another --data",
        )
    return census


def check_kinds(census: Census, stages: Mapping[str, str]) -> None:
    """Refuse data that a stage finds nothing in, before the first stage is trained.

    Args:
        stages: the kind of media of each: image, video or any.

    Raises:
        UserError: there is no such medium with an object.
    """
    there = {kind for rows in census.rows for kind, _ in rows if kind is not None}
    for name, kind in stages.items():
        if kind != "any" and kind not in there:
            raise UserError(
                f"stage {name} learns from {kind}s, and the data has no {kind} with objects",
                f"give a release that has with one more --data, or leave it out with --set stages.{name}.steps=0",
            )


def check_captions(census: Census, wanted: int) -> None:
    """Refuse data without captions before it is learnt from.

    Raises:
        UserError: fewer objects than ``wanted`` have one.
    """
    if census.captions < wanted:
        raise UserError(
            f"{census.captions} of {census.objects} objects in the data have a caption, data.captions_min is {wanted}",
            "caption them with `capgen run`, or train masks only with --set data.captions_min=0",
        )
