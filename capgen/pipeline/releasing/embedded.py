"""Pictures inside a release: frames as they are stored, and a marked close-up of each captioned object."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import cv2
import pyarrow as pa

from capgen.dataset.plan import PlannedMedia
from capgen.dataset.row import Rle
from capgen.images import PictureFault, Pixels, path_under, picture_bytes
from capgen.videos.frames import file_of, read_frames

Embed = Literal["crops", "media"]
"""``crops``: a close-up of the object, its box drawn on it; ``media``: the frame that shows most of the object."""
ObjectFrame = tuple[int, Rle | None, Sequence[float]]
"""A frame of a medium with an object's mask and box on it."""

_CROP_PATCH, _CROP_PIXELS = 16, 320 * 320
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 90)


def embedded_picture(root: Path, name: str, bounds: Path | None = None) -> dict[str, Any] | None:
    """A picture as ``datasets`` stores an image; None where there is none under ``root`` by that name.

    Nothing but pictures is packed: no other file, no pipe or device, and with ``bounds`` no link that leads out of it.
    """
    try:
        return {"bytes": picture_bytes(path_under(root, name, bounds), name), "path": name}
    except PictureFault:
        return None


def embedded_frames(
    root: Path, media: PlannedMedia, bounds: Path | None = None, names: Iterable[str] | None = None
) -> dict[str, dict[str, Any]]:
    """The frames of a medium that lie in video files, as PNGs by name; those that cannot be decoded are left out.

    Args:
        names: the frames that are wanted; None for all.
    """
    wanted = [name for name in (media.file_names if names is None else names) if file_of(name) != name]
    found: dict[str, dict[str, Any]] = {}
    for name, pixels in read_frames(root, wanted, size=(media.height, media.width), bounds=bounds):
        if not isinstance(pixels, PictureFault):
            _, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
            found[name] = {"bytes": data.tobytes(), "path": name}
    return found


def shown_frames(rows: pa.Table) -> list[ObjectFrame]:
    """Of each captioned row, the frame on which the object is largest."""
    names = ("frame_index", "segmentation", "bbox", "area")
    found: list[ObjectFrame] = []
    for row in rows.select(names).to_pylist():
        sizes = [box[2] * box[3] if area is None else area for box, area in zip(row["bbox"], row["area"], strict=True)]
        best = max(range(len(sizes)), key=lambda i: (sizes[i], -i))
        found.append((row["frame_index"][best], row["segmentation"][best], row["bbox"][best]))
    return found


def object_pictures(
    embed: Embed, root: Path, media: PlannedMedia, shown: Sequence[ObjectFrame], bounds: Path | None
) -> list[dict[str, Any] | None]:
    """The picture of each captioned object of a medium, as ``datasets`` stores an image; None where it is missing."""
    names = [media.file_names[frame] for frame, _, _ in shown]
    if embed == "media":
        stored: dict[str, dict[str, Any] | None] = dict(embedded_frames(root, media, bounds, names))
        for name in names:
            if name not in stored:
                stored[name] = embedded_picture(root, name, bounds)
        return [stored[name] for name in names]
    crops: dict[int, dict[str, Any]] = {}
    for name, pixels in read_frames(root, names, size=(media.height, media.width), bounds=bounds):
        if isinstance(pixels, PictureFault):
            continue
        for number, (_, mask, box) in enumerate(shown):
            if names[number] == name:
                crops[number] = {"bytes": _crop(pixels, mask, box), "path": f"{name}.{number}.jpg"}
    return [crops.get(number) for number in range(len(shown))]


def _crop(pixels: Pixels, mask: Mapping[str, Any] | None, box: Sequence[float]) -> bytes:
    """A close-up with the object's box drawn on it, as JPEG."""
    # Here, because most releases hold no pictures, and every process that packs would spend a tenth of a second on it.
    from capgen.pipeline.rendering.highlights.base import Fit, Marked, whole
    from capgen.pipeline.rendering.highlights.box import BoxOutline
    from capgen.pipeline.rendering.highlights.crop import Crop

    x, y, width, height = box
    counts = None if mask is None else str(mask["counts"])
    marked = Marked(pixels, counts, (x, y, width, height), whole(pixels), Fit(patch=_CROP_PATCH, pixels=_CROP_PIXELS))
    picture = BoxOutline()(Crop(margin=0.5)(marked)).pixels
    return cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), _JPEG)[1].tobytes()


def by_medium(media: Sequence[PlannedMedia], kept: Sequence[bool]) -> Iterator[tuple[PlannedMedia, int]]:
    """The media that have captioned objects, with how many."""
    start = 0
    for one in media:
        number = sum(kept[start : start + len(one.objects)])
        start += len(one.objects)
        if number:
            yield one, number
