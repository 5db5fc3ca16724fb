"""SAM 2's video model: what is found on the first frame with any mask is followed through the video.

Frames are shown one by one, so that the video is never in memory. Objects that appear later are not found.
Source: Ravi et al., SAM 2, arXiv:2408.00714.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.images import Pixels
from capgen.segmenting.models import FoundMask, MaskGenerator, model_picture, unpadded
from capgen.segmenting.tracks import LinkedTrack


@dataclass(frozen=True, slots=True)
class Sam2Tracks:
    """Follows masks with SAM 2's memory.

    Args:
        model: ``Sam2VideoModel``.
        generator: the same weights as a model of single pictures.
        max_objects: so many masks of the first frame are followed, the surest first.
    """

    model: Any
    generator: MaskGenerator
    max_objects: int

    def tracks(self, frames: Iterable[Pixels]) -> list[LinkedTrack]:
        """The tracks of a video, or of a picture as a video of one frame."""
        import torch
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        device = self.generator.device
        session = None
        found: list[LinkedTrack] = []
        for number, pixels in enumerate(frames):
            height, width = pixels.shape[:2]
            if session is None:
                masks = self.generator(pixels)[: self.max_objects]
                if not masks:
                    continue
                session = Sam2VideoInferenceSession(
                    video_height=height, video_width=width, inference_device=device, dtype=torch.float32
                )
                found = self._seeded(session, masks)
            picture = torch.as_tensor(model_picture(pixels, self.generator.side)[0]).to(device)
            with torch.no_grad():
                outputs = self.model(inference_session=session, frame=picture)
            logits = outputs.pred_masks[:, 0].float().cpu().numpy()
            for place, one in zip(outputs.object_ids, logits, strict=True):
                bitmap = unpadded(one, height, width) > 0
                if bitmap.any():
                    found[place - 1].counts[number] = rle.encode(bitmap)
        return [track for track in found if track.counts]

    def _seeded(self, session: Any, masks: list[FoundMask]) -> list[LinkedTrack]:
        """Give the session the masks of its first frame; the tracks that they begin."""
        import torch

        side = self.generator.side
        for number, one in enumerate(masks, 1):
            square = torch.as_tensor(padded_mask(one.bitmap, side)[None, None]).to(self.generator.device)
            session.add_mask_inputs(session.obj_id_to_idx(number), 0, square)
        session.obj_with_new_inputs = list(range(1, len(masks) + 1))
        return [LinkedTrack(scores=[one.score], categories=[one.category]) for one in masks]


def padded_mask(bitmap: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """A bitmap [H, W] over the padded square that the model sees, float32 [side, side] of 0 and 1."""
    height, width = bitmap.shape
    longest = max(height, width)
    square = np.zeros((longest, longest), np.float32)
    square[:height, :width] = bitmap
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5, dtype=np.float32)
