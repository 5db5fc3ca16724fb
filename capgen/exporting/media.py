"""The media of a release, checked: it may come from a stranger, and what is exported goes on to other programs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from capgen import rle
from capgen.dataset.reader import media_batches, media_of
from capgen.dataset.release_record import stem
from capgen.dataset.row import ReleasedMedia, ReleasedObject, Rle
from capgen.display import plain
from capgen.encoding import is_below
from capgen.errors import LedgerError

_ROWS = 16


def released_media(out: Path, split: str) -> Iterator[ReleasedMedia]:
    """The media of a split in order.

    Raises:
        MissingFile: there is no release.
        LedgerError: a file is damaged, or a row's numbers, names or masks do not go together.
    """
    for batch in media_batches(out, split, rows=_ROWS):
        for index in range(batch.num_rows):
            media = media_of(batch, index)
            fault = media.fault() or _fault(media, split)
            if fault is not None:
                raise LedgerError(
                    f"{plain(media.name)} of {out} is damaged: {plain(fault)}; take another copy of the release"
                )
            yield media


def _fault(media: ReleasedMedia, split: str) -> str | None:
    if stem(media.split) != split:
        return f"it says that it is of split {media.split!r}"
    name = next((name for name in media.file_names if not is_below(name)), None)
    if name is not None:
        return f"its file {name!r} lies outside of the pictures' folder"
    size = (media.height, media.width)
    for one in media.objects:
        if any(later <= earlier for earlier, later in zip(one.frame_index, one.frame_index[1:], strict=False)):
            return f"the frames of object {one.object_id} are not in order"
        if any(mask and tuple(mask["size"]) != size for mask in one.segmentation):
            return f"a mask of object {one.object_id} has another size than its picture"
    counts = [mask["counts"].encode("utf-8", "replace") for one in media.objects for mask in one.segmentation if mask]
    if counts and (rle.covered_pixels(counts) != size[0] * size[1]).any():
        return "the run lengths of a mask do not cover its picture"
    return None


def mask_at(one: ReleasedObject, position: int) -> Rle | None:
    """The mask on the frame at a position of ``frame_index``; None where the object has a box alone."""
    return one.segmentation[position] if position < len(one.segmentation) else None


def area_at(one: ReleasedObject, position: int) -> float | None:
    """The pixels of that mask; None where there is none."""
    area = one.area[position] if position < len(one.area) else None
    return None if area is None else float(area)


def caption_of(one: ReleasedObject) -> str | None:
    """The object's caption; None for one of blanks, and for one that the release holds and marks as dropped."""
    return one.caption if one.caption and one.caption.strip() and one.dropped is None else None
