"""What a ground truth says of its videos beyond their frames: names, and the classes that are labelled in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.errors import UserError
from capgen.evaluation.reading.fields import FieldError, as_id, as_list
from capgen.evaluation.reading.json_stream import elements
from capgen.evaluation.reading.tracks import Id


@dataclass(frozen=True, slots=True)
class VideoLabels:
    """One video.

    Args:
        name: TrackEval goes through videos in the order of their names.
        absent: classes that are known not to be in it.
        partial: classes of which only some objects are labelled.
    """

    name: str
    absent: frozenset[Id] = frozenset()
    partial: frozenset[Id] = frozenset()


def read_video_labels(path: Path) -> tuple[dict[Id, VideoLabels], dict[Id, Id]]:
    """The videos of a ground truth by id, and the classes that are merged into others.

    Raises:
        UserError: a list in the file is none, or holds no ids.
    """
    videos: dict[Id, VideoLabels] = {}
    merged: dict[Id, Id] = {}
    seen = {"videos": 0, "categories": 0}
    for element in elements(path, frozenset(seen)):
        number, raw = seen[element.array], element.exact()
        seen[element.array] += 1
        if not isinstance(raw, dict) or raw.get("id") is None:
            continue
        try:
            key = as_id(raw["id"], "id")
            if element.array == "videos":
                absent, partial = (_ids(raw, f"{name}_category_ids") for name in ("neg", "not_exhaustive"))
                videos[key] = VideoLabels(_name(raw), absent, partial)
            for one in (as_list(raw.get("merged"), "merged") or []) if element.array == "categories" else []:
                merged[as_id(one.get("id") if isinstance(one, dict) else one, "merged")] = key
        except FieldError as error:
            raise UserError(f"{path}: {element.array}[{number}] {error.what}", error.remedy) from error
    return videos, merged


def _ids(raw: dict[str, Any], name: str) -> frozenset[Id]:
    try:
        listed = as_list(raw.get(name), name) or []
    except FieldError as error:
        raise FieldError(error.what, "write a list of category ids") from error
    return frozenset(as_id(one, name) for one in listed)


def _name(raw: dict[str, Any]) -> str:
    """The name that sequences have in TrackEval: the folder of the frames, or the video's own."""
    frames = as_list(raw.get("file_names"), "file_names")
    if frames and isinstance(frames[0], str):
        return str(frames[0].replace("\\", "/").split("/")[0])
    return str(raw.get("name", raw["id"])).replace("/", "-")
