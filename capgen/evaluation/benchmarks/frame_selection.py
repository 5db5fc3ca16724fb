"""Predictions on the evaluated frames alone, where a model was run on more of the video."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.dataset.files import whole_file
from capgen.errors import UserError
from capgen.evaluation.reading.json_stream import Element, elements
from capgen.evaluation.reading.tracks import Id


@dataclass(frozen=True, slots=True)
class FrameChoice:
    """The frames of a video that are evaluated.

    Args:
        length: how many frames the predictions have.
        places: those of them that are evaluated, ascending.
        dropped: image ids of the others, for predictions by frame.
    """

    length: int
    places: tuple[int, ...]
    dropped: frozenset[Id] = frozenset()


_FRAME_LISTS = ("bbox", "bboxes", "segmentations", "score_per_frame", "areas", "caption")


def select_frames(predictions: Path, out: Path, choices: Mapping[Id, FrameChoice]) -> tuple[Path, str]:
    """Write the predictions on the evaluated frames to ``out``; a note says how many lay on others.

    A prediction of a whole track keeps the entries of the evaluated frames; where it has as many entries as these
    already, it stays as it is. A prediction on one frame is left out if its image is not evaluated.

    Args:
        choices: by video id; a video that is not among them is left as it is.

    Raises:
        UserError: a track has neither as many entries as the video, nor as the evaluated frames.
    """
    dropped = frozenset(image for choice in choices.values() for image in choice.dropped)
    out.parent.mkdir(parents=True, exist_ok=True)
    left_out = number = 0
    with whole_file(out) as part, part.open("w", encoding="utf-8") as file:
        start = "["
        for element in elements(predictions, frozenset({"", "annotations", "predictions"})):
            kept, less = _selected(element, number, predictions, choices, dropped)
            number, left_out = number + 1, left_out + less
            if kept is not None:
                file.write(start + json.dumps(kept))
                start = ",\n"
        file.write("]\n" if start != "[" else "[]\n")
    return out, f"{left_out:,} predictions lie on frames that are not evaluated" if left_out else ""


def _selected(
    element: Element, number: int, path: Path, choices: Mapping[Id, FrameChoice], dropped: frozenset[Id]
) -> tuple[Any, int]:
    """The prediction as it is evaluated, None for none, and how many of its detections are left out."""
    raw = element.exact()
    if not isinstance(raw, dict):
        return raw, 0
    image, video = raw.get("image_id"), raw.get("video_id")
    if image is not None:
        gone = isinstance(image, int | str) and image in dropped
        return (None, 1) if gone else (raw, 0)
    choice = choices.get(video) if isinstance(video, int | str) else None
    if choice is None:
        return raw, 0
    return _of_track(raw, number, path, choice)


def _of_track(raw: dict[str, Any], number: int, path: Path, choice: FrameChoice) -> tuple[dict[str, Any] | None, int]:
    lists = {key: raw[key] for key in _FRAME_LISTS if isinstance(raw.get(key), list)}
    lengths = {len(values) for key, values in lists.items() if key != "caption"}
    if lengths == {len(choice.places)} and len(choice.places) != choice.length:
        return raw, 0
    if lengths - {choice.length}:
        what = f"{path}: predictions[{number}] has {max(lengths)} entries for a video of {choice.length} frames"
        raise UserError(what, f"give one for every frame, or for the {len(choice.places)} that are evaluated")
    shapes = lists.get("segmentations") or lists.get("bboxes") or lists.get("bbox") or []
    chosen = set(choice.places)
    lost = sum(shape is not None for place, shape in enumerate(shapes) if place not in chosen)
    for key, values in lists.items():
        if len(values) == choice.length:
            raw[key] = [values[place] for place in choice.places]
    return (raw if choice.places else None), lost
