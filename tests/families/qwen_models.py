"""Qwen's vision-language models, and those of others that have the same parts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.families import chats, tiny_tokenizers
from tests.families.parts import CHATML, EXPERTS, PATCHES, TEXT, THINK, TOWER, Parts, config_of, made, rope

QWEN_TOKENS = (*CHATML, "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")


def _qwen_ids(tokenizer: Any) -> dict[str, int]:
    token = tokenizer.convert_tokens_to_ids
    names = ("image_token", "video_token", "vision_start_token", "vision_end_token")
    texts = ("<|image_pad|>", "<|video_pad|>", "<|vision_start|>", "<|vision_end|>")
    return {f"{name}_id": token(text) for name, text in zip(names, texts, strict=True)}


def qwen25() -> Parts:
    from transformers import Qwen2_5_VLProcessor

    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", QWEN_TOKENS)
    size = {"shortest_edge": 3136, "longest_edge": 12845056}
    text = TEXT | {"rope_parameters": rope(4, 6, 6)}
    config = config_of("qwen2_5_vl", tokenizer, text, PATCHES | {"fullatt_block_indexes": [1]}, **_qwen_ids(tokenizer))
    pictures, videos = made("Qwen2VLImageProcessor", size=size), made("Qwen2VLVideoProcessor", size=size)
    return Parts(config, Qwen2_5_VLProcessor(pictures, tokenizer, videos), chats.QWEN, "<|im_end|>")


def _qwen3(kind: str, text: dict[str, Any], chat: chats.Chat, vision: dict[str, Any]) -> Parts:
    from transformers import Qwen3VLProcessor

    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", QWEN_TOKENS, THINK)
    size = {"shortest_edge": 65536, "longest_edge": 16777216}
    tower = PATCHES | {"patch_size": 16, "num_position_embeddings": 2304} | vision
    config = config_of(kind, tokenizer, TEXT | text, tower, **_qwen_ids(tokenizer))
    options = {"patch_size": 16, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    pictures = made("Qwen2VLImageProcessor", size=size, **options)
    return Parts(config, Qwen3VLProcessor(pictures, tokenizer, made("Qwen3VLVideoProcessor")), chat, "<|im_end|>")


def qwen3() -> Parts:
    text = {"rope_parameters": rope(4, 6, 6, mrope_interleaved=True)}
    return _qwen3("qwen3_vl", text, chats.QWEN, {"deepstack_visual_indexes": [0, 1]})


def qwen3_moe() -> Parts:
    text = {"rope_parameters": rope(4, 6, 6, mrope_interleaved=True), **EXPERTS}
    return replace(_qwen3("qwen3_vl_moe", text, chats.QWEN, {"deepstack_visual_indexes": [0, 1]}), saved=False)


LINEAR = {
    "layer_types": ["linear_attention", "full_attention"],
    # widths as published: vLLM's kernel for the CPU has no other, and the size of a cache block follows from them
    "num_key_value_heads": 2,
    "head_dim": 256,
    "linear_num_key_heads": 1,
    "linear_num_value_heads": 1,
    "linear_key_head_dim": 128,
    "linear_value_head_dim": 128,
    "rope_parameters": rope(11, 11, 10, mrope_interleaved=True, partial_rotary_factor=0.25),
}


def qwen35() -> Parts:
    return _qwen3("qwen3_5", LINEAR, chats.QWEN_THINKING, {})


def qwen35_moe() -> Parts:
    text = LINEAR | EXPERTS | {"shared_expert_intermediate_size": 64}
    return _qwen3("qwen3_5_moe", text, chats.QWEN_THINKING, {})


def minicpm() -> Parts:
    from transformers import MiniCPMV4_6Processor

    named = {
        "image_token": "<|image_pad|>",
        "video_token": "<|video_pad|>",
        "image_start_token": "<image>",
        "image_end_token": "</image>",
        "slice_start_token": "<slice>",
        "slice_end_token": "</slice>",
        "image_id_start_token": "<image_id>",
        "image_id_end_token": "</image_id>",
    }
    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", CHATML, THINK, **named)
    text = {"model_type": "qwen3_5_text", **TEXT, **LINEAR}
    tower = TOWER | {"image_size": 980, "patch_size": 14, "insert_layer_id": 0}
    ids = {"image_token_id": tokenizer.image_token_id, "video_token_id": tokenizer.video_token_id}
    config = config_of("minicpmv4_6", tokenizer, text, tower, insert_layer_id=0, **ids)
    processor = MiniCPMV4_6Processor(made("MiniCPMV4_6ImageProcessor"), made("MiniCPMV4_6VideoProcessor"), tokenizer)
    return Parts(config, processor, chats.MINICPM, "<|im_end|>")
