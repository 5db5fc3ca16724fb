"""The frames of a video file, of a folder of pictures, or of one picture: read in order, one in memory at a time.

A source can be walked more than once, since captions are known only after the last frame: the annotated video is made
on a second walk. Nothing is ever sought, so that both walks give the same frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from capgen.errors import MissingFile, UserError

Frame = NDArray[np.uint8]
"""uint8 [height, width, 3], red, green, blue."""

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
FOLDER_FPS = 6.0
"""Frames a second of a folder, which does not say: YouTube-VIS and its kin keep about six."""

_TEXT_DEMUXERS = frozenset({"tty", "srt", "ass", "webvtt", "subviewer", "microdvd"})
"""FFmpeg reads text as a picture of a terminal."""
_NO_CLOCK = 25.0
_FASTEST = 240.0


class FrameSource(Protocol):
    """Frames that can be walked any number of times, all of one size."""

    @property
    def path(self) -> Path:
        """The input."""
        ...

    @property
    def kind(self) -> Literal["video", "picture"]:
        """A folder of pictures is a video."""
        ...

    @property
    def fps(self) -> float:
        """Frames a second of what is given, every ``every``-th of the input's."""
        ...

    @property
    def every(self) -> int:
        """One frame of so many is given."""
        ...

    @property
    def expected(self) -> int | None:
        """About how many frames will come, for a progress bar; None where the container does not say."""
        ...

    def names(self, count: int) -> list[str] | None:
        """File names of the first ``count`` frames; None for a video file."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """The frames.

        Raises:
            UserError: a frame cannot be read, or is not of the first one's size.
        """
        ...


@dataclass(frozen=True, slots=True)
class Pictures:
    """Picture files as the frames of a video, or one of them as a picture."""

    path: Path
    files: tuple[Path, ...]
    kind: Literal["video", "picture"] = "video"
    fps: float = FOLDER_FPS
    every: int = 1

    @property
    def expected(self) -> int:
        """How many frames come."""
        return len(self.files)

    def names(self, count: int) -> list[str]:
        """File names of the first ``count`` frames."""
        return [file.name for file in self.files[:count]]

    def __iter__(self) -> Iterator[Frame]:
        """The pictures, turned upright as their EXIF says."""
        first: tuple[int, int] | None = None
        for file in self.files:
            frame = read_picture(file)
            first = first or _size(frame)
            if _size(frame) != first:
                raise UserError(
                    f"{file} is {_text(_size(frame))} pixels, but the first frame, {self.files[0].name}, is "
                    f"{_text(first)}",
                    "a folder of frames is one video: put pictures of other sizes elsewhere",
                )
            yield frame


@dataclass(frozen=True, slots=True)
class VideoFile:
    """The first video stream of a file, decoded by PyAV and turned upright as its display matrix says.

    Frames come in the order of display, whatever their time stamps; non-square pixels are left as they are.
    """

    path: Path
    fps: float
    every: int = 1
    expected: int | None = None
    kind: Literal["video"] = "video"

    def names(self, count: int) -> list[str] | None:  # noqa: ARG002 - a video file's frames have no names
        """None: frames of a file have numbers only."""
        return None

    def __iter__(self) -> Iterator[Frame]:
        """The frames."""
        import av

        number = -1
        first: tuple[int, int] | None = None
        try:
            with _open(self.path) as container:
                for number, decoded in enumerate(container.decode(video=0)):
                    if number % self.every:
                        continue
                    frame = _upright(decoded.to_ndarray(format="rgb24"), decoded.rotation)
                    first = first or _size(frame)
                    if _size(frame) != first:
                        what = f"{self.path} changes from {_text(first)} to {_text(_size(frame))} at frame {number}"
                        raise UserError(what, "convert it to one size first: ffmpeg -i IN -vf scale=W:H OUT.mp4")
                    yield frame
        except av.FFmpegError as error:
            raise UserError(
                f"{self.path} is damaged at frame {number + 1} ({error.strerror})",
                "keep what can be read (ffmpeg -i IN OUT.mp4) and predict on that",
            ) from error
        if first is None:
            raise UserError(f"{self.path} has no frames", "give a file that a video player shows")


def open_frames(path: Path, *, every: int = 1, fps: float | None = None) -> FrameSource:
    """The source of frames that ``path`` is: a folder, a picture by its suffix, else a video file.

    Args:
        every: give one frame of so many; the speed of the annotated video stays that of the input.
        fps: frames a second of the input, instead of what the file says.

    Raises:
        MissingFile: there is nothing at ``path``.
        UserError: it holds no pictures or is no video, or ``every`` or ``fps`` is not positive.
    """
    if every < 1:
        raise UserError(f"--every {every} is not a number of frames", "give 1 or more")
    if fps is not None and not 0 < fps <= _FASTEST:
        raise UserError(f"--fps {fps:g} is not between 0 and {_FASTEST:g}", "give frames a second")
    if path.is_dir():
        return _folder(path, every, fps)
    if not path.is_file():
        raise MissingFile(path, "give a video file, a folder of frames or a picture")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes)", "copy or download it again")
    if path.suffix.lower() in PICTURES:
        return Pictures(path, (path,), kind="picture", fps=1.0)
    return _video(path, every, fps)


def read_picture(path: Path) -> Frame:
    """A picture file as 8-bit RGB, upright; 16-bit grey is scaled, transparency lies on black.

    Raises:
        UserError: it is no picture, or only a part of one.
    """
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):
                return np.repeat((np.asarray(upright, np.int64) >> 8).clip(0, 255).astype(np.uint8)[..., None], 3, 2)
            if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
                laid = upright.convert("RGBA")
                upright = Image.alpha_composite(Image.new("RGBA", laid.size, (0, 0, 0, 255)), laid)
            return np.asarray(upright.convert("RGB"))
    except FileNotFoundError as error:
        raise MissingFile(path, "give a picture that exists") from error
    except UnidentifiedImageError as error:
        raise UserError(f"{path} is not a picture", f"give one of {', '.join(PICTURES)}") from error
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be decoded ({error})", "copy or download it again") from error


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts ``frame9`` before ``frame10``, whatever the case."""
    parts = re.split(r"(\d+)", name.lower())
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in parts if part]


