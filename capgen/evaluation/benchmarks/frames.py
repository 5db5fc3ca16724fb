"""The pictures of a benchmark's video, from a folder or from a video file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from capgen.errors import MissingFile, UserError

Picture = NDArray[np.uint8]
"""uint8 [H, W, 3], red, green, blue."""


class FrameSource(Protocol):
    """Where the frames of one video are."""

    def read(self, numbers: Sequence[int]) -> Iterator[Picture]:
        """The frames of those numbers, which ascend.

        Raises:
            UserError: a frame is missing or cannot be decoded.
        """
        ...


@dataclass(frozen=True, slots=True)
class Folder:
    """Frames as picture files; ``names`` gives the file of each frame number."""

    root: Path
    names: Mapping[int, str]
    remedy: str = "check --root"

    def read(self, numbers: Sequence[int]) -> Iterator[Picture]:
        """The frames of those numbers.

        Raises:
            UserError: a frame is missing or no picture.
        """
        import cv2

        for number in numbers:
            if number not in self.names:
                raise UserError(f"{self.root} has no frame {number}", self.remedy)
            path = self.root / self.names[number]
            picture: Any = cv2.imread(str(path))
            if picture is None:
                raise MissingFile(path, self.remedy)
            yield np.ascontiguousarray(picture[:, :, ::-1])


@dataclass(frozen=True, slots=True)
class VideoFile:
    """Frames of a video file, decoded in order through PyAV; frame 0 is the first that decodes."""

    path: Path
    remedy: str = "check --root"

    def read(self, numbers: Sequence[int]) -> Iterator[Picture]:
        """The frames of those numbers.

        Raises:
            UserError: PyAV is missing, or the file is missing, damaged, or shorter than its annotation.
        """
        try:
            import av
        except ModuleNotFoundError as error:
            raise UserError(f"{self.path.name} needs PyAV to be decoded", "pip install av") from error
        if not self.path.is_file():
            raise MissingFile(self.path, self.remedy)
        wanted = iter(numbers)
        number = next(wanted, None)
        try:
            with av.open(str(self.path)) as container:
                for decoded, frame in enumerate(container.decode(video=0)):
                    if number is None:
                        return
                    if decoded == number:
                        yield np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
                        number = next(wanted, None)
        except av.FFmpegError as error:
            raise UserError(f"{self.path} cannot be decoded ({error})", "download it again") from error
        if number is not None:
            raise UserError(f"{self.path} ends before its frame {number}", "download it again; the annotation has more")
