"""Close-ups of the objects of a release: pictures around each object, larger than in the scene, with its mask.

A network learns in minutes from close-ups what it learns in hours from scenes, where objects are small and many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn.functional import interpolate

from capgen.dataset.types import Box
from capgen.maskcaptioner.data.caption_flip import mirrored
from capgen.maskcaptioner.data.pictures import FrameReader
from capgen.maskcaptioner.data.release_rows import Medium

SIDE = 96
"""Pixels of a close-up as it is kept; the network sees it at one of the sizes below."""

_MARGIN = 1.6
_SIDES = (40, 48, 56, 64, 80)


@dataclass(frozen=True, slots=True)
class CloseUps:
    """N objects.

    Args:
        pictures_NHWC: uint8, the last channel is the mask, 0 or 255.
        categories, captions: of each, None where unknown.
    """

    pictures_NHWC: NDArray[np.uint8]
    categories: tuple[str | None, ...]
    captions: tuple[str | None, ...]

    def __len__(self) -> int:
        return len(self.categories)


@dataclass(frozen=True, slots=True)
class Draw:
    """One batch: pixels 0..255 [N, 3, S, S], masks [N, S, S], and what is true."""

    pixels_NCHW: torch.Tensor
    masks_NHW: torch.Tensor
    categories: list[str | None]
    captions: list[str | None]


def cut(parts: Sequence[Any]) -> CloseUps:
    """The close-ups of all objects, of videos from the frame that shows most of them."""
    pictures, categories, captions = [], [], []
    reader = FrameReader()
    for part in parts:
        for row in part.rows():
            medium: Medium = part.medium(row())
            size = medium.height, medium.width
            best = {n: _largest(one.boxes) for n, one in enumerate(medium.masklets) if one.counts}
            for index in sorted(set(best.values())):
                frame = reader(medium, [index], size, size)[0]
                for number, masklet in enumerate(medium.masklets):
                    if best.get(number) == index and number in frame.masks:
                        pictures.append(_around(frame.picture, frame.masks[number], masklet.boxes[index]))
                        categories.append(masklet.category)
                        captions.append(masklet.caption)
    return CloseUps(np.stack(pictures), tuple(categories), tuple(captions))


def _largest(boxes: Mapping[int, Box]) -> int:
    """The frame with the largest box."""
    return max(boxes, key=lambda i: boxes[i][2] * boxes[i][3])


def _around(picture: NDArray[np.uint8], mask: NDArray[np.bool_], box: Box) -> NDArray[np.uint8]:
    x, y, w, h = box
    side = max(w, h, 12.0) * _MARGIN
    left, top = x + w / 2 - side / 2, y + h / 2 - side / 2
    scale = SIDE / side
    place = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]], dtype=np.float32)
    both = np.dstack([picture, mask.astype(np.uint8) * 255])
    return np.asarray(cv2.warpAffine(both, place, (SIDE, SIDE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def draws(closeups: CloseUps, batch: int, rng: np.random.Generator) -> Iterator[Draw]:
    """Batches without end, each of one size, all close-ups where there are fewer; mirrored where captions allow it."""
    batch = min(batch, len(closeups))
    while True:
        order = rng.permutation(len(closeups))
        for start in range(0, len(order) - batch + 1, batch):
            chosen = order[start : start + batch]
            side = int(rng.choice(_SIDES))
            flip = rng.random(batch) < 0.5
            pictures, captions = [], []
            for i, turn in zip(chosen, flip, strict=True):
                caption = closeups.captions[i]
                other = mirrored(caption) if turn and caption else caption
                turned = bool(turn) and (caption is None or other is not None)
                pictures.append(closeups.pictures_NHWC[i][:, :: -1 if turned else 1])
                captions.append(other if turned else caption)
            shown = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()
            shown = interpolate(shown, size=(side, side), mode="bilinear", antialias=True)
            categories = [closeups.categories[i] for i in chosen]
            yield Draw(shown[:, :3], shown[:, 3] > 127, categories, captions)
