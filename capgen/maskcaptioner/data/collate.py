"""Clips as a batch: padded to one size, moved to the device as bytes, and made into the model's input there.

B clips, T frames, H W padded picture, N objects of a clip.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from capgen.errors import UserError
from capgen.maskcaptioner.data.sizing import normalised
from capgen.maskcaptioner.data.training_clip import TrainClip
from capgen.maskcaptioner.model.clip import Federated, Target


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch as it leaves the workers.

    Args:
        pixels_BTHWC: uint8 RGB, zero where padded.
        valid: height and width of each clip's picture, which lies at the top left.
        targets: what is true of each clip, on the padded picture.
    """

    pixels_BTHWC: torch.Tensor
    valid: tuple[tuple[int, int], ...]
    targets: tuple[Target, ...]
    keys: tuple[str, ...]

    @property
    def captions(self) -> int:
        """Objects with a caption."""
        return sum(caption is not None for target in self.targets for caption in target.captions)

    @property
    def objects(self) -> int:
        """Objects of all clips."""
        return sum(len(target.captions) for target in self.targets)

    def pixels(self, mean: Sequence[float], std: Sequence[float], device: torch.device | str) -> torch.Tensor:
        """The normalised pictures, float32 [B, T, C, H, W] on a device; padding is zero."""
        return normalised(self.pixels_BTHWC.to(device, non_blocking=True), self.valid, mean, std)


def collate(clips: Sequence[TrainClip], classes: Mapping[str, int], divisor: int, *, federated: bool = False) -> Batch:
    """A batch of clips with equally many frames; the size is the largest clip's, up to a multiple of ``divisor``.

    Args:
        federated: not every object of every class is annotated.

    Raises:
        UserError: there are no clips.
    """
    if not clips:
        raise UserError("a batch is empty", "raise stages.NAME.batch, or give more data")
    sizes = [clip.pixels_THWC.shape[1:3] for clip in clips]
    height, width = (-(-max(size[axis] for size in sizes) // divisor) * divisor for axis in (0, 1))
    pixels = torch.zeros((len(clips), len(clips[0].frames), height, width, 3), dtype=torch.uint8)
    for slot, clip, (h, w) in zip(pixels, clips, sizes, strict=True):
        slot[:, :h, :w] = torch.from_numpy(clip.pixels_THWC)
    return Batch(
        pixels_BTHWC=pixels,
        valid=tuple((h, w) for h, w in sizes),
        targets=tuple(_target(clip, classes, (height, width), federated=federated) for clip in clips),
        keys=tuple(clip.key for clip in clips),
    )


def _target(clip: TrainClip, classes: Mapping[str, int], canvas: tuple[int, int], *, federated: bool) -> Target:
    masks = None if clip.masks_NTHW is None else torch.from_numpy(clip.masks_NTHW)
    boxes = torch.from_numpy(centred(clip.boxes_NT4, canvas))
    ids = [classes.get(name, -1) if name is not None else -1 for name in clip.categories]
    return Target(
        masks_NTHW=masks,
        boxes_NT4=boxes,
        visible_NT=torch.from_numpy(clip.visible_NT),
        class_ids_N=torch.tensor(ids, dtype=torch.int64),
        captions=list(clip.captions),
        federated=Federated() if federated else None,
        size=clip.pixels_THWC.shape[1:3],
    )


def centred(boxes: np.ndarray, canvas: tuple[int, int]) -> np.ndarray:
    """Boxes (x, y, w, h) in pixels as (cx, cy, w, h) in 0..1 of the canvas; float32."""
    x, y, w, h = (boxes[..., i] for i in range(4))
    parts = ((x + w / 2) / canvas[1], (y + h / 2) / canvas[0], w / canvas[1], h / canvas[0])
    return np.stack(parts, -1).astype(np.float32)
