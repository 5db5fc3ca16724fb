"""Media to learn from: rows of a release's ``media`` config, streamed, and what is counted of them beforehand.

A row stays in Arrow until it is its turn, so that skipping is cheap; objects become types here, once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import Folders, release_folders
from capgen.dataset.types import Box, Kind
from capgen.errors import MissingFile, UnknownName, UserError

Picture = NDArray[np.uint8]
"""uint8 RGB [H, W, 3]."""


class Frames(Protocol):
    """The frames of a medium; ``least`` is the smallest (height, width) that will do, for decoders that can shrink."""

    def __call__(self, indices: Sequence[int], least: tuple[int, int]) -> list[Picture]: ...  # noqa: D102


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
    """An image or a video with its objects; ``files`` holds a name or bytes a frame, ``frames`` reads others."""

    key: str
    kind: Kind
    width: int
    height: int
    files: tuple[str | bytes, ...]
    root: str | None
    masklets: tuple[Masklet, ...]
    names: tuple[str, ...] = ()
    frames: Frames | None = None

    @property
    def captions(self) -> tuple[str, ...]:
        """What is said of its objects."""
        return tuple(masklet.caption for masklet in self.masklets if masklet.caption)


Row = Callable[[], dict[str, Any]]
"""A row that is made into Python objects when it is called."""


class Rows(Protocol):
    """Something that gives the rows of a split again and again, in one order; it must survive pickling.

    ``light`` rows may come without masks, boxes and pictures.
    """

    def __call__(self, *, light: bool = False) -> Iterator[Row]: ...  # noqa: D102


_SMALL_BYTES = 256 * 2**20
_SMALL: dict[ReleaseRows, list[Any]] = {}


@dataclass(frozen=True, slots=True)
class ReleaseRows:
    """The ``media`` rows of one split of a release, streamed."""

    out: Path
    split: str
    limit: int | None = None

    def __call__(self, *, light: bool = False) -> Iterator[Row]:
        """Rows in the release's order.

        Raises:
            MissingFile: there is no release.
            UnknownName: it has no such split.
        """
        left = self.limit
        for batch in self._batches():
            shown = _lightened(batch) if light else batch
            for index in range(batch.num_rows):
                if left == 0:
                    return
                left = None if left is None else left - 1
                yield _Row(shown, index)

    def _batches(self) -> Iterator[Any]:
        """Arrow tables of some rows; a split that is small stays in memory after its first pass."""
        kept = _SMALL.get(self)
        if kept is not None:
            yield from kept
            return
        seen: list[Any] = []
        size = 0
        for batch in self._stream().with_format("arrow").iter(batch_size=32):
            size += batch.nbytes
            if size <= _SMALL_BYTES:
                seen.append(batch)
            else:
                seen.clear()
            yield batch
        if size <= _SMALL_BYTES:
            _SMALL[self] = seen

    def _stream(self) -> Any:
        from datasets import load_dataset
        from datasets.utils.logging import disable_progress_bar

        disable_progress_bar()
        layout = RunLayout(self.out)
        if not layout.card.is_file() or not layout.data_dir.is_dir():
            raise MissingFile(layout.data_dir, "--data takes the OUT of a finished `capgen run`")
        try:
            splits = load_dataset(str(self.out.resolve()), "media", streaming=True)
        except (OSError, ValueError) as error:
            raise UserError(f"{self.out}: its media cannot be read ({error})", "run `capgen verify` on it") from error
        if self.split not in splits:
            raise UnknownName(f"split of {self.out}", self.split, splits)
        stream = splits[self.split]
        # bytes as they are: decoding belongs to the workers, and needs to know how small a picture will do
        return stream.decode(False) if "images" in (stream.column_names or ()) else stream


def _lightened(batch: Any) -> Any:
    """The columns that are counted: half of a row's time goes into masks as Python text."""
    import pyarrow as pa

    objects = batch.column("objects").combine_chunks()
    objects = objects.combine_chunks() if isinstance(objects, pa.ChunkedArray) else objects
    names = ("category_id", "category", "frame_index", "caption")
    entries = pa.StructArray.from_arrays([objects.values.field(name) for name in names], names)
    lists = pa.ListArray.from_arrays(objects.offsets, entries)
    return pa.table({"kind": batch.column("kind"), "objects": lists})


