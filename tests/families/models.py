"""Builds a family's model folder: its config class, processor, tokenizer and chat template, with random weights.

    python -m tests.families.models NAME FOLDER

Sizes of pictures, patches and tokens are those of the published models; only layers are few and narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from tests.families import chats, molmo2, qwen_models, tiny_tokenizers
from tests.families.parts import CHATML, PATCHES, TEXT, THINK, TOWER, WIDE, Parts, config_of, made, rope


def internvl() -> Parts:
    from transformers import InternVLProcessor

    named = {
        "start_image_token": "<img>",
        "end_image_token": "</img>",
        "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }
    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", CHATML, **named)
    text = {"model_type": "qwen2", **{key: value for key, value in TEXT.items() if key != "head_dim"}}
    config = config_of("internvl", tokenizer, text, TOWER, image_token_id=tokenizer.context_image_token_id)
    pictures = made("GotOcr2ImageProcessor", crop_to_patches=True, size={"height": 448, "width": 448})
    videos = made("InternVLVideoProcessor", size={"height": 448, "width": 448})
    processor = InternVLProcessor(pictures, tokenizer, videos)
    return Parts(config, processor, chats.INTERNVL, "<|im_end|>")


def gemma3() -> Parts:
    from transformers import Gemma3Processor

    named = {"boi_token": "<start_of_image>", "eoi_token": "<end_of_image>", "image_token": "<image_soft_token>"}
    tokenizer = tiny_tokenizers.gemma("<end_of_turn>", ("<start_of_turn>",), **named)
    token = tokenizer.convert_tokens_to_ids
    indexes = {f"{name}_index": token(text) for name, text in named.items()}
    kinds = {
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 1024,
        "query_pre_attn_scalar": 32,
    }
    tower = TOWER | {"image_size": 896, "patch_size": 14, "vision_use_head": False}
    config = config_of("gemma3", tokenizer, TEXT | kinds, tower, **indexes)
    pictures = made("Gemma3ImageProcessor", size={"height": 896, "width": 896})
    return Parts(config, Gemma3Processor(pictures, tokenizer), chats.GEMMA3, "<end_of_turn>", saved=False)


def gemma4() -> Parts:
    from transformers import Gemma4Processor

    named = {
        "boi_token": "<|image>",
        "eoi_token": "<image|>",
        "image_token": "<|image|>",
        "boa_token": "<|audio>",
        "eoa_token": "<audio|>",
        "audio_token": "<|audio|>",
        "video_token": "<|video|>",
    }
    specials = ("<|turn>", "<|channel>", "<channel|>", "<|think|>")
    tokenizer = tiny_tokenizers.gemma("<turn|>", specials, **named)
    token = tokenizer.convert_tokens_to_ids
    kinds = {
        "layer_types": ["sliding_attention", "full_attention"],
        "global_head_dim": 32,
        "hidden_size_per_layer_input": 0,
        "vocab_size_per_layer_input": len(tokenizer),
        "sliding_window": 512,
    }
    ids = {f"{name}_id": token(text) for name, text in named.items() if not name.startswith("eoa")}
    tower = TOWER | {"num_key_value_heads": 2, "head_dim": 32, "default_output_length": 280}
    config = config_of("gemma4", tokenizer, TEXT | kinds, tower, audio_config=None, **ids)
    processor = Gemma4Processor(
        made("Gemma4AudioFeatureExtractor"),
        made("Gemma4ImageProcessor"),
        tokenizer,
        made("Gemma4VideoProcessor"),
    )
    return Parts(config, processor, chats.GEMMA4, "<turn|>")


GLM_TOKENS = (
    *("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>"),
    *("<|begin_of_image|>", "<|end_of_image|>", "<|image|>", "<|begin_of_video|>", "<|end_of_video|>", "<|video|>"),
)


def _glm(kind: str, text: dict[str, Any], name: str) -> Parts:
    import transformers

    tokenizer = tiny_tokenizers.generic(None, "<|endoftext|>", GLM_TOKENS, (*THINK, "/nothink"))
    token = tokenizer.convert_tokens_to_ids
    ids = {
        "image_token_id": token("<|image|>"),
        "video_token_id": token("<|video|>"),
        "image_start_token_id": token("<|begin_of_image|>"),
        "image_end_token_id": token("<|end_of_image|>"),
        "video_start_token_id": token("<|begin_of_video|>"),
        "video_end_token_id": token("<|end_of_video|>"),
    }
    shape = TEXT | {"rope_parameters": rope(2, 3, 3, partial_rotary_factor=0.5)} | text
    config = config_of(kind, tokenizer, shape, PATCHES, **ids)
    pictures = made(f"{name}ImageProcessor")
    processor = getattr(transformers, f"{name}Processor")(pictures, tokenizer, made(f"{name}VideoProcessor"))
    return Parts(config, processor, chats.GLM, "<|user|>")


def glm() -> Parts:
    return _glm("glm4v", {}, "Glm4v")


def glm_moe() -> Parts:
    experts = {"n_routed_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "first_k_dense_replace": 1}
    return replace(_glm("glm4v_moe", experts | {"use_qk_norm": False}, "Glm4v"), saved=False)


MISTRAL_TOKENS = (
    *("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"),
    *("[IMG]", "[IMG_BREAK]", "[IMG_END]", "[THINK]", "[/THINK]"),
)


def _pixtral(kind: str, patch: int, largest: int, merge: int, text: str, **more: Any) -> Parts:
    from transformers import PixtralProcessor

    tokenizer = tiny_tokenizers.generic("<s>", "</s>", MISTRAL_TOKENS)
    token = tokenizer.convert_tokens_to_ids
    tower = TOWER | {"model_type": "pixtral", "image_size": largest, "patch_size": patch, "head_dim": 32}
    ids = {"image_token_index": token("[IMG]")}
    config = config_of(kind, tokenizer, TEXT | {"model_type": text}, tower, **ids, **more)
    pictures = made("PixtralImageProcessor", patch_size=patch, size={"longest_edge": largest})
    processor = PixtralProcessor(pictures, tokenizer, patch_size=patch, spatial_merge_size=merge)
    return Parts(config, processor, chats.MISTRAL, "</s>")


def pixtral() -> Parts:
    more = {"vision_feature_layer": -1, "vision_feature_select_strategy": "full", "image_seq_length": 1}
    return _pixtral("llava", 16, 1024, 1, "mistral", **more)


def mistral3() -> Parts:
    return _pixtral("mistral3", 14, 1540, 2, "mistral", spatial_merge_size=2)


def llava_onevision() -> Parts:
    from transformers import LlavaOnevisionProcessor

    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", (*CHATML, "<image>", "<video>"))
    token = tokenizer.convert_tokens_to_ids
    tower = TOWER | {"model_type": "siglip_vision_model", "image_size": 384, "patch_size": 14, "vision_use_head": False}
    sides = range(384, 2305, 384)
    places = [[across, down] for across in sides for down in sides]
    ids = {"image_token_index": token("<image>"), "video_token_index": token("<video>")}
    text = {"model_type": "qwen2", **{key: value for key, value in TEXT.items() if key != "head_dim"}}
    config = config_of("llava_onevision", tokenizer, text, tower, image_grid_pinpoints=places, **ids)
    processor = LlavaOnevisionProcessor(
        made("LlavaOnevisionImageProcessor", image_grid_pinpoints=places),
        tokenizer,
        made("LlavaOnevisionVideoProcessor"),
        num_image_tokens=729,
        vision_feature_select_strategy="full",
    )
    return Parts(config, processor, chats.LLAVA, "<|im_end|>", saved=False)


TILES = (
    *("<fake_token_around_image>", "<image>", "<end_of_utterance>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)


def _tiled(kind: str, tokenizer: Any, side: int, patch: int, scale: int) -> Any:
    text = {"model_type": "llama", **TEXT}
    tower = TOWER | {"image_size": side, "patch_size": patch}
    image = tokenizer.convert_tokens_to_ids("<image>")
    return config_of(kind, tokenizer, text, tower, scale_factor=scale, image_token_id=image, pad_token_id=0)


def smolvlm() -> Parts:
    from transformers import SmolVLMProcessor

    tokenizer = tiny_tokenizers.gpt2("<|im_start|>", "<end_of_utterance>", ("<|im_start|>", *TILES))
    sizes = {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}}
    processor = SmolVLMProcessor(
        made("SmolVLMImageProcessor", **sizes), tokenizer, made("SmolVLMVideoProcessor"), image_seq_len=64
    )
    return Parts(_tiled("smolvlm", tokenizer, 512, 16, 4), processor, chats.SMOLVLM, "<end_of_utterance>")


def idefics3() -> Parts:
    from transformers import Idefics3Processor

    tokenizer = tiny_tokenizers.generic("<|begin_of_text|>", "<end_of_utterance>", ("<|begin_of_text|>", *TILES))
    processor = Idefics3Processor(made("Idefics3ImageProcessor"), tokenizer, image_seq_len=169)
    return Parts(_tiled("idefics3", tokenizer, 364, 14, 2), processor, chats.IDEFICS, "<end_of_utterance>")


LLAMA4_TOKENS = (
    *(
        "<|begin_of_text|>",
        "<|end_of_text|>",
        "<|header_start|>",
        "<|header_end|>",
        "<|eot|>",
        "<|image|>",
        "<|patch|>",
    ),
    *("<|image_start|>", "<|image_end|>", "<|tile_x_separator|>", "<|tile_y_separator|>"),
)


def llama4() -> Parts:
    from transformers import Llama4Processor

    tokenizer = tiny_tokenizers.generic("<|begin_of_text|>", "<|eot|>", LLAMA4_TOKENS)
    token = tokenizer.convert_tokens_to_ids
    ids = {
        "boi_token_index": token("<|image_start|>"),
        "eoi_token_index": token("<|image_end|>"),
        "image_token_index": token("<|patch|>"),
    }
    text = TEXT | {"intermediate_size_mlp": 128, "num_local_experts": 2, "interleave_moe_layer_step": 1}
    tower = TOWER | {"image_size": 336, "patch_size": 14, "vision_output_dim": WIDE, "intermediate_size": 256}
    tower |= {"projector_input_dim": WIDE, "projector_output_dim": WIDE}
    config = config_of("llama4", tokenizer, text, tower, **ids)
    pictures = made("Llama4ImageProcessor", size={"height": 336, "width": 336}, max_patches=16)
    return Parts(config, Llama4Processor(pictures, tokenizer), chats.LLAMA4, "<|eot|>")


def kimi() -> tuple[Any, chats.Chat]:
    """Kimi K2.5's processor; that of Kimi-VL is code of its folder."""
    import transformers

    specials = (
        *("<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
        *("<|media_begin|>", "<|media_content|>", "<|media_pad|>", "<|media_end|>", "<|kimi_k25_video_placeholder|>"),
    )
    tokenizer = tiny_tokenizers.generic(None, "<|im_end|>", specials, THINK)
    pictures, videos = made("Kimi_K25ImageProcessor"), made("Kimi_K25VideoProcessor")
    return transformers.Kimi_K25Processor(pictures, tokenizer, videos), chats.KIMI


def ovis() -> tuple[Any, chats.Chat]:
    """Ovis 2.5's processor, as vLLM has it."""
    from vllm.transformers_utils.processors.ovis2_5 import Ovis2_5Processor

    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", CHATML, THINK)
    pictures = made("SiglipImageProcessor")
    return Ovis2_5Processor(pictures, tokenizer), chats.OVIS


PROCESSORS: dict[str, Callable[[], tuple[Any, chats.Chat]]] = {
    "llama4": lambda: ((parts := llama4()).processor, parts.chat),
    "kimi-vl": kimi,
    "ovis": ovis,
}
"""Families whose models vLLM's CPU build does not run, or not without code of their own: processor and chat alone."""


def save(make: Callable[[], Parts], folder: Path) -> None:
    """Write a model folder of parts that transformers has."""
    import torch
    from transformers import AutoModelForImageTextToText, GenerationConfig

    torch.manual_seed(0)
    parts = make()
    tokenizer = parts.processor.tokenizer
    end = tokenizer.convert_tokens_to_ids(parts.ends)
    parts.config.get_text_config().eos_token_id = end
    parts.processor.chat_template = tokenizer.chat_template = parts.chat.template
    parts.processor.save_pretrained(folder)
    generation = GenerationConfig(eos_token_id=end, pad_token_id=end)
    if parts.saved:
        model = AutoModelForImageTextToText.from_config(parts.config, dtype=torch.float32)
        model.generation_config = generation
        model.save_pretrained(folder)
        return
    parts.config.architectures = [AutoModelForImageTextToText._model_mapping[type(parts.config)].__name__]
    parts.config.save_pretrained(folder)
    generation.save_pretrained(folder)


BUILDERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "qwen2.5-vl": ("qwen2.5-vl", partial(save, qwen_models.qwen25)),
    "qwen3-vl": ("qwen3-vl", partial(save, qwen_models.qwen3)),
    "qwen3-vl-moe": ("qwen3-vl", partial(save, qwen_models.qwen3_moe)),
    "qwen3.5": ("qwen3.5", partial(save, qwen_models.qwen35)),
    "qwen3.5-moe": ("qwen3.5", partial(save, qwen_models.qwen35_moe)),
    "internvl": ("internvl", partial(save, internvl)),
    "gemma3": ("gemma3", partial(save, gemma3)),
    "gemma4": ("gemma4", partial(save, gemma4)),
    "glm-v": ("glm-v", partial(save, glm)),
    "glm-v-moe": ("glm-v", partial(save, glm_moe)),
    "pixtral": ("pixtral", partial(save, pixtral)),
    "mistral3": ("mistral3", partial(save, mistral3)),
    "llava-onevision": ("llava-onevision", partial(save, llava_onevision)),
    "smolvlm": ("smolvlm", partial(save, smolvlm)),
    "idefics3": ("idefics3", partial(save, idefics3)),
    "minicpm-v": ("minicpm-v", partial(save, qwen_models.minicpm)),
    "molmo2": ("molmo2", molmo2.write),
}
"""A model's name: the profile that is expected for it, and what writes its folder."""


def build(name: str, folder: Path) -> Path:
    """Write the model folder of a name in ``BUILDERS``."""
    BUILDERS[name][1](folder)
    return folder


if __name__ == "__main__":
    import sys

    build(sys.argv[1], Path(sys.argv[2]))
