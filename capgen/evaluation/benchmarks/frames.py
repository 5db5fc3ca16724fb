"""The pictures of a benchmark's video, from a folder or from a video file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from capgen.errors import MissingFile, UserError
from capgen.images import SUFFIXES, PictureFault, Pixels, path_under, read_picture
from capgen.rle import Size
from capgen.videos import read_video


def stated(size: Size) -> Size | None:
    """The size that annotations declare, None for the 0, 0 of those that declare none."""
    return size if all(size) else None


def numbered(folder: Path) -> dict[int, str]:
    """The pictures of a folder whose names are numbers, by number; what else lies there is no frame."""
    files = [path for path in folder.glob("*.*") if path.suffix.lower() in SUFFIXES and path.stem.isdecimal()]
    return {int(path.stem): path.name for path in sorted(files)}


class NumberedFrames(Protocol):
    """Where the frames of one video are."""

    def read(self, numbers: Sequence[int]) -> Iterator[Pixels]:
        """The frames of those numbers, which ascend, as uint8 RGB [H, W, 3].

        Raises:
            UserError: a frame is missing or cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class FrameFolder:
    """Frames as picture files.

    Args:
        names: the file of each frame number, under ``root``.
        size: height, width that the annotations declare; None turns pictures upright as their EXIF says.
    """

    root: Path
    names: Mapping[int, str]
    remedy: str = "check --root"
    size: Size | None = None

    def read(self, numbers: Sequence[int]) -> Iterator[Pixels]:
        """The frames of those numbers.

        Raises:
            UserError: a frame is missing or no picture, or of another size than the annotations say.
        """
        for number in numbers:
            if number not in self.names:
                raise UserError(f"{self.root} has no frame {number}", self.remedy)
            name = self.names[number]
            try:
                yield read_picture(path_under(self.root, name), size=self.size, name=name)
            except PictureFault as fault:
                if fault.reason == "picture_missing":
                    raise MissingFile(self.root / name, self.remedy) from fault
                raise UserError(f"{self.root}: {fault.message}", self.remedy) from fault


@dataclass(frozen=True, slots=True)
class FrameVideo:
    """Frames of a video file, decoded in order; frame 0 is the first that decodes.

    Args:
        size: height, width that the annotations declare: frames are upright unless only those as stored have it.
    """

    path: Path
    remedy: str = "check --root"
    size: Size | None = None

    def read(self, numbers: Sequence[int]) -> Iterator[Pixels]:
        """The frames of those numbers.

        Raises:
            UserError: PyAV is missing, or the file is missing, damaged, or shorter than its annotation.
        """
        if not self.path.is_file():
            raise MissingFile(self.path, self.remedy)
        wanted = iter(numbers)
        number = next(wanted, None)
        if number is None:
            return
        for frame in read_video(self.path, size=self.size):
            if frame.number == number:
                yield frame.pixels()
                number = next(wanted, None)
                if number is None:
                    return
        raise UserError(f"{self.path} ends before its frame {number}", "download it again; the annotation has more")
