"""Geometry of a training clip: one scale, one crop and one flip for all of its frames, chosen before decoding.

Scale and crop are large-scale jitter as in Ghiasi et al., CVPR 2021 (Simple Copy-Paste), with two bounds that captions
set: see ``wording``. Frames: T; objects: N; picture: H, W.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen.dataset.types import Box
from capgen.maskcaptioner.data.caption_flip import can_mirror, names_place, names_size
from capgen.maskcaptioner.data.sizing import largest_size, model_size, resized
from capgen.maskcaptioner.settings import AugmentSettings
from capgen.rle import Size


@dataclass(frozen=True, slots=True)
class TrainingCanvas:
    """The size of training pictures, and where what is larger is cut off.

    Args:
        height, width: what the settings ask for: pictures keep their shape and just fit in at scale 1.
        model: the ``picture`` of the model's config: at scale 1 a picture has the size that the model sees at
            inference. Only one of the two is given.
    """

    height: int = 0
    width: int = 0
    model: Mapping[str, Any] | None = None

    def scaled(self, source: Size, scale: float) -> Size:
        """The size of a picture at a scale."""
        if self.model is not None:
            return model_size(source, self.model, scale)
        factor = min(self.height / source[0], self.width / source[1]) * scale
        return max(1, round(source[0] * factor)), max(1, round(source[1] * factor))

    def window(self, source: Size) -> Size:
        """The largest size that is kept of a picture; as high and as wide as it is at scale 1 or more."""
        return (self.height, self.width) if self.model is None else largest_size(source, self.model)


def canvas_of(settings: AugmentSettings, picture: Mapping[str, Any]) -> TrainingCanvas:
    """The canvas of a training: as set, or as the model's own pictures are.

    Args:
        picture: of the model's config; ``height`` and ``width``, or ``short_side`` and ``long_side``.
    """
    if settings.height is None and settings.width is None:
        return TrainingCanvas(model=dict(picture))
    fixed = picture["height"] and picture["width"]
    high, wide = (picture["height"], picture["width"]) if fixed else (picture["short_side"], picture["long_side"])
    height = int(settings.height or high)
    return TrainingCanvas(height, int(settings.width or wide or height))


@dataclass(frozen=True, slots=True)
class Geometry:
    """What is done to a frame of ``source`` size: resize to ``scaled``, cut ``valid`` at ``top``, ``left``, flip."""

    source: Size
    scaled: Size
    top: int
    left: int
    valid: Size
    flip: bool

    def picture(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A frame [H, W, 3] of ``source`` size or of one a decoder has shrunk, as [*valid, 3]; contiguous."""
        return np.ascontiguousarray(self._cut(resized(frame, self.scaled)))

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """A mask [H, W] as [*valid]; it may have been made smaller, as the picture may."""
        height, width = self.scaled
        values = mask.view(np.uint8)
        if mask.shape != self.scaled:
            values = np.asarray(cv2.resize(values, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
        return np.ascontiguousarray(self._cut(values)).astype(np.bool_)

    def box(self, box: Box) -> Box:
        """A box (x, y, w, h) in pixels of the source, in pixels of the result; without extent where it is cut off."""
        factor_y, factor_x = self.scaled[0] / self.source[0], self.scaled[1] / self.source[1]
        x0, y0 = box[0] * factor_x - self.left, box[1] * factor_y - self.top
        x1, y1 = x0 + box[2] * factor_x, y0 + box[3] * factor_y
        height, width = self.valid
        x0, x1 = (min(max(x, 0.0), float(width)) for x in (x0, x1))
        y0, y1 = (min(max(y, 0.0), float(height)) for y in (y0, y1))
        if self.flip:
            x0, x1 = width - x1, width - x0
        return x0, y0, x1 - x0, y1 - y0

    def _cut(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        cut = frame[self.top : self.top + self.valid[0], self.left : self.left + self.valid[1]]
        return cut[:, ::-1] if self.flip else cut


def choose_geometry(
    settings: AugmentSettings, canvas: TrainingCanvas, source: Size, captions: Sequence[str], rng: np.random.Generator
) -> Geometry:
    """A random geometry for a clip with these captions; equal generators in equal states choose equally.

    A flip is only made where every caption can be mirrored; where a caption names a place in the picture nothing is
    cut off; where one names a size and sizes are the picture's, the scale stays near 1.
    """
    low, high = settings.scale
    if settings.sizes == "picture" and names_size(captions):
        least, most = 1 / (1 + settings.size_slack), 1 + settings.size_slack
        low, high = min(max(low, least), most), max(min(high, most), least)
    if names_place(captions):
        low, high = min(low, 1.0), min(high, 1.0)
    scale = float(rng.uniform(low, high))
    flip = bool(rng.random() < settings.flip) and can_mirror(captions)
    return fit(canvas, source, scale=scale, flip=flip, where=(rng.random(), rng.random()))


def fit(
    canvas: TrainingCanvas,
    source: Size,
    *,
    scale: float = 1.0,
    flip: bool = False,
    where: tuple[float, float] = (0.5, 0.5),
) -> Geometry:
    """The geometry at a scale; ``where`` in 0..1 places the crop."""
    scaled = canvas.scaled(source, scale)
    window = canvas.window(source)
    valid = min(scaled[0], window[0]), min(scaled[1], window[1])
    top, left = (round(where[axis] * (scaled[axis] - valid[axis])) for axis in (0, 1))
    return Geometry(source, scaled, top, left, valid, flip)
