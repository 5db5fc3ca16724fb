"""Sine positions over time and the picture. T frames, h w rows and columns, D width."""

from __future__ import annotations

import math

import torch


def sine_1d(position: torch.Tensor, width: int) -> torch.Tensor:
    """Sines and cosines of positions in radians, [...] to [..., width]; ``width`` is even."""
    exponent = torch.arange(width // 2, device=position.device, dtype=torch.float32) * 2 / width
    angle = position.float()[..., None] / 10000**exponent
    return torch.stack((angle.sin(), angle.cos()), -1).flatten(-2)


def spatial(height: int, width: int, dim: int, device: torch.device) -> torch.Tensor:
    """Mask2Former's sine positions of a grid, float32 [h, w, D]: rows in the first half of D, columns in the second."""
    rows = torch.arange(1, height + 1, device=device) / (height + 1e-6) * 2 * math.pi
    columns = torch.arange(1, width + 1, device=device) / (width + 1e-6) * 2 * math.pi
    row_hD, column_wD = sine_1d(rows, dim // 2), sine_1d(columns, dim // 2)
    return torch.cat(
        (row_hD[:, None].expand(height, width, -1), column_wD[None].expand(height, width, -1)),
        -1,
    )


def temporal(frames: int, dim: int, device: torch.device) -> torch.Tensor:
    """Sine positions of the frames of a clip, float32 [T, D], relative to its first frame, which is at exactly 0.

    So an image checkpoint gives on clips of one frame what it gave on images.
    """
    position_TD = sine_1d(torch.arange(frames, device=device) / frames * 2 * math.pi, dim)
    return position_TD - position_TD[:1]


def sine_3d(frames: int, height: int, width: int, dim: int, device: torch.device) -> torch.Tensor:
    """Positions of all places of a clip, float32 [T, h, w, D]: the picture's plus the frame's.

    Source: the 3-D encoding of Mask2Former for video, Cheng et al., arXiv 2112.10764; here the frame's part is
    relative to the first frame.
    """
    return spatial(height, width, dim, device)[None] + temporal(frames, dim, device)[:, None, None]
