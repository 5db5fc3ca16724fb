"""One object of one medium, with everything that is known of it once it has been asked for: a row of a shard.

A column is added here and nowhere else: the schemas, the card and the readers follow the fields of ``Row``. Give a new
column a default, so that files which were written before it can still be read.
"""

from __future__ import annotations

from itertools import chain
from math import isfinite
from typing import Annotated, Any, Literal, TypedDict

import msgspec

from capgen.dataset.types import Box, Column, MediaHeader

Status = Literal["kept", "dropped", "failed"]


class Rle(TypedDict):
    """A mask as pycocotools takes it: ``size`` is [height, width] in pixels, ``counts`` the compressed run lengths."""

    size: list[int]
    counts: str


class GivenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """One of several answers that an object was given; the fields have the meaning that they have in ``Row``.

    Args:
        step: ``again-0`` and so on for steps of ``tries``, ``distinct-0`` for those of ``distinct``; None is the first.
        advice: codes of the checks that advise against it.
        told: what the request said beside the prompt: that an earlier answer was refused, and why, for example.
        temperature: of sampling.
        released: whether the row's caption is this one.
    """

    caption: str | None
    step: str | None = None
    reasons: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    message: str | None = None
    told: str | None = None
    prompt: str | None = None
    highlight: str | None = None
    temperature: float = 0.0
    seed: int = 0
    finish_reason: str | None = None
    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    logprob_min: float | None = None
    logprob_mean: float | None = None
    attempts: int = 1
    request_sha256: str | None = None
    released: bool = False


class NeighbourFit(msgspec.Struct, frozen=True, kw_only=True):
    """How a caption of an object fits its pictures against those of its neighbours of the same category.

    Args:
        contrast: by how much the caption is more probable for the object than for the best of the neighbours, as a
            natural logarithm; None where it has no score.
        prefers: the key of the neighbour for which it is more probable; None where there is none.
        message: why it has no score.
    """

    caption: str
    contrast: float | None = None
    prefers: str | None = None
    message: str | None = None


class Row(MediaHeader, frozen=True, kw_only=True):
    """A row of ``OUT/candidates/``: kept, dropped by a check, or failed for good.

    The medium's ``license`` and ``media_extra`` are no columns of the candidates: a row that was read has None.

    Args:
        key: ``dataset/split/media_id/object_id``; rows join by it, never by their order.
        frame_index: frames on which the object is visible, ascending; ``segmentation``, ``bbox`` (x, y, width, height
            in pixels, tight on the mask) and ``area`` (pixels) have one entry for each of them; mask and area are None
            where the source has only a box.
        caption: what the model said, also where a check dropped it; None where it said nothing.
        reasons: codes, the first one being the reason that is counted; empty where ``status`` is ``kept``.
        message: a sentence for people about the first reason.
        seed: the seed of sampling.
        cached_tokens: prompt tokens that the engine did not compute again.
        request_sha256: digest of what was asked; None where nothing was.
        logprob_min, logprob_mean: how sure the model was: natural logarithms, over the words that carry content.
        advice: codes of checks that only advise.
        tries: answers that were asked for; more than 1 where an earlier one was refused.
        answers: all of them, in order, where there is more than one.
        fits: with ``distinct.fit``, the scores of the object's captions, in the order of the answers.
        shown: where only the largest piece of masks was shown (``render.pieces``), that piece, an entry for each of
            ``frame_index``: None where the frame was not marked or the mask has one piece.
    """

    key: Annotated[str, Column("text", "`dataset/split/media_id/object_id`; rows of every config join by it")]
    object_id: Annotated[str, Column("text", "id of the annotation in the source, as text", objects=True)]
    category_id: Annotated[int | None, Column("int64", "id of the category in the source", objects=True)]
    category: Annotated[str | None, Column("text", "name of the category in the source", objects=True)]
    frame_index: Annotated[
        tuple[int, ...],
        Column("int32s", "frames on which the object is visible; the next three columns follow it", objects=True),
    ]
    segmentation: Annotated[
        tuple[Rle | None, ...],
        Column(
            "masks",
            "masks: COCO run lengths, `size` = [height, width], `counts` as text; null where the source has a box only",
            objects=True,
        ),
    ]
    bbox: Annotated[tuple[Box, ...], Column("boxes", "x, y, width, height in pixels, tight on the mask", objects=True)]
    area: Annotated[tuple[int | None, ...], Column("int64s", "pixels of the mask", objects=True)]
    caption: Annotated[str | None, Column("text", "the caption", objects=True)]
    status: Annotated[Status, Column("text", "`kept`, `dropped` (by a check) or `failed` (for good)", captions=False)]
    reasons: Annotated[
        tuple[str, ...],
        Column("texts", "why the row is not kept; the first code is the one that is counted", captions=False),
    ]
    message: Annotated[str | None, Column("text", "the first reason in a sentence", captions=False)]
    model: Annotated[str | None, Column("text", "the model that wrote it; the engine's name where none did")]
    model_revision: Annotated[str | None, Column("text", "the model's pinned revision, if it has one")]
    engine: Annotated[str | None, Column("text", "the engine that ran the model")]
    prompt: Annotated[str | None, Column("text", "name of the prompt file")]
    prompt_sha256: Annotated[str | None, Column("text", "sha256 of the prompt file")]
    highlight: Annotated[str | None, Column("text", "how the object was shown to the model")]
    seed: Annotated[int | None, Column("int64", "seed of sampling")]
    finish_reason: Annotated[str | None, Column("text", "why the model stopped writing")]
    prompt_tokens: Annotated[int | None, Column("int32", "tokens of the request")]
    cached_tokens: Annotated[int | None, Column("int32", "tokens of the request that the engine had computed before")]
    output_tokens: Annotated[int | None, Column("int32", "tokens of the answer")]
    attempts: Annotated[int, Column("int32", "how often the object was asked for")]
    request_sha256: Annotated[str | None, Column("text", "digest of what was asked", captions=False)]
    logprob_min: Annotated[
        float | None,
        Column("float32", "log-probability of the caption's least probable content word; null where not known"),
    ] = None
    logprob_mean: Annotated[
        float | None, Column("float32", "mean log-probability of the caption's content words; null where not known")
    ] = None
    advice: Annotated[
        tuple[str, ...], Column("texts", "codes of the checks that advise against the caption", captions=False)
    ] = ()
    tries: Annotated[
        int, Column("int32", "answers that were asked for: more than 1 where a check refused an earlier one")
    ] = 1
    answers: Annotated[
        tuple[GivenAnswer, ...],
        Column("answers", "every answer, in order, where there is more than one", captions=False),
    ] = ()
    fits: Annotated[
        tuple[NeighbourFit, ...],
        Column("fits", "how its captions fit it against its neighbours of the same category", captions=False),
    ] = ()
    shown: Annotated[
        tuple[Rle | None, ...],
        Column("masks", "the piece of the mask that was shown, an entry a mask; null or empty where all of it was"),
    ] = ()
    extra: Annotated[
        str | None, Column("text", "what else the source says of the object, as a JSON object", objects=True)
    ] = None


