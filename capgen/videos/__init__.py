"""One way through a video: frames in the order of display, upright, each with its time. Files are not trusted.

Video files are decoded by PyAV (FFmpeg). Only containers of ``CONTAINERS`` are opened, and only as local files: play
lists, which name other files or addresses, are refused, and a colon in a file name is no protocol. Cover pictures are
no video. A folder of pictures is a video as well: ``frame_files`` gives its files in order.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from capgen.errors import MissingFile, UserError
from capgen.images import MAX_PIXELS, SUFFIXES, Pixels
from capgen.rle import Size

MAX_FRAMES = 2_000_000
"""Of one video: 18 hours at 30 frames a second."""
MAX_BYTES = 64 * 2**30
"""Of one file."""
MAX_SECONDS = 7 * 24 * 3600.0
"""Between the first and the last frame."""
CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2",
    "matroska,webm",
    "avi",
    "mpeg",
    "mpegts",
    "mpegvideo",
    "m4v",
    "h264",
    "hevc",
    "obu",
    "ivf",
    "flv",
    "ogg",
    "asf",
    "dv",
    "mxf",
    "nut",
    "mjpeg",
    "yuv4mpegpipe",
    "wtv",
    "rm",
)
"""FFmpeg's names of the containers that are opened; none of them opens a second file."""

_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}
_FASTEST = 240.0
_NO_CLOCK = 25.0
_MATRIX = "DISPLAYMATRIX"


@dataclass(frozen=True, slots=True)
class VideoHeader:
    """What a video file says before a frame is decoded; containers state all of it only roughly.

    Args:
        fps: the mean of the frames a second.
        frames: how many are shown; None where the container does not say.
        seconds: how long it lasts, edit lists applied; None where the container does not say.
    """

    fps: float
    frames: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class TimedFrame:
    """One frame, not yet converted to RGB.

    Args:
        number: its place in the order of display, from 0.
        seconds: when it is shown, after the first frame.
        damaged: the decoder had to make up a part of it.
    """

    number: int
    seconds: float
    damaged: bool
    decoded: Any
    size: Size | None = None

    def pixels(self) -> Pixels:
        """Upright as the display matrix says, unless only the frame as stored has the size that was asked for."""
        stored: Pixels = self.decoded.to_ndarray(format="rgb24")
        matrix = _display_matrix(self.decoded)
        upright = stored if matrix is None else _upright(stored, matrix)
        return stored if self.size == stored.shape[:2] != upright.shape[:2] else upright


def read_video_header(path: Path) -> VideoHeader:
    """What a video file says of itself.

    Raises:
        MissingFile: there is no such file.
        UserError: it is no video that can be read, or PyAV is missing.
    """
    av = import_av(path)
    try:
        with _opened(path) as container:
            stream = _video_stream(container, path)
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            said = [float(stream.duration * stream.time_base)] if stream.duration else []
            said += [container.duration / 1_000_000] if container.duration else []
            count = stream.frames or None
    except av.FFmpegError as error:
        raise _unreadable(path, error) from error
    fps = rate if 0 < rate <= _FASTEST else _NO_CLOCK
    seconds = min(said) if said and min(said) > 0 else None
    if count and seconds:
        count = min(count, max(1, round(seconds * fps)))
    return VideoHeader(fps, count, seconds)


def read_video(path: Path, *, size: Size | None = None) -> Iterator[TimedFrame]:
    """The frames of a video file's first video stream that is no cover picture.

    Times are the file's own; where it gives none, or goes back in time, a frame follows the one before by the mean.

    Args:
        size: height, width that annotations declare; None for upright frames of any size.

    Raises:
        MissingFile: there is no such file.
        UserError: it is no video, has no frames, is damaged, or exceeds ``MAX_FRAMES`` or ``MAX_SECONDS``.
    """
    av = import_av(path)
    number = -1
    try:
        with _opened(path) as container:
            stream = _video_stream(container, path)
            clock = _Clock(1 / float(stream.average_rate or _NO_CLOCK))
            for number, decoded in enumerate(container.decode(stream)):
                seconds = clock.seconds(decoded.time)
                _check_limits(path, number, seconds)
                yield TimedFrame(number, seconds, bool(decoded.is_corrupt), decoded, size)
    except av.FFmpegError as error:
        if number < 0:
            raise _unreadable(path, error) from error
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(
            f"{path} is damaged after frame {number} ({reason})",
            "copy it again, or keep what can be read with ffmpeg -i IN OUT.mp4",
        ) from error
    if number < 0:
        raise UserError(f"{path} has no frames", "give a file that a video player shows")


def count_frames(path: Path) -> int:
    """How many frames a video file holds, counted in the container without decoding them.

    Raises:
        MissingFile: there is no such file.
        UserError: it is no video that can be read, or PyAV is missing.
    """
    av = import_av(path)
    try:
        with _opened(path) as container:
            stream = _video_stream(container, path)
            return sum(packet.size > 0 for packet in islice(container.demux(stream), MAX_FRAMES))
    except av.FFmpegError as error:
        raise _unreadable(path, error) from error


