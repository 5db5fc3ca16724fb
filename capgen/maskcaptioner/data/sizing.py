"""Frames as the model wants them, and its masks and boxes back on the frames. T frames, H W pixels, h w map places."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from capgen.dataset.types import Box

Size = tuple[int, int]
"""Height, width in pixels."""


def model_size(size: Size, picture: Mapping[str, Any]) -> Size:
    """The size at which a frame is seen: the fixed one, or the shape kept with its short side as set."""
    if picture["height"] and picture["width"]:
        return int(picture["height"]), int(picture["width"])
    scale = picture["short_side"] / min(size)
    if picture["long_side"]:
        scale = min(scale, picture["long_side"] / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a frame lies on what the model sees.

    Args:
        source: the frame.
        valid: the frame resized, at the top left.
        canvas: with the padding.
    """

    source: Size
    valid: Size
    canvas: Size

    def masks(self, logits_Thw: torch.Tensor) -> NDArray[np.bool_]:
        """Mask logits at stride 4 as bool masks on the frames, [T, H, W]: probability above one half."""
        full = interpolate(logits_Thw[None].float(), size=self.canvas, mode="bilinear", align_corners=False)
        full = full[..., : self.valid[0], : self.valid[1]]
        if self.valid != self.source:
            full = interpolate(full, size=self.source, mode="bilinear", align_corners=False)
        return np.asarray((full[0] > 0).cpu().numpy(), dtype=np.bool_)

    def box(self, box: Sequence[float]) -> Box:
        """A box (centre x, centre y, width, height) in 0..1 of the canvas as (x, y, w, h) in pixels of the frame."""
        low = [box[0] - box[2] / 2, box[1] - box[3] / 2]
        high = [box[0] + box[2] / 2, box[1] + box[3] / 2]
        edges = []
        for axis, (a, b) in enumerate(zip(low, high, strict=True)):
            side = 1 - axis
            scale = self.canvas[side] * self.source[side] / self.valid[side]
            edges.append(tuple(min(max(edge * scale, 0.0), float(self.source[side])) for edge in (a, b)))
        (x0, x1), (y0, y1) = edges
        return x0, y0, x1 - x0, y1 - y0


def prepare(frames: Sequence[NDArray[np.uint8]], picture: Mapping[str, Any]) -> tuple[torch.Tensor, Placement]:
    """Frames of one size, uint8 RGB [H, W, 3], as float32 [1, T, 3, H, W]: resized, normalised, padded with zeros.

    Raises:
        ValueError: no frames, or frames of several sizes.
    """
    sizes = {frame.shape for frame in frames}
    if len(sizes) != 1:
        raise ValueError(f"a clip's frames must have one size, not {sorted(sizes)}")
    source = frames[0].shape[0], frames[0].shape[1]
    valid = model_size(source, picture)
    divisor = int(picture["divisor"])
    canvas = -(-valid[0] // divisor) * divisor, -(-valid[1] // divisor) * divisor
    method = cv2.INTER_AREA if valid[0] < source[0] else cv2.INTER_LINEAR
    resized = [f if valid == source else cv2.resize(f, valid[::-1], interpolation=method) for f in frames]
    pixels = np.zeros((len(frames), 3, *canvas), dtype=np.float32)
    colours = np.stack(resized).astype(np.float32) / 255
    normal = (colours - np.float32(picture["mean"])) / np.float32(picture["std"])
    pixels[..., : valid[0], : valid[1]] = normal.transpose(0, 3, 1, 2)
    return torch.from_numpy(pixels)[None], Placement(source, valid, canvas)
