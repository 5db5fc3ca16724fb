"""The frames of a video file, of a folder of pictures, or of one picture: read in order, one in memory at a time.

An input can be walked more than once, since captions are known only after the last frame: the annotated video is made
on a second walk. Nothing is ever sought, so that both walks give the same frames.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from capgen.dataset.layout import picture_bounds
from capgen.encoding import leads_below
from capgen.errors import MissingFile, UserError
from capgen.images import SUFFIXES, PictureFault, Pixels, read_animation, read_header, read_picture
from capgen.rle import Size
from capgen.videos import frame_files, read_video, read_video_header

FOLDER_FPS = 6.0
"""Frames a second of a folder, which does not say: YouTube-VIS and its kin keep about six."""

_FASTEST = 240.0
_log = logging.getLogger(__name__)

Timed = tuple[float, Pixels]
"""A frame, and when it is shown: seconds after the first."""


class InputFrames(Protocol):
    """Frames that can be walked any number of times, all of one size."""

    @property
    def path(self) -> Path:
        """The input."""
        ...

    @property
    def kind(self) -> Literal["video", "picture"]:
        """A folder of pictures is a video, and so is an animated picture."""
        ...

    @property
    def fps(self) -> float:
        """The mean of the frames a second of what is given, every ``every``-th of the input's."""
        ...

    @property
    def every(self) -> int:
        """Every Nth frame of the input is given; N."""
        ...

    @property
    def expected(self) -> int | None:
        """About how many frames will come, for a progress bar; None where the container does not say."""
        ...

    @property
    def seconds(self) -> float | None:
        """About how long the input lasts; None where nothing says so."""
        ...

    def names(self, count: int) -> list[str] | None:
        """File names of the first ``count`` frames; None for frames of one file."""
        ...

    def __iter__(self) -> Iterator[Timed]:
        """The frames with their times, which ascend from 0.

        Raises:
            UserError: a frame cannot be read, or is not of the first one's size.
        """
        ...


@dataclass(frozen=True, slots=True)
class PictureFrames:
    """Picture files as the frames of a video, or one of them as a picture; upright as their EXIF says."""

    path: Path
    files: tuple[Path, ...]
    kind: Literal["video", "picture"] = "video"
    fps: float = FOLDER_FPS
    every: int = 1
    seconds: None = None

    @property
    def expected(self) -> int:
        """How many frames come."""
        return len(self.files)

    def names(self, count: int) -> list[str]:
        """File names of the first ``count`` frames."""
        return [file.name for file in self.files[:count]]

    def __iter__(self) -> Iterator[Timed]:
        """The pictures."""
        first: Size | None = None
        for number, file in enumerate(self.files):
            frame = _read(file)
            first = first or _size(frame)
            if _size(frame) != first:
                raise UserError(
                    f"{file} is {_text(_size(frame))} pixels, but the first frame, {self.files[0].name}, is "
                    f"{_text(first)}",
                    "a folder of frames is one video: put pictures of other sizes elsewhere",
                )
            yield number / self.fps, frame


@dataclass(frozen=True, slots=True)
class AnimationFrames:
    """The frames of an animated GIF, WebP, AVIF or PNG, or the pages of a TIFF.

    Args:
        clock: frames a second of the input instead of the file's own times; None keeps those.
    """

    path: Path
    fps: float
    expected: int
    every: int = 1
    clock: float | None = None
    kind: Literal["video"] = "video"
    seconds: None = None

    def names(self, count: int) -> list[str] | None:  # noqa: ARG002 - frames of one file have no names
        """None: frames of a file have numbers only."""
        return None

    def __iter__(self) -> Iterator[Timed]:
        """The frames."""
        try:
            for number, (seconds, frame) in enumerate(read_animation(self.path, name=str(self.path))):
                if number % self.every == 0:
                    yield (number / self.clock if self.clock else seconds), frame
        except PictureFault as fault:
            raise _error(self.path, fault) from fault


