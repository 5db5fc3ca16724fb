"""SA-V: train as mp4 files with JSON masklets at a quarter of the frames, val and test as frames and mask PNGs.

What it is known for: sizes as floats, no categories, manual and automatic masklets in files of their own, masks on
every fourth frame, objects that overlap, and run lengths without pixels where an object is not visible.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Fault
from capgen.errors import MissingFile, UnknownName, UserError
from capgen.images import PictureFault, path_under
from capgen.pipeline.sources.reading import common, mask_folders
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.mask_folders import MaskFolders, faulty, files_in, folders_in, media_name
from capgen.pipeline.sources.reading.planner import Names
from capgen.videos.frames import frame_name

_STEP = 4
"""Masks are on every fourth frame: 6 of 24 a second."""
_FRAMES, _MASKS = "JPEGImages_24fps", "Annotations_6fps"
_JSON = re.compile(r"(.+)_(manual|auto)\.json")
_KINDS = {"manual": ("manual",), "auto": ("auto",), "both": ("manual", "auto")}
_MAX_BYTES = 2**30
_DEPTH = 3
_PART_VIDEOS = 500


class _MaskletFile(msgspec.Struct):
    video_frame_count: Any = None
    video_height: Any = None
    video_width: Any = None
    masklet: list[list[msgspec.Raw]] = []
    masklet_id: list[Any] = []


@dataclass(frozen=True, slots=True)
class SaV:
    """Every masklet of SA-V. Source: Ravi et al., arXiv:2408.00714, ai.meta.com/datasets/segment-anything-video.

    Args:
        root: holds ``sav_000001.mp4`` beside ``sav_000001_manual.json`` and ``_auto.json``, itself or up to three
            folders deep, or ``JPEGImages_24fps/`` and ``Annotations_6fps/``, itself or in ``sav_val/``, ``sav_test/``.
        split: ``train``, ``val``, ``test`` with commas, or ``all`` that are there.
        masklets: ``manual``, ``auto``, or ``both``; of train alone.
        unannotated: ``drop`` makes the annotated frames the video, ``show`` all of them, the others unmarked.
        bounds: see ``Source``.
    """

    root: Path
    split: str = "all"
    dataset: str = "sa-v"
    masklets: Literal["manual", "auto", "both"] = "manual"
    unannotated: mask_folders.ShowOrDrop = "drop"
    bounds: Path | None = None

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        try:
            return [folder_of or split for split, folder_of in SaV(folder.root)._splits()]
        except UserError:
            return []

    @property
    def files(self) -> tuple[Path, ...]:
        """None: what counts is ``listing``."""
        return ()

    def listing(self) -> Iterator[Path]:
        """The JSON files and the mask files."""
        for split, folder in self._splits():
            if split == "train":
                yield from (self.root / name for files in self._videos().values() for name in files.values())
            else:
                yield from self._folders(folder).files()

    def scan(self) -> Iterator[PlannedMedia]:
        """Every video with its masklets, split by split.

        Raises:
            UserError: there is nothing of SA-V, or not the split that is asked for.
        """
        for split, folder in self._splits():
            yield from self.scan_train(self._videos()) if split == "train" else self.scan_masks(split, folder)

    def parts(self) -> list[SomeVideos]:
        """Some hundred videos of train each, and the other splits.

        Raises:
            UserError: there is nothing of SA-V, or not the split that is asked for.
        """
        found = []
        for split, folder in self._splits():
            videos = list(self._videos().items()) if split == "train" else []
            starts = range(0, len(videos), _PART_VIDEOS) if split == "train" else [0]
            found += [SomeVideos(self, split, folder, tuple(videos[at : at + _PART_VIDEOS])) for at in starts]
        return found

    def scan_train(self, videos: Mapping[str, dict[str, str]]) -> Iterator[PlannedMedia]:
        """Videos of train: by path without a suffix, their JSON files by kind."""
        names = Names()
        for video, files in videos.items():
            yield self._of_json(self._blank("train", names.claim(media_name(Path(video).name))), video, files)

    def scan_masks(self, split: str, folder: str) -> Iterator[PlannedMedia]:
        """The videos of val or test."""
        names = Names()
        folders = self._folders(folder)
        for video in folders.videos():
            yield folders.medium(self._blank(split, names.claim(media_name(video))), video, {})

    def _blank(self, split: str, name: str) -> PlannedMedia:
        return PlannedMedia(
            dataset=self.dataset, split=split, media_id=name, kind="video", file_names=(), width=0, height=0
        )

    def _folders(self, folder: str) -> MaskFolders:
        prefix = f"{folder}/" if folder else ""
        place = (f"{prefix}{_FRAMES}", f"{prefix}{_MASKS}")
        return MaskFolders(self.root, *place, self.unannotated, bounds=self.bounds)

    def _splits(self) -> list[tuple[str, str]]:
        """Splits with their folders, relative to the root.

        Raises:
            UserError: there are none, or not the one that is asked for.
        """
        if not self.root.is_dir():
            raise MissingFile(self.root, "--root must name the folder that holds the dataset")
        there = {"train": ""} if self._videos() else {}
        for folder in ("", *folders_in(self.root)):
            if (self.root / folder / _MASKS).is_dir():
                there[_split_of(folder or self.root.name)] = folder
        if not there:
            raise MissingFile(
                self.root / "sav_000001_manual.json",
                f"put it beside its mp4 file there, or {_FRAMES}/ and {_MASKS}/ of val or test",
            )
        if self.split.strip().lower() == "all":
            return list(there.items())
        asked = list(dict.fromkeys(name.strip() for name in self.split.split(",")))
        unknown = next((name for name in asked if name not in there), None)
        if unknown is not None:
            raise UnknownName(f"split of {self.root}", unknown, there)
        return [(name, there[name]) for name in asked]

    def _videos(self) -> dict[str, dict[str, str]]:
        """By video (its path without a suffix), the JSON files of the kinds asked for; all relative to the root."""
        found: dict[str, dict[str, str]] = {}
        for folder in _nested(self.root, "", _DEPTH):
            for name in files_in(self.root / folder, (".json",)):
                match = _JSON.fullmatch(name)
                if match and match[2] in _KINDS[self.masklets]:
                    prefix = f"{folder}/" if folder else ""
                    found.setdefault(prefix + match[1], {})[match[2]] = prefix + name
        return found

    def _of_json(self, media: PlannedMedia, video: str, files: dict[str, str]) -> PlannedMedia:
        """A video of train with the masklets of its files."""
        objects: list[PlannedObject] = []
        for kind in _KINDS[self.masklets]:
            body = self._read(files[kind]) if kind in files else None
            if isinstance(body, Fault):
                objects.append(faulty(f"{kind}_no-id", body))
            elif body is not None:
                if not media.file_names:
                    media = self._with_frames(media, video, body)
                objects += self._objects(kind, body, media)
        if not media.file_names:
            fault = Fault("bad_frames", "its files do not say how many frames it has, or of which size")
            objects = [
                item if item.reason else msgspec.structs.replace(item, reason=fault.reason, message=fault.message)
                for item in objects
            ]
        return msgspec.structs.replace(media, objects=tuple(objects))

    def _read(self, file: str) -> _MaskletFile | Fault:
        try:
            path = path_under(self.root, file, self.bounds)
            if not path.is_file():
                raise msgspec.DecodeError("it is not a regular file")
            if path.stat().st_size > _MAX_BYTES:
                raise msgspec.DecodeError("it is larger than 1 GiB")
            return msgspec.json.decode(path.read_bytes(), type=_MaskletFile)
        except PictureFault as fault:
            return Fault(fault.reason, fault.message)
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            return Fault("bad_annotation", f"{file} cannot be read: {common.line(str(error))}")

    def _with_frames(self, media: PlannedMedia, video: str, body: _MaskletFile) -> PlannedMedia:
        """The medium with its frames; as it is where the file does not say which they are."""
        annotated = len(body.masklet)
        count = common.count(body.video_frame_count) or annotated * _STEP
        fault = common.size_fault(body.video_width, body.video_height)
        if fault or not annotated or -(-count // _STEP) != annotated:
            return media
        step = _STEP if self.unannotated == "drop" else 1
        folder = files_in(self.root / video, (".jpg", ".png"))
        names = [f"{video}/{name}" for name in folder] or [frame_name(f"{video}.mp4", i) for i in range(count)]
        size = {"width": int(body.video_width), "height": int(body.video_height)}
        return msgspec.structs.replace(media, file_names=tuple(names[:count:step]), **size)

    def _objects(self, kind: str, body: _MaskletFile, media: PlannedMedia) -> Iterator[PlannedObject]:
        names = Names()
        step = 1 if self.unannotated == "drop" else _STEP
        for place in range(max(map(len, body.masklet), default=0)):
            frames: list[Any] = [None] * len(media.file_names)
            for number, row in enumerate(body.masklet):
                if place < len(row) and number * step < len(frames):
                    frames[number * step] = row[place]
            key = common.code(body.masklet_id[place]) if place < len(body.masklet_id) else str(place)
            name = names.claim(f"{kind}_{key or 'no-id'}")
            yield PlannedObject(object_id=name, segmentation=msgspec.Raw(msgspec.json.encode(frames)))


@dataclass(frozen=True, slots=True)
class SomeVideos:
    """A split of SA-V, of train some videos."""

    source: SaV
    split: str
    folder: str
    videos: tuple[tuple[str, dict[str, str]], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """None, as of the whole."""
        return ()

    def scan(self) -> Iterator[PlannedMedia]:
        """Their masklets."""
        if self.split == "train":
            return self.source.scan_train(dict(self.videos))
        return self.source.scan_masks(self.split, self.folder)


def _split_of(folder: str) -> str:
    found = re.search(r"(?<![a-z])(train|val|test)(?![a-z])", folder.lower())
    return found[1] if found else common.label(folder)


def _nested(root: Path, folder: str, depth: int) -> Iterator[str]:
    yield folder
    if depth:
        for name in folders_in(root / folder):
            if name not in (_FRAMES, _MASKS):
                yield from _nested(root, f"{folder}/{name}" if folder else name, depth - 1)
