"""Sizes of MaskCaptioner that are known to work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Final

from capgen.errors import UnknownName
from capgen.maskcaptioner.model.config import MaskCaptionerConfig


def _sample() -> MaskCaptionerConfig:
    """Learns the sample world from scratch on a CPU."""
    width = 128
    return MaskCaptionerConfig(
        segmenter={
            "backbone_config": {
                "model_type": "resnet",
                "embedding_size": 32,
                "hidden_sizes": [48, 64, 128, 192],
                "depths": [1, 2, 2, 1],
                "layer_type": "basic",
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
            },
            "feature_size": 64,
            "mask_feature_size": 64,
            "hidden_dim": width,
            "encoder_feedforward_dim": 128,
            "dim_feedforward": 256,
            "encoder_layers": 1,
            "decoder_layers": 4,
            "num_attention_heads": 4,
            "num_queries": 20,
        },
        clip_frames=3,
        caption={
            "stride": 8,
            "geometry": True,
            "qformer": {
                "hidden_size": 96,
                "encoder_hidden_size": 96,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "intermediate_size": 192,
                "cross_attention_frequency": 1,
                "hidden_dropout_prob": 0.0,
                "attention_probs_dropout_prob": 0.0,
            },
            "learned_queries": 6,
            "language_model": {
                "model_type": "llama",
                "hidden_size": 96,
                "intermediate_size": 192,
                "num_hidden_layers": 2,
                "num_attention_heads": 4,
                "num_key_value_heads": 4,
                "max_position_embeddings": 128,
                "tie_word_embeddings": True,
            },
            "freeze_language_model": False,
            "max_tokens": 24,
        },
        losses={"points": 2048},
        picture={"height": 192, "width": 256},
    )


def _base() -> MaskCaptionerConfig:
    """The paper's: Swin-B, nine decoder layers, BLIP-2's vision tower, Q-Former and OPT-2.7B."""
    return MaskCaptionerConfig(
        segmenter={
            "backbone_config": {
                "model_type": "swin",
                "image_size": 384,
                "embed_dim": 128,
                "depths": [2, 2, 18, 2],
                "num_heads": [4, 8, 16, 32],
                "window_size": 12,
                "drop_path_rate": 0.3,
                "out_features": ["stage1", "stage2", "stage3", "stage4"],
            },
        },
        clip_frames=5,
        caption={
            "vision": {"image_size": 224, "patch_size": 14},
            "qformer": {},
            "learned_queries": 32,
            "language_model": {
                "model_type": "opt",
                "hidden_size": 2560,
                "word_embed_proj_dim": 2560,
                "ffn_dim": 10240,
                "num_hidden_layers": 32,
                "num_attention_heads": 32,
                "vocab_size": 50272,
                "max_position_embeddings": 2048,
            },
            "frozen_dtype": "bfloat16",
            "max_objects": 16,
        },
        memory={"length": 1, "top_k": 1},
    )


PRESETS: Final[dict[str, Callable[[], MaskCaptionerConfig]]] = {"sample": _sample, "base": _base}


def preset(name: str, **changes: Any) -> MaskCaptionerConfig:
    """A preset's config, with fields of ``MaskCaptionerConfig`` replaced.

    Raises:
        UnknownName: no such preset.
    """
    if name not in PRESETS:
        raise UnknownName("preset", name, PRESETS)
    config = PRESETS[name]()
    if not changes:
        return config
    own = {key: value for key, value in config.to_dict().items() if key in _FIELDS}
    return MaskCaptionerConfig(**{**own, **changes})


_FIELDS: Final = frozenset(inspect.signature(MaskCaptionerConfig.__init__).parameters) - {"self", "kwargs"}
