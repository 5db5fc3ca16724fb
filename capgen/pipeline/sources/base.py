"""What a source yields while planning: everything the annotation file says, masks still undecoded.

Planning a split of a million objects must neither decode nor copy a million masks: ``segmentation`` stays raw
JSON until the worker that owns the shard turns it into run lengths (``capgen.pipeline.sources.decode``).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from capgen.dataset.types import Kind


class PlannedObject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One annotation: ``segmentation`` is raw JSON, of one frame (image) or a list with an entry a frame (video)."""

    object_id: str
    category_id: int | None = None
    category: str | None = None
    synonyms: tuple[str, ...] = ()
    segmentation: msgspec.Raw = msgspec.Raw(b"null")
    reason: str | None = None
    message: str | None = None


class PlannedMedia(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One image or video of the plan: a line of a shard's input file."""

    dataset: str
    split: str
    media_id: str
    kind: Kind
    root: str
    file_names: tuple[str, ...]
    width: int
    height: int
    objects: tuple[PlannedObject, ...]
    coco_url: str | None = None
    license: str | None = None


class Source(Protocol):
    """A dataset on disk: frozen options in, ``PlannedMedia`` out."""

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files, whose contents enter the run's fingerprint."""
        ...

    def scan(self) -> Iterator[PlannedMedia]:
        """Every image or video with all of its objects, split by split, in the order of the file.

        Raises:
            UserError: a file is missing, is not JSON, or is not of this format.
        """
        ...
