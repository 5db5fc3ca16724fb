"""From frames to tracks, clip by clip: nothing of a frame is kept but the masks and scores of what was found on it.

T frames of a clip, Q queries, L query tokens of the Q-Former, E its width, C classes, h w places of a map.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.row import Rle
from capgen.dataset.types import Box
from capgen.maskcaptioner.data.sizing import Placement, prepare
from capgen.maskcaptioner.inference.agreement import named_instead
from capgen.maskcaptioner.inference.components import largest_components
from capgen.maskcaptioner.inference.overlap import without_duplicates
from capgen.maskcaptioner.inference.track import Track
from capgen.maskcaptioner.inference.tracker import Tracker

if TYPE_CHECKING:
    from capgen.maskcaptioner.model.maskcaptioner import ClipOutput, MaskCaptioner

_DESCRIBED_TOGETHER = 16


@dataclass(slots=True)
class _Running:
    """A track so far. ``states_LE`` are summed by score, ``classes_C`` too."""

    scores: list[float] = field(default_factory=list)
    frames: list[int] = field(default_factory=list)
    boxes: list[Box] = field(default_factory=list)
    masks: list[Rle] = field(default_factory=list)
    classes_C: torch.Tensor | None = None
    states_LE: torch.Tensor | None = None
    weight: float = 0.0

    @property
    def score(self) -> float:
        """The mean over its clips."""
        return float(np.mean(self.scores))

    def add_states(self, states_LE: torch.Tensor, score: float, best_only: bool) -> None:
        """Temporal aggregation: a running sum by score, or the best clip's states."""
        if self.states_LE is None or (best_only and score > self.weight):
            self.states_LE, self.weight = states_LE * score, score
        elif not best_only:
            self.states_LE, self.weight = self.states_LE + states_LE * score, self.weight + score


class Stream:
    """Shows a video to the model clip by clip and joins what it finds into tracks.

    A track's score is the mean over its clips, of which those with a score of half the ``threshold`` count; a track
    whose score is under the threshold is not given. Its class is the one with the greatest score-weighted probability.
    Its caption is written from the score-weighted mean of the Q-Former's answers over *all* of its clips: how many
    there will be is not known while frames arrive, so ``caption_clips`` of them, evenly spaced, cannot be chosen; with
    ``caption_clips`` = 1 only the best clip's answers are used. The weights sum to 1. Masks are kept without pixels far
    from the rest, see ``largest_components``.

    Args:
        model: where it lies is where it runs.
        threshold: 0..1.
        max_tracks: the best ones are given.
        captions: off saves their time; ``Track.caption`` is then None.
        min_similarity: see ``Tracker``.
        max_overlap: of two tracks whose IoU over the worse one's frames is greater, the better is given; 1: both.
    """

    def __init__(
        self,
        model: MaskCaptioner,
        *,
        threshold: float = 0.5,
        max_tracks: int = 50,
        captions: bool = True,
        min_similarity: float = 0.0,
        max_overlap: float = 0.7,
    ) -> None:
        self.model, self.threshold, self.max_tracks = model, threshold, max_tracks
        self.max_overlap = max_overlap
        self.captions = captions and model.config.caption is not None
        memory = model.config.memory
        self._tracker = Tracker(int(memory["length"]), int(memory["top_k"]), min_similarity)
        self._best_only = model.config.caption_clips == 1
        self._running: dict[int, _Running] = {}
        self._seen = 0

    def push(self, frames: Sequence[NDArray[np.uint8]]) -> None:
        """The next clip: uint8 RGB [H, W, 3], of one size; any number of frames, ``config.clip_frames`` is best.

        Raises:
            ValueError: no frames, or frames of several sizes.
        """
        pixels, placement = prepare(frames, self.model.config.picture)
        output = self.model.detect(pixels.to(self.model.device), tokens=self.captions)
        scores = output.scores_BQ[0].float().cpu().numpy()
        assert output.queries_BQD is not None
        ids = self._tracker.update(output.queries_BQD[0].float().cpu().numpy(), scores)
        found = [int(q) for q in np.flatnonzero(scores >= self.threshold / 2)]
        tracks = [self._running.setdefault(int(ids[q]), _Running()) for q in found]
        for q, track in zip(found, tracks, strict=True):
            self._add(track, output, q, float(scores[q]), placement)
        if self.captions and found:
            chosen = [torch.tensor(found, device=self.model.device)]
            states = self.model.caption_states(output, chosen)[0].float().cpu()
            for q, track, answer in zip(found, tracks, states, strict=True):
                track.add_states(answer, float(scores[q]), self._best_only)
        self._seen += len(frames)

    def _add(self, track: _Running, output: ClipOutput, q: int, score: float, placement: Placement) -> None:
        """What one query found on the frames of this clip."""
        track.scores.append(score)
        if output.class_logits_BQC is not None:
            weighted_C = score * output.class_logits_BQC[0, q].float().sigmoid().cpu()
            track.classes_C = weighted_C if track.classes_C is None else track.classes_C + weighted_C
        if self.model.config.mask_head:
            assert output.mask_logits_BQThw is not None
            for t, mask in enumerate(placement.masks(output.mask_logits_BQThw[0, q])):
                if mask.any():
                    self._see(track, t, largest_components(mask))
        elif output.boxes_BQT4 is not None:
            for t, box in enumerate(output.boxes_BQT4[0, q].tolist()):
                track.frames.append(self._seen + t)
                track.boxes.append(placement.box(box))

    def _see(self, track: _Running, t: int, mask: NDArray[np.bool_]) -> None:
        counts, size = rle.encode(mask), (mask.shape[0], mask.shape[1])
        track.frames.append(self._seen + t)
        track.masks.append({"size": list(size), "counts": counts})
        track.boxes.append(rle.box(counts, size))

    def finish(self) -> list[Track]:
        """The tracks, in order of appearance, numbered from 1."""
        kept = [t for t in self._running.values() if t.frames and t.score >= self.threshold]
        kept.sort(key=lambda track: -track.score)
        shapes = [dict(zip(track.frames, track.masks or track.boxes, strict=True)) for track in kept]
        kept = [kept[i] for i in without_duplicates(shapes, self.max_overlap)][: self.max_tracks]
        kept.sort(key=lambda track: (track.frames[0], track.boxes[0]))
        captions = self._describe(kept)
        return [self._track(i, track, text) for i, (track, text) in enumerate(zip(kept, captions, strict=True), 1)]

    def _describe(self, tracks: list[_Running]) -> list[str | None]:
        if not self.captions:
            return [None] * len(tracks)
        captions: list[str | None] = []
        for start in range(0, len(tracks), _DESCRIBED_TOGETHER):
            group = tracks[start : start + _DESCRIBED_TOGETHER]
            states = [t.states_LE / max(t.weight, 1e-12) for t in group if t.states_LE is not None]
            captions.extend(self.model.describe(torch.stack(states).to(self.model.device)))
        return captions

    def _track(self, number: int, track: _Running, caption: str | None) -> Track:
        category: Any = None if track.classes_C is None else int(track.classes_C.argmax())
        name = None if category is None else self.model.config.classes[category]
        return Track(
            track_id=number,
            category_id=category,
            category=name,
            score=track.score,
            caption=caption,
            frames=track.frames,
            boxes=track.boxes,
            masks=track.masks if self.model.config.mask_head else None,
            caption_category=named_instead(name, caption, self.model.config.classes),
        )
