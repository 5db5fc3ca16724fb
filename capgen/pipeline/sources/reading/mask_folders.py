"""Videos whose masks are picture files: a folder of masks a video, beside a folder of frames or a video file.

A video's folder holds a file a frame, whose samples are the objects' numbers, or a folder an object, whose files are
the object's masks. All files are read when planning, because only they say which objects there are; the plan keeps
names and values, and the masks are read again where the object is shown.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import cv2
import msgspec
import numpy as np

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Fault
from capgen.errors import UserError
from capgen.images import SUFFIXES, Labels, PictureFault, path_under, read_header, read_labels
from capgen.pipeline.sources.reading import common
from capgen.pipeline.sources.reading.frame_files import numbers_of_names
from capgen.pipeline.sources.reading.mask_files import MaskForm
from capgen.rle import Size
from capgen.videos import count_frames, natural, video_size
from capgen.videos.frames import VIDEO_SUFFIXES, frame_name

ShowOrDrop = Literal["show", "drop"]
BORDERS = (254, 255)
"""Indices that stand for a border to ignore in DAVIS, YouTube-VOS and VOC."""

_MASKS = (".png", ".bmp", ".tif", ".tiff", ".gif", ".pgm")
_MOST_OBJECTS = 1_000
_MOST_FRAMES = 100_000
_READERS = 4


@dataclass(frozen=True, slots=True)
class _Frames:
    """The frames of a video on disk: names relative to the root by stem, and their height and width."""

    names: Mapping[str, str]
    size: Size


@dataclass(frozen=True, slots=True)
class MaskFolders:
    """Videos below two folders, both relative to the root.

    Args:
        frames: holds a folder or a file (mp4, mkv, webm) a video.
        masks: holds a folder a video.
        unannotated: ``show`` makes frames without a mask file part of the video, where they are shown unmarked.
        ignore: indices that are no objects, unless a video has no others.
        bounds: the folder out of which no link may lead; None follows all links.
    """

    root: Path
    frames: str
    masks: str
    unannotated: ShowOrDrop
    ignore: tuple[int, ...] = BORDERS
    bounds: Path | None = None

    def videos(self) -> list[str]:
        """The videos that have masks, in natural order."""
        return folders_in(self.root / self.masks)

    def files(self) -> Iterator[Path]:
        """Every mask file, in order."""
        for video in self.videos():
            folder = self.root / self.masks / video
            for inner in ("", *folders_in(folder)):
                yield from (folder / inner / name for name in files_in(folder / inner, _MASKS))

    def medium(self, media: PlannedMedia, video: str, categories: Mapping[str, str]) -> PlannedMedia:
        """A video with its objects.

        Args:
            media: the medium, of which nothing is known yet but its name.
            categories: by object, as far as the dataset has them.
        """
        folder = f"{self.masks}/{video}"
        by_object = {name: self._by_stem(f"{folder}/{name}") for name in folders_in(self.root / folder)}
        whole = self._by_stem(folder)
        stems = sorted({*whole, *(stem for files in by_object.values() for stem in files)}, key=natural)
        found = self._frames(video, stems)
        if isinstance(found, Fault):
            return msgspec.structs.replace(media, objects=(faulty("no-id", found),))
        order = sorted(found.names, key=natural)
        media = msgspec.structs.replace(
            media,
            file_names=tuple(found.names[stem] for stem in order),
            width=found.size[1],
            height=found.size[0],
        )
        objects = self._indexed(whole, order)
        objects += [
            (name, [_reference(files.get(stem), 1, "binary") for stem in order]) for name, files in by_object.items()
        ]
        return msgspec.structs.replace(
            media, objects=tuple(_planned(name, frames, categories) for name, frames in objects)
        )

    def _by_stem(self, folder: str) -> dict[str, str]:
        return {name.rpartition(".")[0]: f"{folder}/{name}" for name in files_in(self.root / folder, _MASKS)}

    def _frames(self, video: str, masked: Sequence[str]) -> _Frames | Fault:
        folder = self.root / self.frames / video
        names = {name.rpartition(".")[0]: f"{self.frames}/{video}/{name}" for name in files_in(folder, SUFFIXES)}
        try:
            if not names:
                return self._of_file(video, masked)
            size = read_header(path_under(self.root, next(iter(names.values())), self.bounds)).size
        except PictureFault as fault:
            return Fault(fault.reason, fault.message)
        except UserError as error:
            return Fault("picture_unreadable", error.what)
        suffix = next(iter(names.values())).rpartition(".")[2]
        missing = {stem: f"{self.frames}/{video}/{stem}.{suffix}" for stem in masked if stem not in names}
        kept = names if self.unannotated == "show" else {stem: names[stem] for stem in masked if stem in names}
        return _Frames(kept | missing, size)

    def _of_file(self, video: str, masked: Sequence[str]) -> _Frames | Fault:
        """Frames of a video file, by the numbers in the masks' names.

        Raises:
            PictureFault: the file is a link out of the bounds.
            UserError: it is damaged.
        """
        files = (f"{self.frames}/{video}{suffix}" for suffix in VIDEO_SUFFIXES)
        file = next((file for file in files if (self.root / file).is_file()), None)
        if file is None:
            return Fault("picture_missing", f"no frames in {self.frames}/{video}/, and no video file of that name")
        numbers = numbers_of_names(masked) if masked else ()
        if isinstance(numbers, Fault):
            return numbers
        path = path_under(self.root, file, self.bounds)
        size = video_size(path)
        names = {stem: frame_name(file, number) for stem, number in zip(masked, numbers, strict=True)}
        if self.unannotated == "show":
            rest = set(range(min(count_frames(path), _MOST_FRAMES))) - set(numbers)
            first = min(
                (int(stem) - number for stem, number in zip(masked, numbers, strict=True) if stem.isdecimal()),
                default=0,
            )
            width = len(masked[0]) if masked else 5
            names |= {f"{number + first:0{width}d}": frame_name(file, number) for number in rest}
        return _Frames(names, size)

    def _indexed(self, files: Mapping[str, str], order: Sequence[str]) -> list[tuple[str, list[msgspec.Raw]]]:
        """Objects of files whose samples are the objects' numbers."""
        present = [stem for stem in order if stem in files]
        with ThreadPoolExecutor(_READERS, thread_name_prefix="masks") as pool:
            read = pool.map(partial(values_of, self.root, self.bounds), (files[stem] for stem in present))
            found = dict(zip(present, read, strict=True))
        numbers = objects_among((values for values in found.values() if values is not None), self.ignore)
        if len(numbers) > _MOST_OBJECTS:
            return [("no-id", [])]
        unreadable = {stem for stem, values in found.items() if values is None}
        return [
            (
                object_name(number, numbers),
                [
                    _reference(files[stem], number, "index")
                    if stem in unreadable or number in (found.get(stem) or ())
                    else _reference(None, 0, "index")
                    for stem in order
                ],
            )
            for number in numbers
        ]


