"""A MaskCaptioner of some 100,000 parameters, and clips for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from capgen import rle
from capgen.maskcaptioner.inference.track import Track
from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.config import MaskCaptionerConfig
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner, Target

FLOAT32: dict[str, float] = {"atol": 1e-5, "rtol": 1e-4}
"""How far float32 results of the tiny model may lie apart when two objects, processes or code paths computed them.

Where tensors lie in memory, the number of threads and the CPU's instructions decide the order of a sum, which alone
moves results of size 1 by up to 1e-6 here. A wrong weight, mask or position moves them by 1e-3 and more.
"""
CAPTIONS = ["A large red cup.", "A small blue cup moving left.", "An orange star."]
CLASSES = ["cup", "star", "hot_air_balloon"]
SEGMENTER: dict[str, Any] = {
    "backbone_config": {
        "model_type": "resnet",
        "embedding_size": 8,
        "hidden_sizes": [8, 8, 16, 16],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "out_features": ["stage1", "stage2", "stage3", "stage4"],
    },
    "feature_size": 32,
    "mask_feature_size": 32,
    "hidden_dim": 32,
    "encoder_feedforward_dim": 32,
    "dim_feedforward": 32,
    "encoder_layers": 1,
    "decoder_layers": 4,
    "num_attention_heads": 2,
    "num_queries": 6,
}
CAPTION: dict[str, Any] = {
    "qformer": {
        "hidden_size": 32,
        "encoder_hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "cross_attention_frequency": 1,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    },
    "geometry": True,
    "learned_queries": 3,
    "language_model": {
        "model_type": "llama",
        "hidden_size": 32,
        "intermediate_size": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "num_key_value_heads": 2,
    },
    "freeze_language_model": False,
    "max_tokens": 12,
}


def tiny_config(**changes: Any) -> MaskCaptionerConfig:
    """The config, with fields replaced."""
    fields: dict[str, Any] = {
        "segmenter": SEGMENTER,
        "clip_frames": 2,
        "classes": CLASSES,
        "caption": CAPTION,
        "losses": {"points": 64},
        "picture": {"height": 64, "width": 96},
    }
    return MaskCaptionerConfig(**{**fields, **changes})


def tiny_model(**changes: Any) -> MaskCaptioner:
    """Always the same weights."""
    torch.manual_seed(0)
    return MaskCaptioner.create(tiny_config(**changes), word_tokenizer(CAPTIONS)).eval()


def clip(batch: int = 1, frames: int = 2, seed: int = 0) -> torch.Tensor:
    """Random pixels [B, T, 3, 64, 96]."""
    return torch.randn(batch, frames, 3, 64, 96, generator=torch.Generator().manual_seed(seed))


def target(frames: int = 2, captions: tuple[str | None, ...] = tuple(CAPTIONS[:2]), **changes: Any) -> Target:
    """Squares that move to the right, one for each caption."""
    masks = torch.zeros(len(captions), frames, 64, 96, dtype=torch.bool)
    for n in range(len(captions)):
        for t in range(frames):
            masks[n, t, 8 + 24 * n : 28 + 24 * n, 8 + 8 * t : 36 + 8 * t] = True
    fields: dict[str, Any] = {
        "masks_NTHW": masks,
        "boxes_NT4": None,
        "visible_NT": torch.ones(len(captions), frames, dtype=torch.bool),
        "class_ids_N": torch.arange(len(captions)) % len(CLASSES),
        "captions": list(captions),
    }
    return Target(**{**fields, **changes})


def alike(first: Sequence[Track], second: Sequence[Track]) -> bool:
    """Whether two predictions are the same but for the rounding of float32: scores, and single pixels of masks."""
    return len(first) == len(second) and all(
        (a.track_id, a.frames, a.category, a.caption) == (b.track_id, b.frames, b.category, b.caption)
        and abs(a.score - b.score) < 1e-4
        and all(
            rle.iou([x["counts"]], [y["counts"]], (x["size"][0], x["size"][1]))[0, 0] > 0.99
            for x, y in zip(a.masks or (), b.masks or (), strict=True)
        )
        for a, b in zip(first, second, strict=True)
    )
