"""CLIPScore and RefCLIPScore of captions against crops of their regions, by a CLIP-like model of transformers.

Source: Hessel et al., EMNLP 2021, arXiv:2104.08718: 2.5 max(cos, 0) with "A photo depicts" before every text; with
references the harmonic mean of that and of the best cosine between caption and reference.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from capgen.evaluation.region_captions.model_scores.loading import (
    BATCH,
    batches,
    load_arguments,
    naming_extra,
    naming_model,
)
from capgen.evaluation.region_captions.texts import TextPair
from capgen.images import Pixels

WEIGHT = 2.5
PREFIX = "A photo depicts "
_PIXELS = 16


@dataclass(frozen=True, slots=True)
class ClipScores:
    """Per caption; ``with_references`` is None where there are none.

    Args:
        cut: captions and references that are longer than the model can read; their ends do not count.
    """

    clip: list[float]
    with_references: list[float] | None
    cut: int


def clip_scores(
    model: str, pairs: Sequence[TextPair], crop: Callable[[str, tuple[int, int, int]], Pixels], device: str
) -> ClipScores:
    """CLIPScore of each caption, RefCLIPScore where all have references; a caption without text has 0.

    Args:
        model: Hub name or folder with image and text encoders (CLIP, SigLIP and the like).
        crop: from a region's key and the colour that stands for no pixel, RGB, to its square picture.

    Raises:
        UserError: transformers is missing, or the model cannot be loaded.
    """
    with naming_extra("--clip-model"):
        encoder = _ClipEncoder.load(model, device)
    spoken = [pair for pair in pairs if pair.candidate]
    texts = sorted({PREFIX + text for pair in spoken for text in (pair.candidate, *pair.references)})
    vectors, cut = encoder.texts(texts)
    pictures = encoder.pictures([pair.key for pair in spoken], crop)
    clip, both = [], []
    for pair in pairs:
        seen = nearest = 0.0
        if pair.candidate:
            said = vectors[PREFIX + pair.candidate]
            seen = WEIGHT * max(0.0, float(said @ pictures[pair.key]))
            nearest = max((float(said @ vectors[PREFIX + one]) for one in pair.references), default=0.0)
        clip.append(seen)
        both.append(harmonic_mean(seen, max(0.0, nearest)))
    return ClipScores(clip, both if all(pair.references for pair in pairs) else None, cut)


def harmonic_mean(a: float, b: float) -> float:
    """0 where one of them is."""
    return 2 * a * b / (a + b) if a and b else 0.0


@dataclass(frozen=True, slots=True)
class _ClipEncoder:
    processor: Any
    weights: Any
    device: str

    @classmethod
    def load(cls, model: str, device: str) -> _ClipEncoder:
        from transformers import AutoModel, AutoProcessor

        with naming_model("--clip-model", model):
            processor = AutoProcessor.from_pretrained(model, trust_remote_code=False)
            weights = AutoModel.from_pretrained(model, **load_arguments()).eval().to(device)
            if not hasattr(weights, "get_image_features") or not hasattr(weights, "get_text_features"):
                raise ValueError("it has no image and text encoders")
        return cls(processor, weights, device)

    @property
    def no_colour(self) -> tuple[int, int, int]:
        """The colour that normalisation makes zero: the mean that the model's own processor takes away."""
        mean = getattr(self.processor.image_processor, "image_mean", None) or (0.5, 0.5, 0.5)
        red, green, blue = (round(255 * float(value)) for value in mean)
        return red, green, blue

    def texts(self, texts: Sequence[str]) -> tuple[Mapping[str, Any], int]:
        """The vectors, of length 1, and how many texts are too long."""
        import torch

        longest: int = self.weights.config.text_config.max_position_embeddings
        # SigLIP was trained on texts padded to their full length, CLIP's attention mask hides padding
        padding = "max_length" if "siglip" in self.weights.config.model_type else True
        found: dict[str, Any] = {}
        cut = 0
        for some in batches(texts, BATCH):
            whole = self.processor.tokenizer(list(some))["input_ids"]
            cut += sum(len(ids) > longest for ids in whole)
            given = self.processor.tokenizer(
                list(some), padding=padding, truncation=True, max_length=longest, return_tensors="pt"
            )
            with torch.inference_mode():
                rows = _vectors(self.weights.get_text_features(**given.to(self.device)))
            found.update(zip(some, rows, strict=True))
        return found, cut

    def pictures(self, keys: Sequence[str], crop: Callable[[str, tuple[int, int, int]], Pixels]) -> dict[str, Any]:
        """The vectors, of length 1, of the crops."""
        import torch

        found: dict[str, Any] = {}
        for some in batches(keys, _PIXELS):
            crops = [np.ascontiguousarray(crop(key, self.no_colour)) for key in some]
            given = self.processor.image_processor(images=crops, return_tensors="pt", input_data_format="channels_last")
            with torch.inference_mode():
                rows = _vectors(self.weights.get_image_features(pixel_values=given["pixel_values"].to(self.device)))
            found.update(zip(some, rows, strict=True))
        return found


def _vectors(features: Any) -> Any:
    """Rows of length 1; transformers returns a tensor or, since 5.0, an object around it."""
    import torch

    tensor = getattr(features, "pooler_output", features)
    return torch.nn.functional.normalize(tensor.float(), dim=-1).cpu()
