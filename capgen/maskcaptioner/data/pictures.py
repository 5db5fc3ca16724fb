"""Frames and masks of a medium from disk, no larger than they are needed; optionally kept decoded.

JPEGs are decoded at a half, a quarter or an eighth where that is still large enough: the decoder then skips most of
its work. A cache holds what was decoded as plain memory-mapped bytes, which the system keeps in RAM while it can.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from capgen import rle
from capgen.dataset.files import part_of
from capgen.errors import MissingFile, UserError
from capgen.maskcaptioner.data.release_rows import Medium, Picture

Size = tuple[int, int]
Bitmap = NDArray[np.bool_]
_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame [H, W, 3] and its masks [H', W'] by number of the masklet; both may be smaller than the medium."""

    picture: Picture
    masks: Mapping[int, Bitmap]


def read_frames(medium: Medium, indices: Sequence[int], least: Size) -> list[Picture]:
    """Frames by index, each once, at least ``least`` (height, width) large or as large as they are.

    Raises:
        MissingFile: a picture is not there.
        UserError: a picture is damaged, or is of another size than the release says.
    """
    wanted = sorted(set(indices))
    if medium.frames is not None:
        found = dict(zip(wanted, medium.frames(wanted, least), strict=True))
    else:
        found = {index: _read(medium, index, least) for index in wanted}
    return [found[index] for index in indices]


def _read(medium: Medium, index: int, least: Size) -> Picture:
    source = medium.files[index]
    name = medium.names[index] if index < len(medium.names) else f"frame {index}"
    try:
        with Image.open(
            io.BytesIO(source) if isinstance(source, bytes) else _path(medium, source), formats=_FORMATS
        ) as image:
            turned = image.size != (medium.width, medium.height)
            if not turned:
                image.draft("RGB", (least[1], least[0]))
            picture = np.asarray((ImageOps.exif_transpose(image) if turned else image).convert("RGB"))
    except FileNotFoundError as error:
        raise MissingFile(
            f"{medium.root}/{name}",
            "say where the pictures are with --set data.pictures=DIR, or capgen run --embed-media",
        ) from error
    except (OSError, ValueError, SyntaxError) as error:
        raise UserError(f"{name} of {medium.key} is damaged or not a picture", "restore it") from error
    if turned and picture.shape[:2] != (medium.height, medium.width):
        raise UserError(
            f"{name} of {medium.key} is {picture.shape[1]} x {picture.shape[0]} pixels, the release says "
            f"{medium.width} x {medium.height}",
            "check that data.pictures is the folder that was captioned",
        )
    return picture


def _path(medium: Medium, name: str) -> Path:
    relative = PurePosixPath(name)
    if medium.root is None or relative.is_absolute() or ".." in relative.parts:
        raise MissingFile(
            f"the pictures of {medium.key} ({name})",
            "say where they are with --set data.pictures=DIR, or capgen run --embed-media",
        )
    return Path(medium.root, *relative.parts)


def bitmaps(medium: Medium, index: int) -> dict[int, Bitmap]:
    """The masks of a frame [H, W] by number of the masklet."""
    size = medium.height, medium.width
    return {
        i: rle.decode(masklet.counts[index], size)
        for i, masklet in enumerate(medium.masklets)
        if index in masklet.counts
    }


@dataclass(frozen=True, slots=True)
class Reader:
    """Frames with their masks; ``cache`` is a folder for decoded ones, None decodes every time."""

    cache: Path | None = None

    def __call__(self, medium: Medium, indices: Sequence[int], least: Size, keep: Size) -> list[Frame]:
        """Frames by index.

        Args:
            least: the size that is needed now.
            keep: the size that may be needed another time; what is cached has it, or the medium's if that is smaller.
        """
        if self.cache is None:
            pictures = read_frames(medium, indices, least)
            return [Frame(picture, bitmaps(medium, i)) for picture, i in zip(pictures, indices, strict=True)]
        return [self._cached(self.cache, medium, index, keep) for index in indices]

    def _cached(self, folder: Path, medium: Medium, index: int, keep: Size) -> Frame:
        shrink = min(1.0, max(keep[0] / medium.height, keep[1] / medium.width))
        size = max(1, round(medium.height * shrink)), max(1, round(medium.width * shrink))
        numbers = [i for i, masklet in enumerate(medium.masklets) if index in masklet.counts]
        # the masks are part of the name: a release that was made again is another cache
        marks = "".join(medium.masklets[i].counts[index] for i in numbers)
        name = hashlib.sha256(f"{medium.root}|{medium.key}|{index}|{size}|{marks}".encode()).hexdigest()[:32]
        path = folder / name[:2] / f"{name}.npy"
        if not path.is_file():
            _store(path, self._small(medium, index, size))
        return _restore(np.load(path, mmap_mode="r"), size, numbers)

    @staticmethod
    def _small(medium: Medium, index: int, size: Size) -> Frame:
        picture = read_frames(medium, [index], size)[0]
        found = bitmaps(medium, index)
        if picture.shape[:2] != size:
            picture = np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if size != (medium.height, medium.width):
            found = {
                i: cv2.resize(mask.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.bool_)
                for i, mask in found.items()
            }
        return Frame(picture, found)


def _store(path: Path, frame: Frame) -> None:
    """One flat array: the picture's bytes, then the masks', a bit a pixel; whole or not at all."""
    packed = [np.packbits(frame.masks[i], axis=-1).ravel() for i in sorted(frame.masks)]
    flat = np.concatenate([frame.picture.ravel(), *packed])
    path.parent.mkdir(parents=True, exist_ok=True)
    part = part_of(path)
    with part.open("wb") as file:
        np.save(file, flat)
    part.replace(path)


def _restore(flat: NDArray[np.uint8], size: Size, numbers: Sequence[int]) -> Frame:
    height, width = size
    start, step = height * width * 3, height * (-(-width // 8))
    picture = np.array(flat[:start]).reshape(height, width, 3)
    found = {}
    for number, masklet in enumerate(numbers):
        bits = flat[start + number * step : start + (number + 1) * step].reshape(height, -1)
        found[masklet] = np.unpackbits(bits, axis=-1, count=width).view(np.bool_)
    return Frame(picture, found)
