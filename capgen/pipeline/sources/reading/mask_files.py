"""Masks that lie in picture files: each file is decoded once for all objects of a medium."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from capgen import rle
from capgen.dataset.types import Fault
from capgen.images import Labels, PictureFault, path_under, read_labels
from capgen.rle import Size

MaskForm = Literal["rgb", "index", "binary"]
"""``rgb``: the value is a pixel's colour, R + 256 G + 256^2 B; ``index``: its stored sample; ``binary``: all but 0."""

_REASONS = {
    "picture_missing": "mask_missing",
    "picture_size": "mask_size",
    "picture_too_large": "mask_too_large",
    "bad_path": "bad_path",
}


class FileMask(NamedTuple):
    """The pixels with ``value`` of the picture file ``png``, a name relative to the dataset's root."""

    png: str
    value: int
    form: MaskForm


def masks_of_files(
    wanted: Iterable[FileMask], size: Size, root: Path, bounds: Path | None
) -> dict[FileMask, bytes | Fault]:
    """Compressed counts of masks, or why there are none: ``mask_missing``, ``mask_unreadable``, ``mask_size``.

    Args:
        size: height, width of the medium, which every file must have.
        bounds: the folder out of which no link may lead; None follows all links.
    """
    by_file: defaultdict[tuple[str, bool], list[FileMask]] = defaultdict(list)
    for mask in wanted:
        by_file[mask.png, mask.form == "rgb"].append(mask)
    found: dict[FileMask, bytes | Fault] = {}
    for (name, colours), masks in by_file.items():
        try:
            labels = read_labels(path_under(root, name, bounds), size=size, colours=colours, name=name)
        except PictureFault as fault:
            reason = _REASONS.get(fault.reason, "mask_unreadable")
            found.update(dict.fromkeys(masks, Fault(reason, f"its mask cannot be read: {fault.message}")))
            continue
        found.update((mask, _counts(labels, mask)) for mask in masks)
    return found


def _counts(labels: Labels, mask: FileMask) -> bytes:
    bitmap = labels != 0 if mask.form == "binary" else labels == np.uint32(mask.value & 0xFFFFFFFF)
    return rle.encode(bitmap).encode("ascii")
