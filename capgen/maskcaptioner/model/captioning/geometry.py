"""Where a predicted mask lies in a clip, how large it is and how both change. B clips, N objects, T frames."""

from __future__ import annotations

import torch

FACTS = 17
"""Eight measures, each with its mean and its change a frame, and the share of frames with a mask."""
_FASTER = 50.0


def _moments(inside: torch.Tensor, area: torch.Tensor) -> list[torch.Tensor]:
    """Centre, spread along both axes and skew of masks [..., h, w], in 0..1 of the picture."""
    height, width = inside.shape[-2:]
    y = (torch.arange(height, device=inside.device) + 0.5) / height
    x = (torch.arange(width, device=inside.device) + 0.5) / width
    rows, columns = inside.sum(-1) / area[..., None], inside.sum(-2) / area[..., None]
    mean_y, mean_x = (rows * y).sum(-1), (columns * x).sum(-1)
    spread_y = ((rows * y**2).sum(-1) - mean_y**2).clamp(min=0).sqrt()
    spread_x = ((columns * x**2).sum(-1) - mean_x**2).clamp(min=0).sqrt()
    both = torch.einsum("...hw,h,w->...", inside, y, x) / area - mean_y * mean_x
    return [mean_x, mean_y, spread_x, spread_y, both / (spread_x * spread_y).clamp(min=1e-4)]


def mask_geometry(logits_BNThw: torch.Tensor) -> torch.Tensor:
    """What a mask says about an object without its pixels, float32 [B, N, FACTS]; all 0 for an empty mask.

    Mean over the frames with a mask, and least-squares slope over them, of: centre (x, y), spread (x, y), skew, root of
    the area, width, height; all in 0..1 of the padded picture. The slope is fifty times the change a frame, so that
    what moves differs by about 1.
    """
    inside = (logits_BNThw.detach() > 0).float()
    some = inside.flatten(3).any(-1).float()
    area = inside.flatten(3).sum(-1).clamp(min=1)
    height, width = inside.shape[-2:]
    measures = _moments(inside, area)
    measures.append((area / (height * width)).sqrt())
    measures.append(inside.amax(-2).sum(-1) / width)
    measures.append(inside.amax(-1).sum(-1) / height)
    measure_BNTG = torch.stack(measures, -1)
    weight = (some / some.sum(-1, keepdim=True).clamp(min=1))[..., None]
    mean = (measure_BNTG * weight).sum(2)
    time = torch.arange(inside.shape[2], device=inside.device).float()[:, None]
    offset = time - (weight * time).sum(2, keepdim=True)
    spread = (weight * offset**2).sum(2).clamp(min=1e-6)
    slope = (weight * offset * (measure_BNTG - mean[:, :, None])).sum(2) / spread
    return torch.cat((mean, _FASTER * slope, some.mean(-1, keepdim=True)), -1)
