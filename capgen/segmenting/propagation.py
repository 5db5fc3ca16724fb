"""SAM 2's video model: what is found on a frame is followed through the video.

Frames are shown one by one, and what no later frame needs is forgotten. The first frame with any mask gives the first
objects. On every ``redetect``-th frame the model of single pictures looks again, and what mostly lies where nothing is
followed becomes a further object. Source: Ravi et al., SAM 2, arXiv:2408.00714.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from capgen import rle
from capgen.images import Pixels
from capgen.segmenting.models import FoundMask, MaskGenerator, model_picture, unpadded
from capgen.segmenting.tracks import LinkedTrack

_NEW = 0.5
"""Least share of a mask's pixels that lie in no followed object, for it to be another object."""


@dataclass(frozen=True, slots=True)
class Sam2Tracks:
    """Follows masks with SAM 2's memory.

    Args:
        model: ``Sam2VideoModel``.
        generator: the same weights as a model of single pictures.
        max_objects: so many objects of a video are followed at most, the surest of the first frame first.
        redetect: on every such frame new objects are looked for; 0 is on the first frame with any mask alone.
    """

    model: Any
    generator: MaskGenerator
    max_objects: int
    redetect: int = 0

    def tracks(self, frames: Iterable[Pixels]) -> list[LinkedTrack]:
        """The tracks of a video, or of a picture as a video of one frame."""
        session = None
        found: list[LinkedTrack] = []
        for number, pixels in enumerate(frames):
            session = session or self._session(pixels)
            bitmaps = self._follow(session, number, pixels) if found else {}
            fresh = self._fresh(number, pixels, list(bitmaps.values()), len(found))
            if fresh:
                remembered = _memory_of(session, number)
                found += self._seeded(session, number, fresh, len(found))
                bitmaps |= self._follow(session, number, pixels)
                for memory, outputs in remembered:
                    memory[number] = outputs
            for place, bitmap in bitmaps.items():
                if bitmap.any():
                    found[place - 1].counts[number] = rle.encode(bitmap)
        return [track for track in found if track.counts]

    def _session(self, pixels: Pixels) -> Any:
        """The memory of a video whose frames have this size."""
        import torch
        from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

        height, width = pixels.shape[:2]
        return Sam2VideoInferenceSession(
            video_height=height, video_width=width, inference_device=self.generator.device, dtype=torch.float32
        )

    def _follow(self, session: Any, number: int, pixels: Pixels) -> dict[int, NDArray[np.bool_]]:
        """Show the session a frame; the bitmap [H, W] of each of its objects, by the object's number from 1."""
        import torch

        height, width = pixels.shape[:2]
        picture = torch.as_tensor(model_picture(pixels, self.generator.side)[0]).to(self.generator.device)
        with torch.no_grad():
            outputs = self.model(inference_session=session, frame=picture, frame_idx=number)
        logits = outputs.pred_masks[:, 0].float().cpu().numpy()
        self._forget(session, number)
        return {place: unpadded(one, height, width) > 0 for place, one in zip(outputs.object_ids, logits, strict=True)}

    def _forget(self, session: Any, number: int) -> None:
        """Drop what no frame after this one needs, which is most: of each frame its pixels, of each object on it a mask
        of the model's size; memories beyond those that the model looks back to.
        """
        config = self.model.config
        session.processed_frames[number] = session.processed_frames[number].new_empty(0)
        for place, kinds in session.output_dict_per_obj.items():
            session.remove_mask_inputs(place, number)
            for outputs in kinds.values():
                outputs.get(number, {}).pop("high_res_masks", None)
            followed = kinds["non_cond_frame_outputs"]
            followed.pop(number - config.max_object_pointers_in_encoder, None)
            for name in ("maskmem_features", "maskmem_pos_enc", "pred_masks"):
                followed.get(number - config.num_maskmem, {}).pop(name, None)

    def _fresh(self, number: int, pixels: Pixels, followed: Sequence[NDArray[np.bool_]], known: int) -> list[FoundMask]:
        """The masks of a frame that become further objects; none where it is no frame to look at."""
        again = self.redetect > 0 and number % self.redetect == 0
        if known >= self.max_objects or (known and not again):
            return []
        return uncovered(self.generator(pixels), followed)[: self.max_objects - known]

    def _seeded(self, session: Any, number: int, masks: list[FoundMask], known: int) -> list[LinkedTrack]:
        """Give the session the masks of a frame, numbered after the known ones; the tracks that they begin."""
        import torch

        side = self.generator.side
        names = range(known + 1, known + len(masks) + 1)
        for name, one in zip(names, masks, strict=True):
            square = torch.as_tensor(padded_mask(one.bitmap, side)[None, None]).to(self.generator.device)
            session.add_mask_inputs(session.obj_id_to_idx(name), number, square)
        session.obj_with_new_inputs = list(names)
        return [LinkedTrack(scores=[one.score], categories=[one.category]) for one in masks]


def _memory_of(session: Any, number: int) -> list[tuple[dict[int, Any], Any]]:
    """What is remembered of the objects that were followed on a frame, and where.

    Showing the frame again for further objects would replace it: transformers then makes the memory of all objects as
    that of the new ones, from masks without shades.
    """
    memories = [outputs["non_cond_frame_outputs"] for outputs in session.output_dict_per_obj.values()]
    return [(memory, memory[number]) for memory in memories if number in memory]


def uncovered(masks: Sequence[FoundMask], followed: Sequence[NDArray[np.bool_]]) -> list[FoundMask]:
    """The masks of which at least half lies in none of the bitmaps [H, W] of objects that are followed."""
    if not followed:
        return list(masks)
    taken = np.logical_or.reduce(followed)
    return [one for one in masks if np.count_nonzero(one.bitmap & ~taken) >= _NEW * np.count_nonzero(one.bitmap)]


def padded_mask(bitmap: NDArray[np.bool_], side: int) -> NDArray[np.float32]:
    """A bitmap [H, W] over the padded square that the model sees, float32 [side, side] of 0 and 1."""
    height, width = bitmap.shape
    longest = max(height, width)
    square = np.zeros((longest, longest), np.float32)
    square[:height, :width] = bitmap
    small = cv2.resize(square, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(small >= 0.5, dtype=np.float32)
