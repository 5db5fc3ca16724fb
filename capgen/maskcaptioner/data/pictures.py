"""Frames and masks of a medium from disk, no larger than they are needed; optionally kept decoded.

JPEGs are decoded at a half, a quarter or an eighth where that is still large enough: the decoder then skips most of
its work. A cache holds what was decoded as plain memory-mapped bytes, which the system keeps in RAM while it can.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.lib.format import open_memmap
from numpy.typing import NDArray

from capgen import rle
from capgen.dataset.files import part_of, telling_disk_trouble
from capgen.errors import MissingFile, UserError
from capgen.images import PictureFault, Pixels, read_picture
from capgen.maskcaptioner.data.release_rows import Medium
from capgen.rle import Size
from capgen.videos import frames as capgen_frames

Bitmap = NDArray[np.bool_]
_PICTURES = "say where the pictures are with --set data.pictures=DIR, or capgen run --embed media"


@dataclass(frozen=True, slots=True)
class MaskedFrame:
    """One frame [H, W, 3] and its masks [H', W'] by number of the masklet; both may be smaller than the medium."""

    picture: Pixels
    masks: Mapping[int, Bitmap]


def read_frames(medium: Medium, indices: Sequence[int], least: Size) -> list[Pixels]:
    """Frames by index, each once, at least ``least`` (height, width) large or as large as they are.

    Raises:
        MissingFile: a picture is not there.
        UserError: a picture is damaged, or is of another size than the release says.
    """
    wanted = sorted(set(indices))
    if medium.frames is not None:
        found = dict(zip(wanted, medium.frames(wanted, least), strict=True))
    else:
        found = _of_files(medium, wanted, least)
    return [found[index] for index in indices]


def _of_files(medium: Medium, wanted: Sequence[int], least: Size) -> dict[int, Pixels]:
    """Frames out of the release or from disk; a video file is decoded once for all that are wanted of it."""
    size = medium.height, medium.width
    found: dict[int, Pixels | PictureFault] = {}
    on_disk: dict[str, list[int]] = {}
    for index in wanted:
        source = medium.files[index]
        if isinstance(source, bytes):
            found[index] = _stored(medium, index, source, least)
        else:
            on_disk.setdefault(source, []).append(index)
    if on_disk and medium.root is None:
        raise MissingFile(f"the pictures of {medium.key}/{_name(medium, wanted[0])}", _PICTURES)
    for name, pixels in capgen_frames.read_frames(
        medium.root or "", list(on_disk), size=size, bounds=medium.bounds, least=least
    ):
        found.update(dict.fromkeys(on_disk[name], pixels))
    return {index: _sound(medium, index, found[index]) for index in wanted}


def _stored(medium: Medium, index: int, data: bytes, least: Size) -> Pixels | PictureFault:
    try:
        return read_picture(data, size=(medium.height, medium.width), least=least, name=_name(medium, index))
    except PictureFault as fault:
        return fault


def _sound(medium: Medium, index: int, found: Pixels | PictureFault) -> Pixels:
    if isinstance(found, PictureFault):
        raise _error(medium, index, found) from found
    return found


def _name(medium: Medium, index: int) -> str:
    return medium.names[index] if index < len(medium.names) else f"frame {index}"


def _error(medium: Medium, index: int, fault: PictureFault) -> UserError:
    if fault.reason == "picture_missing":
        return MissingFile(f"{medium.root}/{_name(medium, index)}", _PICTURES)
    remedy = "restore it"
    if fault.reason == "bad_path":
        remedy = "put the file itself there, or take another copy of the release"
    if fault.reason == "picture_size":
        remedy = "check that data.pictures is the folder that was captioned"
    return UserError(f"a picture of {medium.key} cannot be used: {fault.message}", remedy)


def bitmaps(medium: Medium, index: int) -> dict[int, Bitmap]:
    """The masks of a frame [H, W] by number of the masklet.

    Raises:
        UserError: run lengths of the release are damaged.
    """
    size = medium.height, medium.width
    counts = {i: masklet.counts[index] for i, masklet in enumerate(medium.masklets) if index in masklet.counts}
    covered = rle.covered_pixels([text.encode("utf-8", "replace") for text in counts.values()])
    if (covered != size[0] * size[1]).any():
        what = f"a mask of {medium.key} on frame {index} is damaged: its run lengths do not cover the picture"
        raise UserError(what, "make the release again, or take another copy of it")
    return {i: rle.decode(text, size) for i, text in counts.items()}


@dataclass(frozen=True, slots=True)
class FrameReader:
    """Frames with their masks; ``cache`` is a folder for decoded ones, None decodes every time."""

    cache: Path | None = None

    def __call__(self, medium: Medium, indices: Sequence[int], least: Size, keep: Size) -> list[MaskedFrame]:
        """Frames by index.

        Args:
            least: the size that is needed now.
            keep: the size that may be needed another time; what is cached has it, or the medium's if that is smaller.
        """
        if self.cache is None:
            pictures = read_frames(medium, indices, least)
            return [MaskedFrame(picture, bitmaps(medium, i)) for picture, i in zip(pictures, indices, strict=True)]
        return [self._cached(self.cache, medium, index, keep) for index in indices]

    def _cached(self, folder: Path, medium: Medium, index: int, keep: Size) -> MaskedFrame:
        shrink = min(1.0, max(keep[0] / medium.height, keep[1] / medium.width))
        size = max(1, round(medium.height * shrink)), max(1, round(medium.width * shrink))
        numbers = [i for i, masklet in enumerate(medium.masklets) if index in masklet.counts]
        # the masks are part of the name: a release that was made again is another cache
        marks = "".join(medium.masklets[i].counts[index] for i in numbers)
        name = hashlib.sha256(f"{medium.root}|{medium.key}|{index}|{size}|{marks}".encode()).hexdigest()[:32]
        path = folder / name[:2] / f"{name}.npy"
        try:
            return _restore(_mapped(path), size, numbers)
        except (OSError, ValueError, EOFError):  # not there, damaged or somebody else's
            _store(path, self._small(medium, index, size))
        return _restore(_mapped(path), size, numbers)

    @staticmethod
    def _small(medium: Medium, index: int, size: Size) -> MaskedFrame:
        picture = read_frames(medium, [index], size)[0]
        found = bitmaps(medium, index)
        if picture.shape[:2] != size:
            picture = np.asarray(cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)
        if size != (medium.height, medium.width):
            found = {
                i: cv2.resize(mask.view(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST).astype(np.bool_)
                for i, mask in found.items()
            }
        return MaskedFrame(picture, found)


def _store(path: Path, frame: MaskedFrame) -> None:
    """One flat array: the picture's bytes, then the masks', a bit a pixel; whole or not at all."""
    packed = [np.packbits(frame.masks[i], axis=-1).ravel() for i in sorted(frame.masks)]
    flat = np.concatenate([frame.picture.ravel(), *packed])
    part = part_of(path)
    try:
        with telling_disk_trouble(path.parent):
            path.parent.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as file:
                np.save(file, flat)
            part.replace(path)  # not synced: what a power cut takes is made again
    finally:
        part.unlink(missing_ok=True)


def _mapped(path: Path) -> NDArray[np.uint8]:
    """The array of a file, memory-mapped; no other kind of file is opened."""
    found: NDArray[np.uint8] = open_memmap(path, mode="r")  # type: ignore[no-untyped-call]
    return found


def _restore(flat: NDArray[np.uint8], size: Size, numbers: Sequence[int]) -> MaskedFrame:
    height, width = size
    start, step = height * width * 3, height * (-(-width // 8))
    if flat.dtype != np.uint8 or flat.shape != (start + step * len(numbers),):
        raise ValueError("not an array that was stored for this frame")
    picture = np.array(flat[:start]).reshape(height, width, 3)
    found = {}
    for number, masklet in enumerate(numbers):
        bits = flat[start + number * step : start + (number + 1) * step].reshape(height, -1)
        found[masklet] = np.unpackbits(bits, axis=-1, count=width).view(np.bool_)
    return MaskedFrame(picture, found)
