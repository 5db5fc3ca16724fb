"""A MaskCaptioner with random weights, as small as it can be, saved as a trained one is."""

from __future__ import annotations

import torch

from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
from capgen.maskcaptioner.model.presets import preset


def save_random(folder, *, classes=("circle", "square"), seed: int = 0, **changes):
    """The ``sample`` preset shrunk; returns ``folder``."""
    config = preset("sample")
    config.segmenter = config.segmenter | {"num_queries": 6, "decoder_layers": 2, "hidden_dim": 64}
    config.picture = config.picture | {"height": 48, "width": 64}
    config.clip_frames, config.classes = 3, list(classes)
    for key, value in changes.items():
        setattr(config, key, value)
    torch.manual_seed(seed)
    model = MaskCaptioner.create(config, word_tokenizer(["a red square moves right", "a blue circle stands still"]))
    model.save_pretrained(folder)
    return folder
