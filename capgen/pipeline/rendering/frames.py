"""Frames of a medium as pixels, and the choice of which frames to show."""

from __future__ import annotations

from capgen.dataset.types import Media, MediaObject
from capgen.images import Pixels
from capgen.pipeline.settings import FrameRule
from capgen.videos.frames import read_frame


def load_frame(media: Media, index: int) -> Pixels:
    """Frame ``index`` of a medium, uint8 RGB [height, width, 3] as declared, read-only.

    Raises:
        PictureFault: the file is missing, is no whole picture, or has another size.
    """
    size = (media.height, media.width)
    pixels = read_frame(media.root, media.file_names[index], size=size, bounds=media.bounds)
    pixels.flags.writeable = False
    return pixels


def choose(choice: FrameRule, media: Media, obj: MediaObject | None, count: int) -> tuple[int, ...]:
    """At most ``count`` frames in the order of time, for one object or, without it, for all of the medium's.

    ``uniform``: spread evenly over all frames; where none of those shows the object, ``visible``.
    ``visible``: spread evenly over the frames that show the object. ``largest``: those that show most of it.
    """
    objects = media.objects if obj is None else (obj,)
    every = range(len(media.file_names))
    if choice == "uniform":
        spread = _spread(tuple(every), count)
        if obj is None or any(obj.boxes[i] is not None for i in spread):
            return spread
    visible = tuple(i for i in every if any(o.boxes[i] is not None for o in objects if o.fault is None))
    if choice == "largest":
        seen = {i: sum(shown_area(o, i) for o in objects if o.fault is None) for i in visible}
        return tuple(sorted(sorted(visible, key=lambda i: (-seen[i], i))[:count]))
    return _spread(visible, count)


def shown_area(obj: MediaObject, index: int) -> int:
    """Pixels of the object's mask on a frame, or of its box where it has no mask; 0 where it is not visible."""
    area, box = obj.areas[index], obj.boxes[index]
    return area if area is not None else 0 if box is None else round(box[2] * box[3])


def _spread(frames: tuple[int, ...], count: int) -> tuple[int, ...]:
    """``count`` of the frames, first and last among them; the middle one if it is one."""
    if len(frames) <= count:
        return frames
    if count == 1:
        return (frames[(len(frames) - 1) // 2],)
    return tuple(frames[i * (len(frames) - 1) // (count - 1)] for i in range(count))
