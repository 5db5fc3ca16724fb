"""Frames of media by name: a picture file, or one frame of a video file, ``clip.mp4#12``.

``#12`` is the frame's place in the order of display, from 0, as players and ``capgen.videos`` count. A video file is
decoded once for all of its frames that are asked for; only those become pixels, and nothing is decoded after the last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from capgen.buckets.roots import soon
from capgen.errors import UserError
from capgen.images import PictureFault, Pixels, path_under, read_picture
from capgen.rle import Size
from capgen.videos import TimedFrame, import_av, read_video

VIDEO_SUFFIXES = (".mp4", ".mkv", ".webm", ".mov", ".avi", ".m4v")
"""File names that frames can be taken out of; the content decides what a file is."""

_OF_VIDEO = re.compile(
    r"(.+(?:" + "|".join(map(re.escape, VIDEO_SUFFIXES)) + r"))#([0-9]{1,7})", re.IGNORECASE | re.DOTALL
)


def frame_name(video: str, number: int) -> str:
    """The name of a frame of a video file."""
    return f"{video}#{number}"


def split_frame_name(name: str) -> tuple[str, int | None]:
    """The file that a frame lies in, and its number there; None for a picture, which is a file of its own."""
    found = _OF_VIDEO.fullmatch(name)
    return (found[1], int(found[2])) if found else (name, None)


def file_of(name: str) -> str:
    """The file that a frame lies in."""
    return split_frame_name(name)[0]


def read_frames(
    root: str | Path,
    names: Sequence[str],
    *,
    size: Size | None,
    bounds: str | Path | None = None,
    least: Size | None = None,
) -> Iterator[tuple[str, Pixels | PictureFault]]:
    """Each of the names once, with its pixels, uint8 RGB [height, width, 3], or what is wrong with it.

    Args:
        root: the folder that names are relative to.
        size: height, width that the annotations declare; None for any.
        bounds: the folder out of which no link may lead; None follows all links.
        least: see ``read_picture``; frames of a video come whole.

    Raises:
        UserError: a frame lies in a video file, and PyAV is not installed.
    """
    of_videos: dict[str, set[int]] = {}
    soon(Path(root, file_of(name)) for name in names)
    for name in dict.fromkeys(names):
        file, number = split_frame_name(name)
        if number is not None:
            of_videos.setdefault(file, set()).add(number)
            continue
        try:
            yield name, read_picture(path_under(root, name, bounds), size=size, least=least, name=name)
        except PictureFault as fault:
            yield name, fault
    for file, numbers in of_videos.items():
        for number, found in _of_video(root, file, numbers, size, bounds):
            yield frame_name(file, number), found


def read_frame(root: str | Path, name: str, *, size: Size | None, bounds: str | Path | None = None) -> Pixels:
    """One frame; of several that lie in one video file, ``read_frames`` decodes it once.

    Raises:
        PictureFault: there is no such frame, or it is damaged or of another size.
        UserError: as ``read_frames``.
    """
    ((_, found),) = read_frames(root, [name], size=size, bounds=bounds)
    if isinstance(found, PictureFault):
        raise found
    return found


def _of_video(
    root: str | Path, file: str, numbers: Iterable[int], size: Size | None, bounds: str | Path | None
) -> Iterator[tuple[int, Pixels | PictureFault]]:
    left = sorted(numbers, reverse=True)
    fault: PictureFault | None = None
    count = 0
    try:
        path = path_under(root, file, bounds)
        if not path.is_file():
            raise PictureFault("picture_missing", f"no file {file}")
        import_av(path)
        for frame in _decoded(path, size):
            count = frame.number + 1
            if frame.number == left[-1]:
                yield left.pop(), _pixels(file, frame, size)
            if not left:
                return
    except PictureFault as found:
        fault = found
    fault = fault or PictureFault("picture_missing", f"{file} has {count} frames, none of number {left[-1]}")
    while left:
        yield left.pop(), fault


def _decoded(path: Path, size: Size | None) -> Iterator[TimedFrame]:
    try:
        yield from read_video(path, size=size)
    except UserError as error:
        raise PictureFault("picture_unreadable", error.what.replace(str(path), path.name)) from error


def _pixels(file: str, frame: TimedFrame, size: Size | None) -> Pixels | PictureFault:
    name = frame_name(file, frame.number)
    if frame.damaged:
        return PictureFault("picture_unreadable", f"{name} is damaged")
    pixels = frame.pixels()
    height, width = pixels.shape[:2]
    if size is not None and (height, width) != size:
        return PictureFault("picture_size", f"{name} is {width}x{height}, the annotations say {size[1]}x{size[0]}")
    return pixels
