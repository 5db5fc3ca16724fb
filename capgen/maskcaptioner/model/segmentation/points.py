"""Masks at points: predictions and truth at the same places.

T frames, K or Q predictions, N objects, P points of a frame, H W pixels, h w places of a map.
Points are (x, y) in 0..1 of the padded picture.
"""

from __future__ import annotations

import torch
from torch.nn.functional import grid_sample


def points_per_frame(points: float, frames: int) -> int:
    """A clip's points, shared by its frames."""
    return max(1, round(points / frames))


def read_logits(maps: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Bilinear, [F, K, h, w] at [F, P, 2] to [F, K, P]: all maps of a frame at the same points.

    Beyond the centres of the outermost places the map goes on as it is: towards 0, as elsewhere, the picture's edge
    would always look uncertain.
    """
    return grid_sample(maps, 2 * points[:, :, None] - 1, padding_mode="border", align_corners=False).squeeze(-1)


def read_masks(
    masks_NTHW: torch.Tensor, n: torch.Tensor, points_KTP2: torch.Tensor, size: tuple[int, int]
) -> torch.Tensor:
    """The pixel under each point, float32 [K, T, P]; background where the mask ends before the padded picture does.

    Args:
        n: the mask that each of the K looks at.
        size: (height, width) of the padded picture.
    """
    height, width = masks_NTHW.shape[-2:]
    x = (points_KTP2[..., 0] * size[1]).long().clamp_(0, size[1] - 1)
    y = (points_KTP2[..., 1] * size[0]).long().clamp_(0, size[0] - 1)
    inside = (x < width) & (y < height)
    t = torch.arange(masks_NTHW.shape[1], device=x.device)[None, :, None]
    found = masks_NTHW[n[:, None, None], t, y.clamp_(max=height - 1), x.clamp_(max=width - 1)]
    return (found.bool() & inside).float()


def uncertain_points(logits_KThw: torch.Tensor, count: int, oversample: float, importance: float) -> torch.Tensor:
    """Points for the mask losses, [K, T, P, 2]: a share of them where the prediction is least sure, the rest anywhere.

    Source: PointRend, Kirillov et al., arXiv 1912.08193, as Mask2Former uses it.
    """
    frames = logits_KThw.shape[:2]
    flat = logits_KThw.detach().flatten(0, 1)[:, None]
    candidates = torch.rand(len(flat), max(count, round(count * oversample)), 2, device=flat.device)
    sure = read_logits(flat.float(), candidates)[:, 0].abs()
    chosen = round(count * importance)
    index = sure.topk(chosen, dim=1, largest=False, sorted=False).indices
    uncertain = candidates.gather(1, index[..., None].expand(-1, -1, 2))
    anywhere = torch.rand(len(flat), count - chosen, 2, device=flat.device)
    return torch.cat((uncertain, anywhere), 1).unflatten(0, frames)
