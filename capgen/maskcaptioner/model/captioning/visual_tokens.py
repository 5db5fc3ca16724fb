"""What the caption head attends to: tokens with a place in the clip, made of the segmenter's maps or by a vision tower.

B clips, T frames, F = B * T, H W pixels, r c rows and columns of the token grid, M = T * r * c tokens, E width.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate, pixel_unshuffle
from transformers import Blip2VisionConfig, Blip2VisionModel

from capgen.maskcaptioner.model.position import sine_3d, temporal
from capgen.maskcaptioner.model.segmentation.segmenter import Features

Grid = tuple[int, int, int]
"""Frames, rows, columns."""
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class MapTokens(nn.Module):  # type: ignore[misc]
    """A token for each ``stride`` x ``stride`` pixels: their own colours, the backbone's first stage and the pixel
    decoder's finest level, so that low-level things (colour, pattern) and high-level ones (kind) can both be read.
    """

    def __init__(self, stage_width: int, level_width: int, width: int, stride: int) -> None:
        super().__init__()
        self.fold = stride // 4
        self.projection = nn.Linear(48 + stage_width * self.fold**2 + level_width, width)
        self.norm = nn.LayerNorm(width)

    def forward(self, pixels_BTCHW: torch.Tensor, features: Features) -> tuple[torch.Tensor, Grid]:
        """Tokens [B, M, E] and their grid."""
        batch, frames = pixels_BTCHW.shape[:2]
        colours = avg_pool2d(pixels_BTCHW.flatten(0, 1), self.fold) if self.fold > 1 else pixels_BTCHW.flatten(0, 1)
        colours = pixel_unshuffle(colours, 4)
        size = tuple(colours.shape[-2:])
        stage = pixel_unshuffle(features.stages[0], self.fold)
        level = interpolate(features.levels[-1], size=size, mode="nearest")
        maps_FrcE = torch.cat((colours.to(stage.dtype), stage, level), 1).permute(0, 2, 3, 1)
        tokens = self.norm(self.projection(maps_FrcE)).unflatten(0, (batch, frames))
        grid = (frames, int(size[0]), int(size[1]))
        tokens = tokens + sine_3d(*grid, tokens.shape[-1], tokens.device).to(tokens.dtype)
        return tokens.flatten(1, 3), grid


class TowerTokens(nn.Module):  # type: ignore[misc]
    """A token for each patch of a BLIP-2 vision tower, which sees each frame squeezed to a square.

    The token for the whole picture is left out: it knows what is outside the object, and shifts the others by one.
    Frames are told apart by sine positions in time, 0 for the first.

    Args:
        side: pixels of the square.
        mean, std: with which the frames were normalised.
        dtype: of a frozen tower; None = it learns.
    """

    def __init__(
        self,
        config: Blip2VisionConfig,
        side: int,
        mean: Sequence[float],
        std: Sequence[float],
        dtype: torch.dtype | None,
    ) -> None:
        super().__init__()
        self.tower = Blip2VisionModel._from_config(config, dtype=dtype or torch.float32)
        frozen = dtype is not None
        self.side, self.frozen = side, frozen
        self.mean, self.std = tuple(mean), tuple(std)

    def forward(self, pixels_BTCHW: torch.Tensor, features: Features) -> tuple[torch.Tensor, Grid]:  # noqa: ARG002
        """Tokens [B, M, E] and their grid."""
        batch, frames = pixels_BTCHW.shape[:2]
        pictures = self._pictures(pixels_BTCHW.flatten(0, 1).float()).to(self.tower.dtype)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            patches = self.tower(pictures, interpolate_pos_encoding=True).last_hidden_state[:, 1:]
        side = round(patches.shape[1] ** 0.5)
        tokens = patches.float().unflatten(0, (batch, frames))
        tokens = tokens + temporal(frames, tokens.shape[-1], tokens.device)[:, None]
        return tokens.flatten(1, 2), (frames, side, side)

    def _pictures(self, pixels_FCHW: torch.Tensor) -> torch.Tensor:
        """The frames squeezed, with the statistics that CLIP was trained with."""

        def line(values: Sequence[float]) -> torch.Tensor:
            return torch.tensor(values, device=pixels_FCHW.device)[:, None, None]

        colours = pixels_FCHW * line(self.std) + line(self.mean)
        squeezed = interpolate(colours, size=(self.side, self.side), mode="bilinear", antialias=True)
        return (squeezed - line(_CLIP_MEAN)) / line(_CLIP_STD)


def on_grid(logits_BNThw: torch.Tensor, grid: Grid) -> torch.Tensor:
    """Mask logits at the tokens' places, [B, N, M]: averages over what a token covers."""
    flat = logits_BNThw.detach().float().flatten(0, 2)[:, None]
    small = interpolate(flat, size=grid[1:], mode="bilinear", align_corners=False, antialias=True)
    return small.view(*logits_BNThw.shape[:2], -1)


def visible_tokens(logits_BNM: torch.Tensor, object_mask: str) -> torch.Tensor:
    """The tokens that each object's queries may see, bool [B, N, M].

    ``right``: where its mask is (probability above one half); ``inverted``: where it is not, which is what the paper's
    released code does; ``absent``: everywhere. Where that leaves nothing (an empty predicted mask, or with
    ``inverted`` one that fills the clip) the one token of the clip that comes nearest is seen, so that attention is
    always defined.
    """
    if object_mask == "absent":
        return torch.ones_like(logits_BNM, dtype=torch.bool)
    towards = logits_BNM if object_mask == "right" else -logits_BNM
    visible = towards > 0
    nearest = torch.zeros_like(visible).scatter_(-1, towards.argmax(-1, keepdim=True), value=True)
    return torch.where(visible.any(-1, keepdim=True), visible, nearest)
