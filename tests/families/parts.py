"""What the builders of tiny models share: the width of layers, and what a model folder is made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.families import chats

WIDE, LAYERS = 64, 2
TEXT = {
    "hidden_size": WIDE,
    "intermediate_size": 128,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 32,
    "max_position_embeddings": 8192,
    "tie_word_embeddings": True,
}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 64, "norm_topk_prob": True}
TOWER = {"hidden_size": WIDE, "intermediate_size": 128, "num_hidden_layers": LAYERS, "num_attention_heads": 2}
PATCHES = {"depth": LAYERS, "hidden_size": WIDE, "intermediate_size": 128, "num_heads": 2, "out_hidden_size": WIDE}

CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
THINK = ("<think>", "</think>")


@dataclass(frozen=True)
class Parts:
    """What a model folder is made of.

    Args:
        ends: the token that ends an answer.
        saved: whether transformers writes weights under the names that published ones have, which vLLM reads; where it
            does not, vLLM makes random weights itself.
    """

    config: Any
    processor: Any
    chat: chats.Chat
    ends: str
    saved: bool = True


def rope(*sections: int, **more: Any) -> dict[str, Any]:
    """Rotary positions in three dimensions: ``sections`` of half a head's width."""
    return {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": list(sections), **more}


def config_of(kind: str, tokenizer: Any, text: dict[str, Any], vision: dict[str, Any], **more: Any) -> Any:
    """The configuration of a kind of model."""
    from transformers import AutoConfig

    return AutoConfig.for_model(kind, text_config={"vocab_size": len(tokenizer), **text}, vision_config=vision, **more)


def made(name: str, **options: Any) -> Any:
    """One of transformers' classes by its name."""
    import transformers

    return getattr(transformers, name)(**options)
