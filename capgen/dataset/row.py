"""One object of one medium, with everything that is known of it once it has been asked for: a row of a shard."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypedDict

from capgen.dataset.types import Box, Kind

Status = Literal["kept", "dropped", "failed"]


class Rle(TypedDict):
    """A mask as pycocotools takes it: ``size`` is [height, width] in pixels, ``counts`` the compressed run lengths."""

    size: list[int]
    counts: str


@dataclass(frozen=True, slots=True)
class Row:
    """A row of ``OUT/candidates/``: kept, dropped by a check, or failed for good.

    Args:
        key: ``dataset/split/media_id/object_id``; rows join by it, never by their order.
        frame_index: frames on which the object is visible, ascending; ``segmentation``, ``bbox`` (x, y, width, height
            in pixels, tight on the mask) and ``area`` (pixels) have one entry for each of them.
        caption: what the model said, also where a check dropped it; None where it said nothing.
        reasons: codes, the first one being the reason that is counted; empty where ``status`` is ``kept``.
        message: a sentence for people about the first reason.
        seed: the seed of sampling.
        cached_tokens: prompt tokens that the engine did not compute again.
        request_sha256: digest of what was asked; None where nothing was.
    """

    key: str
    dataset: str
    split: str
    media_id: str
    object_id: str
    kind: Kind
    file_names: tuple[str, ...]
    coco_url: str | None
    width: int
    height: int
    category_id: int | None
    category: str | None
    frame_index: tuple[int, ...]
    segmentation: tuple[Rle, ...]
    bbox: tuple[Box, ...]
    area: tuple[int, ...]
    caption: str | None
    status: Status
    reasons: tuple[str, ...]
    message: str | None
    model: str | None
    model_revision: str | None
    engine: str | None
    prompt: str | None
    prompt_sha256: str | None
    highlight: str | None
    seed: int | None
    finish_reason: str | None
    prompt_tokens: int | None
    cached_tokens: int | None
    output_tokens: int | None
    attempts: int
    request_sha256: str | None
