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
from capgen.images import Pixels
from capgen.rle import Size


def model_size(size: Size, picture: Mapping[str, Any], scale: float = 1.0) -> Size:
    """The size at which the model sees a picture, in training as at inference.

    Args:
        size: of the picture.
        picture: of the model's config: the fixed ``height`` and ``width``, or the shape kept with its short side as
            ``short_side``, unless its long side would exceed ``long_side``.
        scale: of the jitter in training; 1 at inference.
    """
    if picture["height"] and picture["width"]:
        down, across = picture["height"] / size[0], picture["width"] / size[1]
    else:
        down = picture["short_side"] / min(size)
        if picture["long_side"]:
            down = min(down, picture["long_side"] / max(size))
        across = down
    return max(1, round(size[0] * down * scale)), max(1, round(size[1] * across * scale))


def largest_size(size: Size, picture: Mapping[str, Any]) -> Size:
    """The largest size that the model sees pictures of the orientation of ``size`` at."""
    if picture["height"] and picture["width"]:
        return int(picture["height"]), int(picture["width"])
    short = int(picture["short_side"])
    long = int(picture["long_side"] or max(model_size(size, picture)))
    return (short, long) if size[0] <= size[1] else (long, short)


def resized(frame: Pixels, size: Size) -> Pixels:
    """A frame at another size: by area where it shrinks, linearly where it grows."""
    if frame.shape[:2] == size:
        return frame
    method = cv2.INTER_AREA if size[0] < frame.shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(frame, size[::-1], interpolation=method), dtype=np.uint8)


def normalised(
    pixels_BTHWC: torch.Tensor, valid: Sequence[Size], mean: Sequence[float], std: Sequence[float]
) -> torch.Tensor:
    """uint8 pictures as the model wants them: float32 [B, T, C, H, W], zero outside ``valid``."""
    pixels_BTCHW = pixels_BTHWC.permute(0, 1, 4, 2, 3).float().div_(255)
    shape = (1, 1, 3, 1, 1)
    pixels_BTCHW.sub_(pixels_BTCHW.new_tensor(mean).view(shape)).div_(pixels_BTCHW.new_tensor(std).view(shape))
    for picture, (height, width) in zip(pixels_BTCHW, valid, strict=True):
        picture[..., height:, :] = 0
        picture[..., width:] = 0
    return pixels_BTCHW.contiguous()


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


def prepare(frames: Sequence[Pixels], picture: Mapping[str, Any]) -> tuple[torch.Tensor, Placement]:
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
    pixels_BTHWC = torch.zeros((1, len(frames), *canvas, 3), dtype=torch.uint8)
    for slot, frame in zip(pixels_BTHWC[0], frames, strict=True):
        slot[: valid[0], : valid[1]] = torch.from_numpy(np.ascontiguousarray(resized(frame, valid)))
    return normalised(pixels_BTHWC, [valid], picture["mean"], picture["std"]), Placement(source, valid, canvas)