class ReleasedObject(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of ``objects`` in the released ``media``; what was not asked for when it was read has its default.

    ``dropped`` is the reason why it has no caption, ``dup_of`` the key of an earlier caption that says the same,
    ``source`` is ``human`` where a person wrote the caption; the other fields are those of ``Row``.
    """

    object_id: str = ""
    category_id: int | None = None
    category: str | None = None
    frame_index: tuple[int, ...] = ()
    segmentation: tuple[Rle | None, ...] = ()
    bbox: tuple[Box, ...] = ()
    area: tuple[int | None, ...] = ()
    caption: str | None = None
    dropped: str | None = None
    extra: str | None = None
    dup_of: str | None = None
    source: str | None = None


class ReleasedPicture(msgspec.Struct, frozen=True, kw_only=True):
    """A frame that lies in the release itself: the file's bytes and its name."""

    data: bytes = msgspec.field(name="bytes")
    path: str | None = None


class ReleasedMedia(MediaHeader, frozen=True, kw_only=True):
    """A row of the released ``media``: an image or a video with all of its objects, captioned or not.

    Args:
        images: one a frame where the release holds the pictures, None where a file was missing; empty where it does
            not hold them.
        frames: where the frames are in no file of their own, as in a benchmark's videos: gives uint8 RGB [H, W, 3] of
            some indices, of at least a (height, width).
    """

    objects: tuple[ReleasedObject, ...] = ()
    images: tuple[ReleasedPicture | None, ...] = ()
    frames: Any = None

    def fault(self) -> str | None:
        """Why its numbers do not go together, which only a changed release has; None where they do.

        Sizes must be sizes, and every object must have a finite box for each of its frames, which are the medium's.
        """
        if self.width <= 0 or self.height <= 0:
            return f"its size is {self.width}x{self.height}"
        frames = range(len(self.file_names))
        for one in self.objects:
            if not all(index in frames for index in one.frame_index):
                return f"object {one.object_id} is on frames that it has not"
            if len(one.bbox) != len(one.frame_index) or not all(map(isfinite, chain.from_iterable(one.bbox))):
                return f"object {one.object_id} has no box for each of its frames"
        return None
