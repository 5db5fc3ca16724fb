"""Mask2Former over clips: transformers' modules and weights, with queries that are joint over T frames.

B clips, T frames, F = B * T frames in a row, Q queries, H W pixels, h w places of a map, M = T * h * w tokens, D width.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import interpolate, linear, scaled_dot_product_attention
from torch.utils.checkpoint import checkpoint
from transformers import Mask2FormerConfig, Mask2FormerModel

from capgen.maskcaptioner.model.position import sine_3d

Region = Callable[[torch.Tensor, tuple[int, int]], torch.Tensor]
"""Where each query attends to: (queries_BQD, (h, w)) to logits [B, Q, T, h, w], positive inside."""


@dataclass(frozen=True, slots=True)
class Features:
    """Maps of F frames: pixel embeddings (stride 4), pixel decoder levels (32, 16, 8) and backbone stages (4 to 32)."""

    embeddings_FDhw: torch.Tensor
    levels: tuple[torch.Tensor, ...]
    stages: tuple[torch.Tensor, ...]


def _heads(x_BND: torch.Tensor, heads: int) -> torch.Tensor:
    return x_BND.unflatten(-1, (heads, -1)).transpose(1, 2)


def masked_attention(
    attention: nn.MultiheadAttention,
    query_BQD: torch.Tensor,
    key_BMD: torch.Tensor,
    value_BMD: torch.Tensor,
    allowed_BQM: torch.Tensor,
) -> torch.Tensor:
    """``nn.MultiheadAttention`` without its averaged weights, which nobody reads and which cost more than the rest."""
    weights = attention.in_proj_weight.chunk(3)
    biases = attention.in_proj_bias.chunk(3)
    q, k, v = (
        _heads(linear(x, weight, bias), attention.num_heads)
        for x, weight, bias in zip((query_BQD, key_BMD, value_BMD), weights, biases, strict=True)
    )
    mixed = scaled_dot_product_attention(q, k, v, attn_mask=allowed_BQM[:, None])
    return attention.out_proj(mixed.transpose(1, 2).flatten(2))


def self_attention(attention: nn.Module, x_BQD: torch.Tensor, position_BQD: torch.Tensor) -> torch.Tensor:
    """transformers' ``Mask2FormerAttention`` between queries: positions are added to queries and keys only."""
    placed = x_BQD + position_BQD
    q, k, v = (
        _heads(projection(x), attention.num_heads)
        for projection, x in ((attention.q_proj, placed), (attention.k_proj, placed), (attention.v_proj, x_BQD))
    )
    return attention.out_proj(scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def _residual(
    x: torch.Tensor, update: Callable[[torch.Tensor], torch.Tensor], norm: nn.Module, pre: bool
) -> torch.Tensor:
    return x + update(norm(x)) if pre else norm(x + update(x))


def decoder_layer(
    layer: nn.Module,
    x_BQD: torch.Tensor,
    position_BQD: torch.Tensor,
    key_BMD: torch.Tensor,
    value_BMD: torch.Tensor,
    allowed_BQM: torch.Tensor,
) -> torch.Tensor:
    """One layer of the decoder: masked cross-attention, self-attention, feed-forward."""

    def cross_attention(x: torch.Tensor) -> torch.Tensor:
        return masked_attention(layer.cross_attn, x + position_BQD, key_BMD, value_BMD, allowed_BQM)

    def between_queries(x: torch.Tensor) -> torch.Tensor:
        return self_attention(layer.self_attn, x, position_BQD)

    def feed_forward(x: torch.Tensor) -> torch.Tensor:
        return layer.fc2(layer.activation_fn(layer.fc1(x)))

    x_BQD = _residual(x_BQD, cross_attention, layer.cross_attn_layer_norm, layer.pre_norm)
    x_BQD = _residual(x_BQD, between_queries, layer.self_attn_layer_norm, layer.pre_norm)
    return _residual(x_BQD, feed_forward, layer.final_layer_norm, layer.pre_norm)


def allowed_tokens(logits_BQThw: torch.Tensor) -> torch.Tensor:
    """Tokens that a query may attend to, bool [B, Q, M]: inside its region; all of them where the region is empty."""
    inside_BQM = logits_BQThw.detach().flatten(2) >= 0
    return inside_BQM | ~inside_BQM.any(-1, keepdim=True)


def resize(logits_BQThw: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Bilinear in the picture, frame by frame."""
    return interpolate(logits_BQThw.flatten(0, 1), size=size, mode="bilinear", align_corners=False).unflatten(
        0, logits_BQThw.shape[:2]
    )


class Mask2Former(Mask2FormerModel):  # type: ignore[misc]
    """transformers' model with all of its layers: it keeps the input projections, which there are where the pixel
    decoder and the queries differ in width, in a plain list, which is neither trained nor saved (5.19)."""

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__(config)
        self.transformer_module.input_projections = nn.ModuleList(self.transformer_module.input_projections)


class Segmenter(nn.Module):  # type: ignore[misc]
    """A ``Mask2FormerModel`` whose queries attend to all frames of a clip at once.

    On clips of one frame it computes what transformers' model does with the same weights.
    Source: Cheng et al., arXiv 2112.10764; positions in time relative to the first frame.
    """

    def __init__(self, config: Mask2FormerConfig) -> None:
        super().__init__()
        self.mask2former = Mask2Former(config)
        self.width: int = config.hidden_dim
        self.gradient_checkpointing = False

    def features(self, pixels_BTCHW: torch.Tensor) -> Features:
        """Backbone and pixel decoder, frame by frame."""
        module = self.mask2former.pixel_level_module
        stages = module.encoder(pixels_BTCHW.flatten(0, 1)).feature_maps
        decoded = module.decoder(stages)
        return Features(decoded.mask_features, tuple(decoded.multi_scale_features), tuple(stages))

    def decode(
        self, features: Features, frames: int, region: Region | None = None
    ) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """The queries after the norm, [B, Q, D], before the first layer and after each, and their region's logits.

        Args:
            frames: T of the clips.
            region: where queries attend to; None = the mask head's logits. Logits come at stride 4, [B, Q, T, h, w].
        """
        decoder = self.mask2former.transformer_module.decoder
        levels = [self._level(features, i, frames) for i in range(decoder.num_feature_levels)]
        batch = features.embeddings_FDhw.shape[0] // frames
        x_BQD, position_BQD = self._queries(batch)
        stride4 = tuple(features.embeddings_FDhw.shape[-2:])
        queries, regions = [], []
        for i in range(len(decoder.layers) + 1):
            queries.append(decoder.layernorm(x_BQD))
            regions.append(
                self.mask_logits(queries[-1], features, frames) if region is None else region(queries[-1], stride4)
            )
            if i == len(decoder.layers):
                break
            key, value, size = levels[i % len(levels)]
            small = resize(regions[-1], size) if region is None else region(queries[-1], size)
            x_BQD = self._run(decoder.layers[i], x_BQD, position_BQD, key, value, allowed_tokens(small))
        return queries, regions

    def mask_logits(self, queries_BQD: torch.Tensor, features: Features, frames: int) -> torch.Tensor:
        """Mask logits at stride 4, [B, Q, T, h, w]."""
        embedder = self.mask2former.transformer_module.decoder.mask_predictor.mask_embedder
        maps_BTDhw = features.embeddings_FDhw.unflatten(0, (-1, frames))
        return torch.einsum("bqd,btdhw->bqthw", embedder(queries_BQD), maps_BTDhw)

    def _run(self, layer: nn.Module, *inputs: torch.Tensor) -> torch.Tensor:
        if self.gradient_checkpointing and self.training:
            return checkpoint(decoder_layer, layer, *inputs, use_reentrant=False)
        return decoder_layer(layer, *inputs)

    def _queries(self, batch: int) -> tuple[torch.Tensor, torch.Tensor]:
        module = self.mask2former.transformer_module
        return tuple(
            embedding.weight[None].expand(batch, -1, -1)
            for embedding in (module.queries_features, module.queries_embedder)
        )

    def _level(self, features: Features, index: int, frames: int) -> tuple[torch.Tensor, torch.Tensor, tuple[int, int]]:
        """Keys (with positions) and values of a level, [B, M, D], and its size."""
        module: Any = self.mask2former.transformer_module
        maps_FDhw = module.input_projections[index](features.levels[index])
        height, width = maps_FDhw.shape[-2:]
        value_BMD = maps_FDhw.unflatten(0, (-1, frames)).flatten(3).transpose(2, 3).flatten(1, 2)
        value_BMD = value_BMD + module.level_embed.weight[index]
        position = sine_3d(frames, height, width, self.width, value_BMD.device).to(value_BMD.dtype)
        return value_BMD + position.flatten(0, 2), value_BMD, (height, width)
