"""What flows between the wings: a medium and its objects. An image is a video of one frame.

Masks are COCO run-length encodings, compressed, ``counts`` as ``str``; their size is always the medium's
(height, width) in pixels. Ids are text, so that no id loses digits beyond 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "video"]
Box = tuple[float, float, float, float]
"""x, y, width, height in pixels, tight on the mask."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an object cannot be captioned: a short reason code and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class MediaObject:
    """One object of a medium, on all of the medium's frames.

    Args:
        counts: one entry a frame: compressed RLE counts, or None where the object is not visible.
        boxes: one entry a frame, None where ``counts`` is None.
        areas: pixels of the mask, one entry a frame, None where ``counts`` is None.
        fault: set where the source's data is bad; such an object is never rendered and ends as failed.
    """

    key: str
    object_id: str
    category_id: int | None
    category: str | None
    synonyms: tuple[str, ...]
    counts: tuple[str | None, ...]
    boxes: tuple[Box | None, ...]
    areas: tuple[int | None, ...]
    fault: Fault | None = None

    @property
    def visible(self) -> tuple[int, ...]:
        """Indices of the frames on which the object has pixels."""
        return tuple(i for i, counts in enumerate(self.counts) if counts is not None)


@dataclass(frozen=True, slots=True)
class Media:
    """An image or a video with all of its objects.

    Args:
        file_names: one a frame, relative to ``root``, with forward slashes.
        root: the folder under which the frames lie; no name may climb out of it.
    """

    dataset: str
    split: str
    media_id: str
    kind: Kind
    root: str
    file_names: tuple[str, ...]
    width: int
    height: int
    objects: tuple[MediaObject, ...]
    coco_url: str | None = None
    license: str | None = None


def object_key(dataset: str, split: str, media_id: str, object_id: str) -> str:
    """The key by which rows join: ``dataset/split/media_id/object_id``."""
    return f"{dataset}/{split}/{media_id}/{object_id}"
