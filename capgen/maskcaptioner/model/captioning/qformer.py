"""BLIP-2's Q-Former over the objects of a clip: keys and values once a clip, what each object may see by a mask.

B clips, N objects of a clip, L query tokens of an object, M tokens of a clip, D width, E width of the tokens.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from transformers import Blip2QFormerConfig, Blip2QFormerModel


def _heads(x: torch.Tensor, heads: int) -> torch.Tensor:
    return x.unflatten(-1, (heads, -1)).transpose(-3, -2)


def _attend(block: nn.Module, query: torch.Tensor, tokens: torch.Tensor, allowed: torch.Tensor | None) -> torch.Tensor:
    inner = block.attention
    heads = inner.num_attention_heads
    q, k, v = _heads(inner.query(query), heads), _heads(inner.key(tokens), heads), _heads(inner.value(tokens), heads)
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=allowed)
    return block.output(mixed.transpose(-3, -2).flatten(-2), query)


class QFormer(nn.Module):  # type: ignore[misc]
    """A ``Blip2QFormerModel``, its weights under their own names.

    It computes what transformers' model computes with ``encoder_attention_mask`` = ``allowed`` (1 = may be seen) and
    every object a row of its batch, without a copy of all tokens for every object.
    Source: Li et al., arXiv 2301.12597; the masked cross-attention is the paper's, in its intended polarity.
    """

    def __init__(self, config: Blip2QFormerConfig) -> None:
        super().__init__()
        self.blip2 = Blip2QFormerModel(config)
        self.gradient_checkpointing = False

    def forward(self, queries_BNLD: torch.Tensor, tokens_BME: torch.Tensor, allowed_BNM: torch.Tensor) -> torch.Tensor:
        """The queries after the last layer, [B, N, L, D].

        Args:
            allowed_BNM: True = may be seen; at least one token of each object must be.
        """
        x = self.blip2.dropout(self.blip2.layernorm(queries_BNLD))
        tokens_BME = tokens_BME.to(x.dtype)
        for layer in self.blip2.encoder.layer:
            if self.gradient_checkpointing and self.training:
                x = checkpoint(self._layer, layer, x, tokens_BME, allowed_BNM, use_reentrant=False)
            else:
                x = self._layer(layer, x, tokens_BME, allowed_BNM)
        return x

    @staticmethod
    def _layer(layer: nn.Module, x: torch.Tensor, tokens_BME: torch.Tensor, allowed_BNM: torch.Tensor) -> torch.Tensor:
        batch, objects, length, _ = x.shape
        flat = x.flatten(0, 1)
        x = _attend(layer.attention, flat, flat, None).unflatten(0, (batch, objects))
        if layer.has_cross_attention:
            allowed = allowed_BNM[:, :, None].expand(-1, -1, length, -1).flatten(1, 2)[:, None]
            x = _attend(layer.crossattention, x.flatten(1, 2), tokens_BME, allowed).unflatten(1, (objects, length))
        return layer.output_query(layer.intermediate_query(x), x)
