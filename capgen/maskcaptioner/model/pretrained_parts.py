"""Weights from elsewhere: architectures are written into the config by name once, so that a saved model needs no
network to be built again; weights are then copied in.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer, Mask2FormerConfig

from capgen.errors import UserError
from capgen.maskcaptioner.model.config import MaskCaptionerConfig
from capgen.maskcaptioner.model.safe_loading import NO_CODE, SAFE_WEIGHTS
from capgen.maskcaptioner.model.segmentation.classes import text_width
from capgen.maskcaptioner.model.segmentation.segmenter import Mask2Former

PartNames = dict[str, str]
"""Which part (vision, qformer, language_model) comes from which checkpoint."""


def _config(name: str, key: str) -> Any:
    try:
        return AutoConfig.from_pretrained(name, **NO_CODE)
    except (OSError, ValueError) as error:
        raise UserError(f"{key} {name!r} cannot be loaded ({error})", "give a model's name or folder") from error


def resolved(config: MaskCaptionerConfig, tokenizer: Any = None) -> tuple[MaskCaptionerConfig, PartNames, Any]:
    """The config with architectures in place of names, the names, and the tokenizer (the named model's by default).

    Raises:
        UserError: a name cannot be loaded, or a language model from scratch has no tokenizer.
    """
    config = copy.deepcopy(config)
    if config.class_head == "open" and config.classes:
        if config.text_encoder is None:
            raise UserError("class_head = open needs text_encoder", "give a CLIP or SigLIP name or folder")
        config.text_width = text_width(config.text_encoder)
    if config.caption is None:
        return config, {}, None
    table, names = config.caption, PartNames()
    for key, inside in (("vision", "vision_config"), ("qformer", "qformer_config"), ("language_model", "text_config")):
        if isinstance(table[key], str):
            names[key] = table[key]
            found = _config(names[key], f"caption.{key}")
            table[key] = getattr(found, inside, found).to_dict()
    if tokenizer is None and "language_model" in names:
        tokenizer = AutoTokenizer.from_pretrained(names["language_model"], **NO_CODE)
    if tokenizer is None:
        raise UserError(
            "a language model from scratch has no tokenizer", "hand one in, such as word_tokenizer(captions)"
        )
    if "language_model" not in names:
        table["language_model"] = {**(table["language_model"] or {}), **_vocabulary(table["language_model"], tokenizer)}
    return config, names, tokenizer


def _vocabulary(language: Mapping[str, Any] | None, tokenizer: Any) -> dict[str, Any]:
    if not language:
        raise UserError("caption.language_model is empty", "give a model's name, or a config with its model_type")
    size = max(len(tokenizer), int(language.get("vocab_size", 0)))
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    return {"vocab_size": size, **ids}


def load_parts(head: nn.Module, names: PartNames) -> None:
    """Copy the named checkpoints' weights into the caption head."""
    if "vision" in names or "qformer" in names:
        _load_blip2(head, names)
    name = names.get("language_model")
    if name is not None and name not in (names.get("vision"), names.get("qformer")):
        causal = AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32, **SAFE_WEIGHTS)
        head.language.causal.load_state_dict(causal.state_dict())


def _load_blip2(head: nn.Module, names: PartNames) -> None:
    from transformers import Blip2ForConditionalGeneration

    for name in dict.fromkeys(names.values()):
        if AutoConfig.from_pretrained(name, **NO_CODE).model_type != "blip-2":
            continue
        whole = Blip2ForConditionalGeneration.from_pretrained(name, **SAFE_WEIGHTS)
        if names.get("vision") == name:
            head.tokens.tower.load_state_dict(whole.vision_model.state_dict())
        if names.get("qformer") == name:
            head.qformer.blip2.load_state_dict(whole.qformer.state_dict())
            queries = whole.query_tokens.data[0].float()
            if queries.shape == head.learned_LE.shape:
                head.learned_LE.data.copy_(queries)
        if names.get("language_model") == name:
            head.language.causal.load_state_dict(whole.language_model.state_dict())
            head.language.projection.load_state_dict(whole.language_projection.state_dict())


def load_segmenter(name: str) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """Config and weights of any transformers Mask2Former checkpoint, without its class head.

    Raises:
        UserError: no Mask2Former of that name.
    """
    config = _config(name, "segmenter")
    if not isinstance(config, Mask2FormerConfig):
        raise UserError(f"segmenter {name!r} is a {config.model_type}", "give a Mask2Former name or folder")
    model = Mask2Former.from_pretrained(name, dtype=torch.float32, **SAFE_WEIGHTS)
    found = config.to_dict()
    found.pop("_name_or_path", None)  # where it lay here is nobody's business where the model goes
    return found, model.state_dict()


def start_afresh(mask2former: nn.Module) -> None:
    """Starting values for training from scratch; transformers' are for loading, with batch norms of weight near 0.

    Batch norms pass everything through; projections and feed-forwards of the decoders are Xavier's, as in Mask2Former's
    own code; deformable offsets and attention keep theirs.
    """
    for module in mask2former.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
    keep = ("sampling_offsets", "attention_weights", "embedder.weight", "queries_features", "level_embed")
    for root in (mask2former.pixel_level_module.decoder, mask2former.transformer_module):
        for name, parameter in root.named_parameters():
            if parameter.dim() > 1 and not any(word in name for word in keep):
                nn.init.xavier_uniform_(parameter)
    nn.init.normal_(mask2former.transformer_module.queries_embedder.weight)
    nn.init.normal_(mask2former.transformer_module.queries_features.weight)