def _folder(path: Path, every: int, fps: float | None) -> Pictures:
    files = [f for f in path.iterdir() if f.suffix.lower() in PICTURES and not f.name.startswith(".") and f.is_file()]
    if not files:
        raise UserError(f"{path} holds no pictures", f"give a folder of frames ({', '.join(PICTURES)})")
    files.sort(key=lambda file: (natural(file.name), file.name))
    return Pictures(path, tuple(files[::every]), fps=(fps or FOLDER_FPS) / every, every=every)


def _video(path: Path, every: int, fps: float | None) -> VideoFile:
    import_av(path)
    import av

    try:
        with _open(path) as container:
            stream = container.streams.video[0]
            rate: Fraction | None = stream.average_rate or stream.guessed_rate
            said = stream.frames or 0
    except av.FFmpegError as error:
        what = f"{path} is not a video that can be read ({error.strerror})"
        raise UserError(what, "check that a player shows it, or copy it again") from error
    known = float(rate) if rate else 0.0
    speed = fps or (known if 0 < known <= _FASTEST else _NO_CLOCK)
    return VideoFile(path, speed / every, every, -(-said // every) or None)


def import_av(path: Path) -> None:
    """Make sure that PyAV is here.

    Raises:
        UserError: it is not installed.
    """
    try:
        import av  # noqa: F401 - only whether it is there
    except ModuleNotFoundError as error:
        raise UserError(f"{path.name} needs PyAV", "pip install av") from error


def _open(path: Path) -> Any:
    """A container with a video stream.

    Raises:
        UserError: it has none.
    """
    import av

    container = av.open(str(path))
    if container.format.name in _TEXT_DEMUXERS or not container.streams.video:
        container.close()
        raise UserError(f"{path} has no video in it", "give a video file, a folder of frames or a picture")
    container.streams.video[0].thread_type = "AUTO"
    return container


def _upright(frame: Frame, rotation: int) -> Frame:
    """The frame turned counter-clockwise by ``rotation`` degrees, to the nearest quarter."""
    turns = round(rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(frame, turns)) if turns else frame


def _size(frame: Frame) -> tuple[int, int]:
    return frame.shape[0], frame.shape[1]


def _text(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
