"""Cosine between the embeddings of a caption and of its references, by any model of sentence-transformers."""

from __future__ import annotations

from collections.abc import Sequence

from capgen.evaluation.region_captions.model_scores.loading import BATCH, naming_extra, naming_model
from capgen.evaluation.region_captions.texts import TextPair


def sentence_similarity(model: str, pairs: Sequence[TextPair], device: str) -> list[float]:
    """The cosine of each caption with its nearest reference, -1 to 1; a caption without text has 0.

    Args:
        model: Hub name or folder; a plain transformers model is pooled by the mean of its tokens.

    Raises:
        UserError: sentence-transformers is missing, or the model cannot be loaded.
    """
    with naming_extra("--sentence-model"):
        from sentence_transformers import SentenceTransformer
    with naming_model("--sentence-model", model):
        encoder = SentenceTransformer(model, device=device, model_kwargs={"use_safetensors": True})
    texts = sorted({text for pair in pairs for text in (pair.candidate, *pair.references) if text})
    rows = encoder.encode(texts, batch_size=BATCH, normalize_embeddings=True, show_progress_bar=False)
    vectors = dict(zip(texts, rows, strict=True))
    return [
        max(float(vectors[pair.candidate] @ vectors[reference]) for reference in pair.references)
        if pair.candidate
        else 0.0
        for pair in pairs
    ]
