"""Embeddings of class names from the text half of a CLIP or SigLIP, computed when they are first needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import normalize

from capgen.errors import UserError
from capgen.maskcaptioner.model.safe_loading import NO_CODE, SAFE_WEIGHTS

_TEMPLATE = "a photo of a {}."
_BATCH = 256
_CACHE: dict[tuple[str, tuple[str, ...]], torch.Tensor] = {}


def _text_model(name: str) -> Any:
    from transformers import AutoConfig, AutoModel, CLIPTextModelWithProjection

    try:
        config = AutoConfig.from_pretrained(name, **NO_CODE)
        projected = config.model_type in ("clip", "clip_text_model")
        kind = CLIPTextModelWithProjection if projected else AutoModel
        return kind.from_pretrained(name, dtype=torch.float32, **SAFE_WEIGHTS).eval()
    except (OSError, ValueError) as error:
        raise UserError(
            f"text_encoder {name!r} cannot be loaded ({error})", "give a CLIP or SigLIP name or folder"
        ) from error


def _encode(model: Any, inputs: Any) -> torch.Tensor:
    if hasattr(model, "get_text_features"):
        found = model.get_text_features(**inputs)
    else:
        found = model(**inputs)
        found = found.text_embeds if hasattr(found, "text_embeds") else found.pooler_output
    return found if isinstance(found, torch.Tensor) else found.pooler_output


def text_embeddings(name: str, classes: Sequence[str]) -> torch.Tensor:
    """Unit vectors of ``a photo of a <class>.``, float32 [C, E]; kept in memory for the life of the process.

    Raises:
        UserError: no text encoder of that name.
    """
    key = (name, tuple(classes))
    if key not in _CACHE:
        from transformers import AutoTokenizer

        model, tokenizer = _text_model(name), AutoTokenizer.from_pretrained(name, **NO_CODE)
        texts = [_TEMPLATE.format(item.replace("_", " ")) for item in classes]
        # SigLIP was trained with texts padded to its full length, and reads others badly
        padding = "max_length" if "siglip" in model.config.model_type else True
        rows = []
        with torch.inference_mode():
            for start in range(0, len(texts), _BATCH):
                inputs = tokenizer(texts[start : start + _BATCH], padding=padding, truncation=True, return_tensors="pt")
                rows.append(normalize(_encode(model, inputs).float(), dim=-1))
        _CACHE[key] = torch.cat(rows).clone()
    return _CACHE[key]


def text_width(name: str) -> int:
    """The size of a text encoder's embeddings.

    Raises:
        UserError: no text encoder of that name.
    """
    return int(text_embeddings(name, ["object"]).shape[1])
