"""The objects of a run as an annotation tool shows them: one frame each, the mask on it, and the caption."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.files import put_by_content
from capgen.dataset.layout import OwnEntries, RunLayout, refuse_links
from capgen.errors import UserError
from capgen.images import PictureFault
from capgen.pipeline.gallery.media_store import MediaStore, scaled_jpeg
from capgen.pipeline.gallery.row_index import IndexedRow, RowIndex
from capgen.pipeline.gallery.selection import Selection
from capgen.videos.frames import read_frames

_LOG = logging.getLogger(__name__)

PICTURES = "images"
"""The folder of pictures beside the annotations."""
PICTURE = re.compile(r"\d{6,}-\d{5,}-[0-9a-f]{16}\.jpg")
"""The names of pictures there."""

Tool = Literal["label-studio", "cvat"]


@dataclass(frozen=True, slots=True)
class ReviewObject:
    """An object to be looked at.

    Args:
        mask: bool [height, width], on the frame that shows most of it.
    """

    row: IndexedRow
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ReviewPicture:
    """A picture with the objects that are looked at on it.

    Args:
        name: its file's name below ``PICTURES``.
    """

    name: str
    width: int
    height: int
    objects: list[ReviewObject]


def write_pictures(index: RowIndex, store: MediaStore, selection: Selection, folder: Path) -> Iterator[ReviewPicture]:
    """Write the frames that show the objects of a selection; each with its objects, in the order of the plan.

    A frame that cannot be read is left out with its objects: there is nothing to look at.

    Raises:
        UserError: ``folder`` is a run's or holds links, or nothing fits the selection.
        OSError: ``folder`` cannot be written.
    """
    if RunLayout(folder).plan_json.is_file():
        raise UserError(f"{folder} is the folder of a run", "give another folder")
    refuse_links(folder, OwnEntries(frozenset(), frozenset({PICTURES})))
    media = index.media(selection, limit=10**9)
    if not media:
        raise UserError(f"{index.out}: no finished object fits the filters", "choose others")
    (folder / PICTURES).mkdir(parents=True, exist_ok=True)
    return _written(index, store, selection, folder, media)


def _written(
    index: RowIndex, store: MediaStore, selection: Selection, folder: Path, media: Sequence[tuple[int, str]]
) -> Iterator[ReviewPicture]:
    for number, (shard, name) in enumerate(media):
        shown = store.of_row(shard, name)
        by_frame: dict[int, list[IndexedRow]] = {}
        for row in index.of_medium(name, selection):
            by_frame.setdefault(row.frame, []).append(row)
        size = (shown.media.height, shown.media.width)
        names = [shown.media.file_names[frame] for frame in by_frame]
        read = dict(read_frames(shown.media.root, names, size=size, bounds=shown.media.bounds))
        for frame, rows in sorted(by_frame.items()):
            pixels = read[shown.media.file_names[frame]]
            if isinstance(pixels, PictureFault):
                _LOG.warning("%d objects of %s are left out: %s", len(rows), name, pixels)
                continue
            data = scaled_jpeg(pixels, max(size))[0]
            file = put_by_content(folder / PICTURES, f"{number:06d}-{frame:05d}", ".jpg", data)
            masks = shown.masks(frame)
            objects = [ReviewObject(row, rle.decode(masks[row.number], size)) for row in rows if row.number in masks]
            yield ReviewPicture(file, shown.media.width, shown.media.height, objects)
