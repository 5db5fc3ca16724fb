"""What a form is: options as the fields of a frozen dataclass, and a writer of a split's media."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from capgen.dataset.annotations.source_fields import SourceFields
from capgen.dataset.row import ReleasedMedia
from capgen.dataset.types import Box, Kind
from capgen.exporting.folder import ExportFolder
from capgen.exporting.pictures import PictureFiles, PictureMode

BoxScale = Literal["pixels", "unit", "thousand"]
"""Boxes in pixels, from 0 to 1, or in whole numbers from 0 to 1000."""


@dataclass(frozen=True, slots=True)
class ExportSplit:
    """A split that is exported.

    Args:
        name: as ``datasets`` and file names have it.
        fields: what the source said beside the columns of the release.
        files: where pictures are.
        mode: what becomes of them.
    """

    folder: ExportFolder
    name: str
    kind: Kind
    fields: SourceFields = field(default_factory=SourceFields)
    files: PictureFiles = field(default_factory=PictureFiles)
    mode: PictureMode = "reference"


class SplitWriter(Protocol):
    """Writes the media of one split, in order."""

    def add(self, media: ReleasedMedia) -> None:
        """Write a medium."""
        ...

    def skip(self, media: ReleasedMedia) -> None:
        """Pass a medium that was written before the export was stopped."""
        ...

    def finish(self) -> Sequence[str]:
        """Complete the split's files; those among ``grown/`` that are final as they have grown."""
        ...


class ExportForm(Protocol):
    """A form of datasets.

    A frozen dataclass whose fields are its options; ``pictures_in`` says where in DEST copied pictures are, with
    ``{split}`` for the split: its readers look there. None where the form has its own way of keeping them.
    """

    def pictures_in(self, kind: Kind) -> str | None:
        """The folder of copied pictures."""
        ...

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        ...


def scaled(box: Box, width: int, height: int, scale: BoxScale) -> tuple[float, float, float, float]:
    """A box x, y, width, height in pixels, in another scale; whole numbers where that is a thousand."""
    if scale == "pixels":
        return box
    x, y, w, h = box[0] / width, box[1] / height, box[2] / width, box[3] / height
    if scale == "unit":
        return round(x, 6), round(y, 6), round(w, 6), round(h, 6)
    left, top, right, bottom = (round(1000 * value) for value in (x, y, x + w, y + h))
    return left, top, right - left, bottom - top


def corners(box: Box, width: int, height: int, scale: BoxScale) -> tuple[float, float, float, float]:
    """The corners x1, y1, x2, y2 of a box x, y, width, height in pixels, in a scale."""
    x, y, w, h = scaled(box, width, height, scale)
    right, bottom = (round(x + w, 6), round(y + h, 6)) if scale == "unit" else (x + w, y + h)
    return x, y, right, bottom