def video_size(path: Path) -> Size:
    """Height, width of a video file's frames, upright as a player shows them; the first frame is decoded.

    Raises:
        MissingFile: there is no such file.
        UserError: as ``read_video``.
    """
    height, width = next(read_video(path)).pixels().shape[:2]
    return height, width


def frame_files(folder: Path) -> list[Path]:
    """The pictures of a folder in natural order, ``frame9`` before ``frame10``; hidden files are none.

    ``._name``, what macOS leaves beside a file, is hidden like every name that starts with a dot.
    """
    files = [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]
    return sorted(files, key=lambda file: (natural(file.name), file.name))


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts ``frame9`` before ``frame10``, whatever the case."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def import_av(path: Path) -> Any:
    """PyAV, which comes with the extras ``train`` and ``eval``.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError as error:
        raise UserError(f"{path.name} needs PyAV", "pip install av") from error
    return av


class _Clock:
    """Frame times that start at 0 and never stand still or go back."""

    def __init__(self, step: float) -> None:
        self.step = step
        self.first: float | None = None
        self.last: float | None = None

    def seconds(self, stamp: float | None) -> float:
        if self.last is None:
            self.first, self.last = stamp, 0.0
            return 0.0
        elapsed = None if stamp is None or self.first is None else stamp - self.first
        self.last = elapsed if elapsed is not None and elapsed > self.last else self.last + self.step
        return self.last


def _check_limits(path: Path, number: int, seconds: float) -> None:
    if number >= MAX_FRAMES or seconds > MAX_SECONDS:
        limit = f"{MAX_FRAMES:,} frames" if number >= MAX_FRAMES else f"{MAX_SECONDS / 86400:.0f} days"
        raise UserError(f"{path} is longer than {limit}", "cut it into parts")


def _opened(path: Path) -> Any:
    """The container, a context manager.

    Raises:
        MissingFile: there is no such file.
        UserError: it is no regular file, is empty, or holds no video that is opened here.
    """
    av = import_av(path)
    try:
        about = path.stat()
    except OSError as error:
        raise MissingFile(path, "give a video file, a folder of frames or a picture") from error
    if not stat.S_ISREG(about.st_mode):
        raise UserError(f"{path} is not a regular file", "give a video file, a folder of frames or a picture")
    if about.st_size == 0:
        raise UserError(f"{path} is empty (0 bytes)", "copy or download it again")
    if about.st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES / 2**30:.0f} GiB", "cut it into parts")
    try:
        return av.open(f"file:{path}", options=_OPTIONS, metadata_errors="replace")
    except av.error.ArgumentError as error:  # the container is not on the list
        raise _no_video(path) from error


def _video_stream(container: Any, path: Path) -> Any:
    av = import_av(path)
    cover = av.stream.Disposition.attached_pic | av.stream.Disposition.timed_thumbnails
    stream = next((one for one in container.streams.video if not one.disposition & cover), None)
    if stream is None:
        raise _no_video(path)
    if stream.codec_context is None:  # FFmpeg has no decoder of that name
        raise _unreadable(path, ValueError("its codec is not known"))
    stream.thread_type = "AUTO"
    stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
    return stream


def _no_video(path: Path) -> UserError:
    return UserError(f"{path} has no video in it", "give a video file, a folder of frames or a picture")


def _unreadable(path: Path, error: Exception) -> UserError:
    reason = getattr(error, "strerror", None) or str(error)
    what = f"{path} is not a video that can be read ({reason})"
    return UserError(what, "check that a player shows it, or copy it again")


def _display_matrix(decoded: Any) -> tuple[int, int, int, int] | None:
    """The parts a, b, c, d of a frame's display matrix: a pixel at (x, y) is shown at (a x + c y, b x + d y)."""
    matrix = next((side for side in decoded.side_data if side.type.name == _MATRIX), None)
    if matrix is None:
        return None
    a, b, _, c, d = np.frombuffer(bytes(matrix), np.int32)[:5].tolist()
    return a, b, c, d


def _upright(frame: Pixels, matrix: tuple[int, int, int, int]) -> Pixels:
    """The frame turned and mirrored as a display matrix says, to the nearest quarter turn.

    Source: the transformation matrix of the track header, ISO/IEC 14496-12, 8.3.2.
    """
    a, b, c, d = matrix
    if abs(a) + abs(d) >= abs(b) + abs(c):
        across, down = a, d
    else:
        frame = frame.transpose(1, 0, 2)
        across, down = c, b
    frame = frame[:, ::-1] if across < 0 else frame
    frame = frame[::-1] if down < 0 else frame
    return np.ascontiguousarray(frame)
