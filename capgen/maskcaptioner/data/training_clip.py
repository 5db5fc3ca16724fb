"""A training clip: frames under one geometry, and what is true of its objects on them.

T frames, N objects, H W the picture without padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from capgen.maskcaptioner.data.augment import Geometry, TrainingCanvas, choose_geometry
from capgen.maskcaptioner.data.caption_flip import mirrored
from capgen.maskcaptioner.data.pictures import FrameReader, MaskedFrame
from capgen.maskcaptioner.data.release_rows import Masklet, Medium
from capgen.maskcaptioner.data.sampling import clip_frames
from capgen.maskcaptioner.settings import AugmentSettings


@dataclass(frozen=True, slots=True)
class TrainClip:
    """What a batch is made of.

    Args:
        pixels_THWC: uint8 RGB.
        masks_NTHW: bool; None in data that has boxes only.
        boxes_NT4: x, y, w, h in pixels; zero where an object is not visible.
        visible_NT: whether the object is on the frame.
        categories, captions: one an object, None where unknown.
    """

    key: str
    frames: tuple[int, ...]
    pixels_THWC: NDArray[np.uint8]
    masks_NTHW: NDArray[np.bool_] | None
    boxes_NT4: NDArray[np.float32]
    visible_NT: NDArray[np.bool_]
    categories: tuple[str | None, ...]
    captions: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class ClipMaker:
    """From a medium and a seed to a clip; equal seeds give equal clips, in any process."""

    augment: AugmentSettings
    canvas: TrainingCanvas
    frames: int
    stride: tuple[int, int]
    reader: FrameReader

    def __call__(self, medium: Medium, seed: tuple[int, ...]) -> TrainClip:
        """A random clip of a medium.

        Raises:
            UserError: a picture is missing or damaged.
        """
        rng = np.random.default_rng(seed)
        length = len(medium.names)
        anchors = sorted({i for masklet in medium.masklets for i in masklet.boxes if i < length})
        chosen = clip_frames(length, self.frames, self.stride, anchors, rng)
        seen = [masklet for masklet in medium.masklets if any(i in masklet.boxes for i in chosen)]
        captions = [masklet.caption for masklet in seen if masklet.caption]
        source = medium.height, medium.width
        geometry = choose_geometry(self.augment, self.canvas, source, captions, rng)
        largest = self.canvas.scaled(source, self.augment.scale[1])
        return cut(medium, chosen, geometry, self.reader(medium, chosen, geometry.scaled, largest), self.augment)


def cut(
    medium: Medium, indices: tuple[int, ...], geometry: Geometry, frames: list[MaskedFrame], settings: AugmentSettings
) -> TrainClip:
    """The clip of these frames under a geometry; objects with too few pixels left are not in it."""
    has_masks = any(masklet.counts for masklet in medium.masklets)
    cuts = [
        _cut_masks(number, frames, geometry, settings) if has_masks else _cut_boxes(one, indices, geometry, settings)
        for number, one in enumerate(medium.masklets)
    ]
    kept = [(masklet, one) for masklet, one in zip(medium.masklets, cuts, strict=True) if one.visible_T.any()]
    count = len(indices)
    masks = None
    if has_masks:
        masks = _stack([one.masks_THW for _, one in kept], (count, *geometry.valid), np.bool_)
    return TrainClip(
        key=medium.key,
        frames=indices,
        pixels_THWC=np.stack([geometry.picture(frame.picture) for frame in frames]),
        masks_NTHW=masks,
        boxes_NT4=_stack([one.boxes_T4 for _, one in kept], (count, 4), np.float32),
        visible_NT=_stack([one.visible_T for _, one in kept], (count,), np.bool_),
        categories=tuple(masklet.category for masklet, _ in kept),
        captions=tuple(_caption(masklet, one, geometry, settings) for masklet, one in kept),
    )


@dataclass(frozen=True, slots=True)
class _Cut:
    """One object in a clip; ``share`` is how much is left of what the frames show of it."""

    masks_THW: NDArray[np.bool_] | None
    boxes_T4: NDArray[np.float32]
    visible_T: NDArray[np.bool_]
    share: float


def _cut_masks(number: int, frames: list[MaskedFrame], geometry: Geometry, settings: AugmentSettings) -> _Cut:
    found = np.zeros((len(frames), *geometry.valid), dtype=np.bool_)
    before = 0.0
    for t, frame in enumerate(frames):
        if number in frame.masks:
            mask = frame.masks[number]
            found[t] = geometry.mask(mask)
            before += mask.sum() * geometry.scaled[0] * geometry.scaled[1] / mask.size
    visible = found.sum((1, 2)) >= settings.min_pixels
    found &= visible[:, None, None]
    boxes = np.array([_tight(mask) for mask in found], dtype=np.float32)
    return _Cut(found, boxes, visible, float(found.sum() / max(before, 1.0)))


def _cut_boxes(masklet: Masklet, indices: tuple[int, ...], geometry: Geometry, settings: AugmentSettings) -> _Cut:
    boxes = np.zeros((len(indices), 4), dtype=np.float32)
    before = 0.0
    per_pixel = geometry.scaled[0] / geometry.source[0] * geometry.scaled[1] / geometry.source[1]
    for t, index in enumerate(indices):
        if index in masklet.boxes:
            boxes[t] = geometry.box(masklet.boxes[index])
            before += masklet.boxes[index][2] * masklet.boxes[index][3] * per_pixel
    areas = boxes[:, 2] * boxes[:, 3]
    visible: NDArray[np.bool_] = areas >= settings.min_pixels
    boxes[~visible] = 0
    return _Cut(None, boxes, visible, float(areas.sum() / max(before, 1.0)))


def _caption(masklet: Masklet, one: _Cut, geometry: Geometry, settings: AugmentSettings) -> str | None:
    if masklet.caption is None or one.share < settings.min_visible:
        return None
    return mirrored(masklet.caption) if geometry.flip else masklet.caption


def _tight(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    if not len(rows):
        return 0.0, 0.0, 0.0, 0.0
    x, y = columns[0], rows[0]
    return float(x), float(y), float(columns[-1] - x + 1), float(rows[-1] - y + 1)


def _stack(arrays: Sequence[Any], shape: tuple[int, ...], dtype: Any) -> Any:
    return np.stack(arrays) if arrays else np.zeros((0, *shape), dtype=dtype)