@dataclass(frozen=True, slots=True)
class VideoFrames:
    """The video of a file, turned upright as its display matrix says; non-square pixels are left as they are.

    Args:
        clock: frames a second of the input instead of the file's own times; None keeps those.
    """

    path: Path
    fps: float
    every: int = 1
    expected: int | None = None
    seconds: float | None = None
    clock: float | None = None
    kind: Literal["video"] = "video"

    def names(self, count: int) -> list[str] | None:  # noqa: ARG002 - a video file's frames have no names
        """None: frames of a file have numbers only."""
        return None

    def __iter__(self) -> Iterator[Timed]:
        """The frames."""
        first: Size | None = None
        damaged: list[int] = []
        for one in read_video(self.path):
            if one.damaged:
                damaged.append(one.number)
            if one.number % self.every:
                continue
            frame = one.pixels()
            first = first or _size(frame)
            if _size(frame) != first:
                what = f"{self.path} changes from {_text(first)} to {_text(_size(frame))} at frame {one.number}"
                raise UserError(what, "convert it to one size first: ffmpeg -i IN -vf scale=W:H OUT.mp4")
            yield (one.number / self.clock if self.clock else one.seconds), frame
        if damaged:
            _log.warning("%s: %d frames are damaged, the first is frame %d", self.path, len(damaged), damaged[0])


def open_frames(
    path: Path, *, every: int = 1, fps: float | None = None, follow_links: bool | None = None
) -> InputFrames:
    """The frames that ``path`` holds: of a folder, of a picture by its suffix, else of a video file.

    Args:
        every: use every Nth frame; the speed of the annotated video stays that of the input.
        fps: frames a second of the input, instead of what the file says.
        follow_links: whether frames may be links out of their folder; see ``picture_bounds``.

    Raises:
        MissingFile: there is nothing at ``path``.
        UserError: it holds no pictures or is no video, a link leads out of it, or ``every`` or ``fps`` is not positive.
    """
    if every < 1:
        raise UserError(f"--every {every} is not a number of frames", "give 1 or more")
    if fps is not None and not 0 < fps <= _FASTEST:
        raise UserError(f"--fps {fps:g} is not between 0 and {_FASTEST:g}", "give frames a second")
    if path.is_dir():
        bounds = picture_bounds(path, follow_links)
        return _folder(path, every, fps, bounds)
    if not path.exists():
        raise MissingFile(path, "give a video file, a folder of frames or a picture")
    _check_links([path], picture_bounds(path.parent, follow_links))
    if path.is_file() and path.stat().st_size == 0:
        raise UserError(f"{path} is empty (0 bytes)", "copy or download it again")
    if path.suffix.lower() in SUFFIXES:
        return _picture(path, every, fps)
    header = read_video_header(path)
    expected = None if header.frames is None else -(-header.frames // every)
    return VideoFrames(path, (fps or header.fps) / every, every, expected, None if fps else header.seconds, fps)


def _folder(path: Path, every: int, fps: float | None, bounds: Path | None) -> PictureFrames:
    files = frame_files(path)
    _check_links(files, bounds)
    if not files:
        raise UserError(f"{path} holds no pictures", f"give a folder of frames ({', '.join(SUFFIXES)})")
    return PictureFrames(path, tuple(files[::every]), fps=(fps or FOLDER_FPS) / every, every=every)


def _check_links(files: Iterable[Path], bounds: Path | None) -> None:
    """Refuse files of which one is a link that leads out of a folder; None allows all."""
    for file in files if bounds is not None else ():
        if not leads_below(file, bounds or file):
            raise UserError(f"{file} is a link that leads out of {bounds}", "allow such links with --follow-links")


def _picture(path: Path, every: int, fps: float | None) -> PictureFrames | AnimationFrames:
    """A still, or the frames of an animated file."""
    try:
        header = read_header(path, name=str(path))
    except PictureFault as fault:
        raise _error(path, fault) from fault
    if header.pages > header.frames:
        _log.warning("%s has %d pages of different sizes: only the first is used", path, header.pages)
    if header.frames == 1:
        return PictureFrames(path, (path,), kind="picture", fps=1.0)
    return AnimationFrames(path, (fps or header.fps) / every, -(-header.frames // every), every, fps)


def _read(path: Path) -> Pixels:
    try:
        return read_picture(path, name=str(path))
    except PictureFault as fault:
        raise _error(path, fault) from fault


def _error(path: Path, fault: PictureFault) -> UserError:
    if fault.reason == "picture_missing":
        return MissingFile(path, "give a picture that exists")
    return UserError(fault.message, "give a whole picture, or copy or download it again")


def _size(frame: Pixels) -> Size:
    return frame.shape[0], frame.shape[1]


def _text(size: Size) -> str:
    return f"{size[1]}x{size[0]}"
