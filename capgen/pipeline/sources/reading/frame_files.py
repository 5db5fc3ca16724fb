"""The frames of a video that an annotation file lists: pictures in a folder, or frames of a video file.

A file that lists ``0a/00000.jpg, 0a/00005.jpg`` may lie beside ``0a.mp4`` instead of a folder ``0a``: then the names'
numbers are those of the video's frames. One that names the video file itself gives the numbers, or lists every frame,
or every so many, which its count says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from capgen.dataset.types import Fault
from capgen.errors import UserError
from capgen.pipeline.sources.reading import common
from capgen.pipeline.sources.reading.pictures import PictureFinder
from capgen.pipeline.sources.reading.planner import VideoRow
from capgen.videos import MAX_FRAMES, count_frames
from capgen.videos.frames import VIDEO_SUFFIXES, frame_name

_NUMBER = re.compile(r"(\d{1,9})\D*$")
_MOST = 100_000
"""Frames of a video that is described by a count alone."""


def find_frames(row: VideoRow, finder: PictureFinder) -> tuple[str, ...] | Fault:
    """The frames relative to the root; those that are nowhere are named where they should be.

    Returns:
        ``bad_path`` where a frame has no safe name, ``bad_frames`` where nothing says which frames of a video file are
        meant, ``picture_unreadable`` where that file is damaged.
    """
    called = _listed(row)
    found = [finder.find(name) for name in called]
    if not any(found) or _is_video(called[0]):
        video = find_video(row, finder)
        if video is not None:
            return _of_video(row, called, finder.root, video)
    names = [path or finder.expected(name) for path, name in zip(found, called, strict=True)]
    if not names or None in names:
        return common.path_fault(called[names.index(None)] if called else row.file_names)
    return tuple(name for name in names if name is not None)


def check_frames(rows: Iterable[VideoRow | None], finder: PictureFinder) -> None:
    """Refuse a root that holds neither the first frames nor the video files.

    Raises:
        MissingFile: it does.
    """
    videos = [row for row in rows if row]
    if any(find_video(row, finder) for row in videos[:20]):
        return
    names = [name for row in videos for name in (_listed(row)[:1] or [row.file_name or row.name])]
    finder.check(names, "put the videos' frames or files there")


def find_video(row: VideoRow, finder: PictureFinder) -> str | None:
    """The video file of a row, relative to the root."""
    called = _listed(row)
    named = [name for name in (*called[:1], row.file_name, row.name) if _is_video(name)]
    if called and isinstance(called[0], str) and not _is_video(called[0]):
        folder = called[0].replace("\\", "/").rpartition("/")[0]
        named += [folder + suffix for suffix in VIDEO_SUFFIXES if folder]
    return next((path for path in map(finder.find, named) if path is not None), None)


def _listed(row: VideoRow) -> Sequence[Any]:
    return row.file_names if isinstance(row.file_names, list) else ()


def _is_video(name: object) -> bool:
    return isinstance(name, str) and name.lower().endswith(VIDEO_SUFFIXES)


def _of_video(row: VideoRow, called: Sequence[Any], root: Path, video: str) -> tuple[str, ...] | Fault:
    try:
        numbers = _numbers(row, called, root / video)
    except UserError as error:
        return Fault("picture_unreadable", error.what.replace(str(root / video), video))
    return numbers if isinstance(numbers, Fault) else tuple(frame_name(video, number) for number in numbers)


def _numbers(row: VideoRow, called: Sequence[Any], path: Path) -> Sequence[int] | Fault:
    """Which frames of a video file are meant.

    Raises:
        UserError: the file is damaged and had to be looked into.
    """
    given = row.frame_numbers
    if isinstance(given, list) and given:
        if all(type(number) is int and 0 <= number < MAX_FRAMES for number in given):
            return given
        return Fault("bad_frames", "the numbers of its frames are no whole numbers from 0")
    if len(called) > 1 or (called and not _is_video(called[0])):
        every = row.all_names if isinstance(row.all_names, list) else called
        if every is not called and len(every) == count_frames(path):
            place = {name: number for number, name in enumerate(every)}
            return [place[name] for name in called if name in place]
        return numbers_of_names(called, every)
    count = count_frames(path)
    length = common.count(row.length) or count
    step = -(-count // length)
    if length > _MOST or -(-count // step) != length:
        what = f"the annotations have {length} frames, the video {count}: nothing says which of them are meant"
        return Fault("bad_frames", what)
    return range(0, count, step)


def numbers_of_names(names: Sequence[object], every: Sequence[object] = ()) -> Sequence[int] | Fault:
    """The numbers in names such as ``0a/00005.jpg``; where the lowest of all is 1, they are counted from 1.

    Args:
        every: the names of all frames, where ``names`` are some of them.
    """
    numbers = [_number(name) for name in names]
    known = [number for number in numbers if number is not None]
    if len(known) < len(numbers) or max(known) >= MAX_FRAMES:
        return Fault("bad_frames", "the names of its frames do not say which frames of the video file they are")
    lowest = min(number for name in (*names, *every) if (number := _number(name)) is not None)
    return [number - 1 for number in known] if lowest == 1 else known


def _number(name: object) -> int | None:
    found = _NUMBER.search(PurePosixPath(name).stem) if isinstance(name, str) else None
    return int(found[1]) if found else None
