"""Every number that shapes a MaskCaptioner; saved as ``config.json`` beside its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from transformers import PreTrainedConfig

from capgen.errors import UnknownName

ObjectMask = Literal["right", "absent", "inverted"]

LOSSES: Final[dict[str, float]] = {
    "dice": 5.0,
    "bce": 5.0,
    "l1": 5.0,
    "giou": 2.0,
    "cls": 2.0,
    "obj": 2.0,
    "lm": 1.0,
    "points": 12544,
    "oversample": 3.0,
    "importance": 0.75,
    "background": 0.4,
    "federated": 50,
}
"""The paper's weights (dice to lm) and Mask2Former's sampling of points. ``points`` are per object and clip, shared by
its frames; ``background`` is the weight of no-object; ``federated`` is how many classes a clip is asked about."""

PICTURE: Final[dict[str, Any]] = {
    "short_side": 480,
    "long_side": 1333,
    "divisor": 32,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
"""``height`` and ``width`` (fixed) or ``short_side`` and ``long_side`` (kept shape), pixels; ``mean`` and ``std`` of
RGB in 0..1; pictures are padded with zeros, after normalisation, right and below, to multiples of ``divisor``."""

CAPTION: Final[dict[str, Any]] = {
    "vision": None,  # null: the segmenter's own features; else a Blip2VisionConfig or a BLIP-2 name
    "vision_side": 364,  # the tower sees the padded picture squeezed to this square, pixels
    "stride": 8,  # of the tokens made of the segmenter's features: 4 or 8 pixels
    "geometry": False,  # tell the object query where the predicted mask lies and how it moves
    "qformer": {},  # Blip2QFormerConfig, or a BLIP-2 name
    "learned_queries": 32,
    "language_model": None,  # a causal language model's config or name
    "freeze_vision": True,
    "freeze_language_model": True,
    "frozen_dtype": None,  # of the frozen parts, such as "bfloat16"
    "max_tokens": 32,  # of a caption, its end included
    "max_objects": 0,  # captioned objects of a clip in one training step; 0: all
    "beams": 1,
    "detach": False,  # keep the caption loss out of the segmenter
}

MEMORY: Final[dict[str, int]] = {"length": 1, "top_k": 1}
"""Clips remembered by the tracker, and how many of them vote; 1 and 1 = only the clip before."""


def merged(kind: str, default: Mapping[str, Any], given: Mapping[str, Any] | None) -> dict[str, Any]:
    """The default with what was given in its place.

    Raises:
        UnknownName: a key that there is not.
        ValueError: a value that is no number where the default is one.
    """
    for key, value in (given or {}).items():
        if key not in default:
            raise UnknownName(f"key of {kind}", key, default)
        if isinstance(default[key], int | float) and not isinstance(value, int | float | None):
            raise ValueError(f"{kind}.{key} is {value!r:.80}, not a number")
    return {**default, **(given or {})}


class MaskCaptionerConfig(PreTrainedConfig):  # type: ignore[misc]
    """What a MaskCaptioner is made of.

    Args:
        segmenter: a ``Mask2FormerConfig`` as a dict, its ``backbone_config`` inside.
        clip_frames: frames that are segmented jointly; 1 = online. Any other number may be given at run time.
        mask_head, box_head: what is predicted; one or both. Without the mask head, attention follows the boxes.
        classes: category names in order, the class head's rows; empty = no class head.
        class_counts: how often each class is seen in training; weights the draw of federated classes.
        class_head: ``linear``, or ``open``: cosine with frozen text embeddings of the names.
        text_encoder: CLIP or SigLIP name or folder of the open class head; ``text_width`` is its embeddings' size.
        caption: see ``CAPTION``; None = no captions.
        object_mask: which tokens the caption head sees: the object's, all, or all but the object's.
        memory: see ``MEMORY``.
        losses: see ``LOSSES``.
        picture: see ``PICTURE``.
        caption_clips: at most so many clips of a track are averaged for its caption.

    Raises:
        UnknownName: an unknown key in one of the tables, class head or object mask.
        ValueError: no head at all.
    """

    model_type = "maskcaptioner"
    has_no_defaults_at_init = False

    def __init__(
        self,
        segmenter: Mapping[str, Any] | None = None,
        clip_frames: int = 5,
        mask_head: bool = True,
        box_head: bool = False,
        classes: list[str] | None = None,
        class_counts: list[int] | None = None,
        class_head: str = "linear",
        text_encoder: str | None = None,
        text_width: int | None = None,
        caption: Mapping[str, Any] | None = None,
        object_mask: ObjectMask = "right",
        memory: Mapping[str, int] | None = None,
        losses: Mapping[str, float] | None = None,
        picture: Mapping[str, Any] | None = None,
        caption_clips: int = 32,
        **kwargs: Any,
    ) -> None:
        for kind, name, known in (
            ("class_head", class_head, ("linear", "open")),
            ("object_mask", object_mask, ("right", "absent", "inverted")),
        ):
            if name not in known:
                raise UnknownName(kind, name, known)
        if not mask_head and not box_head:
            raise ValueError("a model without mask_head and box_head predicts nothing")
        self.segmenter = dict(segmenter or {})
        self.clip_frames = clip_frames
        self.mask_head, self.box_head = mask_head, box_head
        self.classes = list(classes or [])
        self.class_counts = class_counts
        self.class_head = class_head
        self.text_encoder, self.text_width = text_encoder, text_width
        self.caption = None if caption is None else merged("caption", CAPTION, caption)
        self.object_mask = object_mask
        self.memory = merged("memory", MEMORY, memory)
        self.losses = merged("losses", LOSSES, losses)
        self.picture = merged("picture", {**PICTURE, "height": None, "width": None}, picture)
        self.caption_clips = caption_clips
        self._check_sizes()
        super().__init__(**kwargs)

    def _check_sizes(self) -> None:
        """That sizes and counts are whole numbers from 1 on, and that means and deviations are of three channels.

        Raises:
            ValueError: one is not.
        """
        sizes = {f"picture.{key}": self.picture[key] for key in ("height", "width", "short_side", "long_side")}
        needed = {"picture.divisor": self.picture["divisor"], "clip_frames": self.clip_frames}
        for name, value in {**{k: v for k, v in sizes.items() if v is not None}, **needed}.items():
            if not isinstance(value, int) or value < (0 if name == "picture.long_side" else 1):
                raise ValueError(f"{name} is {value!r:.80}, not a size")
        for name in ("mean", "std"):
            given = self.picture[name]
            three = isinstance(given, list | tuple) and len(given) == 3
            if not three or not all(isinstance(one, int | float) for one in given):
                raise ValueError(f"picture.{name} is {given!r:.80}, not three numbers")
