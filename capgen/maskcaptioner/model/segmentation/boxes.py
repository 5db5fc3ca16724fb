"""Boxes as (centre x, centre y, width, height) in 0..1 of the padded picture. N objects, T frames."""

from __future__ import annotations

import torch


def corners(boxes: torch.Tensor) -> torch.Tensor:
    """(x0, y0, x1, y1) of [..., 4]."""
    centre, half = boxes[..., :2], boxes[..., 2:] / 2
    return torch.cat((centre - half, centre + half), -1)


def giou(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Generalised intersection over union of boxes side by side, [..., 4] each, broadcast, to [...], -1..1.

    Source: Rezatofighi et al., arXiv 1902.09630.
    """
    a, b = torch.broadcast_tensors(corners(a), corners(b))
    overlap = (torch.minimum(a[..., 2:], b[..., 2:]) - torch.maximum(a[..., :2], b[..., :2])).clamp(min=0).prod(-1)
    hull = (torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])).prod(-1).clamp(min=1e-7)
    union = ((a[..., 2:] - a[..., :2]).prod(-1) + (b[..., 2:] - b[..., :2]).prod(-1) - overlap).clamp(min=1e-7)
    return overlap / union - (hull - union) / hull


def mask_boxes(masks_NTHW: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Tight boxes of bool masks, float32 [N, T, 4]; all 0 where a mask is empty.

    Args:
        size: (height, width) that coordinates are divided by.
    """
    edges = []
    for axis, extent in ((-2, size[1]), (-1, size[0])):
        line = masks_NTHW.any(axis)
        some = line.any(-1)
        first = line.int().argmax(-1)
        last = line.shape[-1] - line.flip(-1).int().argmax(-1)
        edges.append((torch.where(some, first, 0) / extent, torch.where(some, last, 0) / extent))
    (x0, x1), (y0, y1) = edges
    return torch.stack(((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0), -1).float()
