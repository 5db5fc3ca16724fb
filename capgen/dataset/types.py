"""What the pipeline, training and evaluation share: a medium and its objects. An image is a video of one frame.

Masks are COCO run-length encodings, compressed, ``counts`` as ``str``; their size is always the medium's
(height, width) in pixels. Ids are text, so that no id loses digits beyond 2**53.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, NamedTuple

import msgspec

Kind = Literal["image", "video"]
Box = tuple[float, float, float, float]
"""x, y, width, height in pixels, tight on the mask."""


class Column(NamedTuple):
    """How a field is stored in Parquet: ``capgen.dataset.schema`` makes every schema out of these.

    Args:
        type: a name in ``capgen.dataset.schema.TYPES``.
        meaning: a sentence for the data card.
        candidates: whether ``OUT/candidates/`` has the column.
        captions: whether the released ``captions`` config has it.
        objects: whether the entries of the released ``objects`` column have it.
    """

    type: str
    meaning: str
    candidates: bool = True
    captions: bool = True
    objects: bool = False


class MediaHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is known of an image or a video itself, without its objects.

    Args:
        file_names: one a frame, with forward slashes; no name may climb out of the pictures' folder.
        width, height: of every frame, pixels.
    """

    dataset: Annotated[str, Column("text", "the source dataset")]
    split: Annotated[str, Column("text", "the split of the source")]
    media_id: Annotated[str, Column("text", "id of the image or video in the source, as text")]
    kind: Annotated[Kind, Column("text", "`image` or `video`; an image is a video of one frame")]
    file_names: Annotated[
        tuple[str, ...],
        Column("texts", "the frames in order, relative to the folder of the source's pictures"),
    ]
    coco_url: Annotated[str | None, Column("text", "where the source says that the picture is, if it does")] = None
    license: Annotated[
        str | None,
        Column(
            "text",
            "the source's own licence code of this picture or video, if it has one",
            candidates=False,
            captions=False,
        ),
    ] = None
    media_extra: Annotated[
        str | None,
        Column(
            "text",
            "what else the source says of this image or video, as a JSON object",
            candidates=False,
            captions=False,
        ),
    ] = None
    width: Annotated[int, Column("int32", "width of every frame in pixels")]
    height: Annotated[int, Column("int32", "height of every frame in pixels")]

    @property
    def name(self) -> str:
        """``dataset/split/media_id``."""
        return f"{self.dataset}/{self.split}/{self.media_id}"

    def key_of(self, object_id: str) -> str:
        """The key of one of its objects: ``dataset/split/media_id/object_id``."""
        return object_key(self.dataset, self.split, self.media_id, object_id)

    def header(self) -> dict[str, Any]:
        """The fields of the header by name, to make another type of the same medium."""
        return {field: getattr(self, field) for field in HEADER_FIELDS}


HEADER_FIELDS = MediaHeader.__struct_fields__


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an object cannot be captioned: a short reason code and a sentence for people."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class MediaObject:
    """One object of a medium, on all of the medium's frames.

    Args:
        counts: one entry a frame: compressed RLE counts, None where the object is not visible or has no mask.
        boxes: one entry a frame, None where the object is not visible.
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
        """Indices of the frames on which the object is to be seen."""
        return tuple(i for i, box in enumerate(self.boxes) if box is not None)


class Media(MediaHeader, frozen=True, kw_only=True):
    """An image or a video with all of its objects.

    Args:
        root: the folder that ``file_names`` are relative to, on this machine.
        bounds: the folder out of which links among the pictures must not lead; None follows all links.
    """

    root: str
    bounds: str | None = None
    objects: tuple[MediaObject, ...] = ()


def object_key(dataset: str, split: str, media_id: str, object_id: str) -> str:
    """The key by which rows join: ``dataset/split/media_id/object_id``."""
    return f"{dataset}/{split}/{media_id}/{object_id}"