def values_of(root: Path, bounds: Path | None, file: str) -> frozenset[int] | None:
    """The labels in a mask file; None where it cannot be read, or is a link out of the bounds."""
    try:
        return frozenset(labels_in(read_labels(path_under(root, file, bounds), size=None)))
    except PictureFault:
        return None


def labels_in(labels: Labels) -> list[int]:
    """The labels that occur, 0 left out, in order."""
    if int(labels.max(initial=0)) < 256:  # nearly always, and ten times as fast
        occurring = np.flatnonzero(cv2.calcHist([labels.astype(np.uint8)], [0], None, [256], [0, 256]))
    else:
        occurring = np.unique(labels)
    found: list[int] = occurring[occurring != 0].tolist()
    return found


def objects_among(values: Iterator[frozenset[int]], ignore: Sequence[int]) -> list[int]:
    """The labels of objects among those that occur: borders are none, unless there is nothing else."""
    every = sorted(frozenset[int]().union(*values))
    objects = [value for value in every if value not in ignore]
    return objects or every[-1:]


def object_name(number: int, numbers: Sequence[int]) -> str:
    """What an object is called: its label, and ``1`` for the 255 of a binary mask."""
    return "1" if list(numbers) == [255] else str(number)


def _reference(file: str | None, value: int, form: MaskForm) -> msgspec.Raw:
    mask = None if file is None else {"png": file, "value": value, "form": form}
    return msgspec.Raw(msgspec.json.encode(mask))


def _planned(name: str, frames: list[msgspec.Raw], categories: Mapping[str, str]) -> PlannedObject:
    if not frames:
        return faulty(name, Fault("bad_mask", f"the masks hold more than {_MOST_OBJECTS} values: they are no labels"))
    category = categories.get(name) or categories.get(name.lstrip("0"))
    return PlannedObject(object_id=name, category=category, segmentation=msgspec.Raw(msgspec.json.encode(frames)))


def faulty(name: str, fault: Fault) -> PlannedObject:
    """An object of which only what is wrong is known."""
    return PlannedObject(object_id=name, reason=fault.reason, message=fault.message)


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, in natural order; none where there is no such folder."""
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir() and _usable(entry.name)]
    except OSError:
        return []
    return sorted(names, key=lambda name: (natural(name), name))


def files_in(folder: Path, suffixes: Sequence[str]) -> list[str]:
    """Names of the files with one of the suffixes, in natural order; none where there is no such folder."""
    try:
        names = [
            entry.name
            for entry in os.scandir(folder)
            if entry.name.lower().endswith(tuple(suffixes)) and _usable(entry.name)
        ]
    except OSError:
        return []
    return sorted(names, key=lambda name: (natural(name), name))


def _usable(name: str) -> bool:
    return not name.startswith(".") and common.safe_name(name) == name


def media_name(name: str) -> str:
    """A file or folder's name as it can stand in a key."""
    plain = "".join(c if c.isalnum() or c in "_.:@+~-" else "_" for c in name)[:100]
    return plain or "_"