@dataclass(frozen=True, slots=True)
class _Row:
    batch: Any
    index: int

    def __call__(self) -> dict[str, Any]:
        row: dict[str, Any] = self.batch.slice(self.index, 1).to_pylist()[0]
        return row


def medium_of(row: Mapping[str, Any], root: str | None) -> Medium:
    """A row as a medium; objects that are visible nowhere are left out.

    Args:
        root: the folder that file names are relative to; None where the row has its pictures.
    """
    images = row.get("images") or ()
    names = tuple(row.get("file_names") or ())
    stored = [image["bytes"] if image else None for image in images]
    files = tuple(stored[i] or name if i < len(stored) else name for i, name in enumerate(names))
    return Medium(
        key=f"{row['dataset']}/{row['split']}/{row['media_id']}",
        kind=row["kind"],
        width=row["width"],
        height=row["height"],
        files=files,
        root=root,
        masklets=tuple(_masklet(entry) for entry in row["objects"] if entry["frame_index"]),
        names=names,
        frames=row.get("frames"),
    )


def _masklet(entry: Mapping[str, Any]) -> Masklet:
    frames, masks = entry["frame_index"], entry.get("segmentation") or ()
    caption = (entry["caption"] or "").strip() or None
    return Masklet(
        object_id=entry["object_id"],
        category=entry["category"],
        caption=caption,
        counts={frame: mask["counts"] for frame, mask in zip(frames, masks, strict=False) if mask},
        boxes={frame: tuple(box) for frame, box in zip(frames, entry["bbox"], strict=True)},
    )


@dataclass(frozen=True, slots=True)
class Part:
    """One release: its rows, and the folders in which the pictures may be, by dataset and split (``*``: any)."""

    rows: Rows
    folders: Folders = field(default_factory=dict)

    def medium(self, row: Mapping[str, Any]) -> Medium:
        """The medium of a row."""
        roots = self.folders.get(f"{row['dataset']}/{row['split']}") or self.folders.get("*") or ()
        return medium_of(row, _holding(roots, row))


def _holding(roots: Sequence[str], row: Mapping[str, Any]) -> str | None:
    """The first of some folders that holds the first frame of a row; the first of all where none does."""
    names = row.get("file_names") or ()
    if len(roots) > 1 and names:
        return next((root for root in roots if Path(root, names[0]).is_file()), roots[0])
    return roots[0] if roots else None


def open_releases(
    releases: Iterable[Path], split: str, *, pictures: Path | None = None, limit: int | None = None
) -> tuple[Part, ...]:
    """The releases as parts.

    Args:
        pictures: where the dataset is now, or the folder of its pictures; None where it was when it was captioned.

    Raises:
        UserError: none is given, or ``pictures`` does not hold the pictures of one.
        MissingFile: one is not there.
    """
    parts = []
    for out in releases:
        if not out.is_dir():
            raise MissingFile(out, "--data takes the OUT of a finished `capgen run`")
        parts.append(Part(ReleaseRows(out, split, limit), release_folders(out, pictures)))
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

    def add(self, row: Mapping[str, Any]) -> None:
        """Count a row; what its objects look like does not matter here."""
        self.media[row["kind"]] += 1
        seen = [entry for entry in row["objects"] if entry["frame_index"]]
        self.with_objects += bool(seen)
        self.objects += len(seen)
        self.captions += sum(bool((entry["caption"] or "").strip()) for entry in seen)
        for entry in seen:
            if entry["category"]:
                self.order.setdefault(entry["category"], entry["category_id"] or 0)
        names = tuple({entry["category"]: None for entry in seen if entry["category"]})
        self.categories.update(names)
        self.rows[-1].append((row["kind"] if seen else None, names))

    @property
    def names(self) -> list[str]:
        """The categories, in the order of their ids and then of their names."""
        return sorted(self.categories, key=lambda name: (self.order[name], name))


def count(parts: Iterable[Part]) -> Census:
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
