"""Masks in picture files: DAVIS, MOSE, LVOS, YouTube-VOS, and folders of one's own, of videos or of pictures.

What such sets are known for: palettes whose index is the object, indices 254 and 255 for a border to ignore, masks on
the first frame only, and palettes that somebody has saved as colours: then each colour is an object.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.plan import PlannedMedia
from capgen.dataset.types import Kind
from capgen.encoding import read_bytes
from capgen.errors import MissingFile, UnknownName, UserError
from capgen.pipeline.sources.reading import common, mask_folders, mask_pictures
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.mask_folders import MaskFolders, folders_in, media_name
from capgen.pipeline.sources.reading.planner import Names

_FRAMES = ("JPEGImages", "images", "frames", "videos", "imgs")
_MASKS = ("Annotations", "Annotations_unsupervised", "masks", "annotations", "labels", "SegmentationObject")
_SIZES = ("480p", "Full-Resolution", "1080p")
_META = ("meta.json", "{}_meta.json", "meta_expressions.json")
_LISTS = ("ImageSets/2017", "ImageSets/2016", "ImageSets/480p", "ImageSets")
_ONE_SPLIT = "data"


@dataclass(frozen=True, slots=True)
class _Part:
    """A split: the folders of its frames and masks, and which videos of them are its own (None: all)."""

    split: str
    base: str
    frames: str
    masks: str
    videos: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Masks:
    """Every object of masks in picture files. Sources: Pont-Tuset et al., arXiv:1704.00675; Xu et al., ECCV 2018.

    Args:
        root: holds ``JPEGImages/[480p/]VIDEO/`` and ``Annotations/[480p/]VIDEO/``, itself or in a folder a split; or
            pictures with their masks in another folder or beside them.
        split: names with commas, or ``all``: the folders, or DAVIS's lists in ``ImageSets/2017/``.
        unannotated: ``show`` makes frames without a mask part of the video, shown unmarked; ``drop`` leaves them out.
        ignore: indices that are borders, no objects.
        bounds: see ``Source``.
    """

    root: Path
    split: str = "all"
    dataset: str = "masks"
    unannotated: mask_folders.ShowOrDrop = "show"
    ignore: tuple[int, ...] = mask_folders.BORDERS
    bounds: Path | None = None

    @property
    def kind(self) -> Kind:
        """``video`` where the masks lie in a folder a video."""
        return "video" if any(folders_in(self.root / part.masks) for part in self._parts()) else "image"

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        parts = Masks(folder.root)._all_parts()
        return list(dict.fromkeys(part.masks or "pictures with masks beside them" for part in parts))

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that name categories and splits."""
        folders = (self.root / folder for folder in _LISTS)
        lists = [path for folder in folders for path in sorted(folder.glob("*.txt")) if path.is_file()]
        return (*lists, *(path for part in self._parts() if (path := self._meta(part))))

    def listing(self) -> Iterator[Path]:
        """The mask files."""
        for part in self._parts():
            if folders_in(self.root / part.masks):
                yield from self._folders(part).files()
            else:
                yield from mask_pictures.mask_files(self.root, part.frames, part.masks)

    def scan(self) -> Iterator[PlannedMedia]:
        """Every video or picture that has masks, with its objects, split by split.

        Raises:
            UserError: there are no masks, or no such split.
        """
        for part in self._parts():
            names = Names()
            if not folders_in(self.root / part.masks):
                place = (self.root, part.frames, part.masks)
                yield from mask_pictures.pictures(self._blank, part.split, *place, self.ignore, self.bounds)
                continue
            folders = self._folders(part)
            meta = self._categories(part)
            for video in folders.videos():
                if part.videos is None or video in part.videos:
                    blank = self._blank(part.split, names.claim(media_name(video)), "video")
                    yield folders.medium(blank, video, meta.get(video, {}))

    def parts(self) -> list[Masks]:
        """The splits, each a source of its own.

        Raises:
            UserError: there are no masks, or no such split.
        """
        parts = self._parts()
        named = any(part.split.lower() == "all" for part in parts)
        return [self] if named else [replace(self, split=part.split) for part in parts]

    def _blank(self, split: str, name: str, kind: Kind) -> PlannedMedia:
        return PlannedMedia(
            dataset=self.dataset, split=split, media_id=name, kind=kind, file_names=(), width=0, height=0
        )

    def _folders(self, part: _Part) -> MaskFolders:
        return MaskFolders(self.root, part.frames, part.masks, self.unannotated, tuple(self.ignore), self.bounds)

    def _parts(self) -> list[_Part]:
        """The splits asked for.

        Raises:
            UserError: the root holds none, or not the one that is asked for.
        """
        if not self.root.is_dir():
            raise MissingFile(self.root, "--root must name the folder that holds the dataset")
        parts = {part.split: part for part in self._all_parts()}
        if not parts:
            raise MissingFile(
                self.root / "Annotations",
                "put the masks there (VIDEO/00000.png), and the frames into JPEGImages/VIDEO/; for pictures, into "
                "images/ and masks/ or beside each other (a.jpg, a.png)",
            )
        if self.split.strip().lower() == "all":
            return list(parts.values())
        asked = [name.strip() for name in self.split.split(",")]
        unknown = next((name for name in asked if name not in parts), None)
        if unknown is not None:
            raise UnknownName(f"split of {self.root}", unknown, parts)
        return [parts[name] for name in dict.fromkeys(asked)]

    def _all_parts(self) -> Iterator[_Part]:
        here = self._part_in("", _ONE_SPLIT)
        if here is not None:
            listed = self._listed()
            yield from (
                [_Part(split, here.base, here.frames, here.masks, videos) for split, videos in listed.items()] or [here]
            )
            return
        inner = [part for name in folders_in(self.root) if (part := self._part_in(name, _label(name)))]
        yield from inner
        if not inner and mask_pictures.lie_beside(self.root):
            yield _Part(_ONE_SPLIT, "", "", "")

    def _part_in(self, base: str, split: str) -> _Part | None:
        """The split in a folder; None where it has not both frames and masks."""
        prefix = f"{base}/" if base else ""
        for masks in _MASKS:
            for frames in _FRAMES:
                for size in (*_SIZES, ""):
                    inner = f"/{size}" if size else ""
                    pair = (f"{prefix}{frames}{inner}", f"{prefix}{masks}{inner}")
                    if all((self.root / folder).is_dir() for folder in pair):
                        return _Part(split, base, *pair)
        return None

    def _listed(self) -> dict[str, frozenset[str]]:
        """DAVIS's splits: the videos that its lists name."""
        for folder in _LISTS:
            found = {}
            for path in filter(Path.is_file, sorted((self.root / folder).glob("*.txt"))):
                lines = read_bytes(path).decode("utf-8", "replace").splitlines()
                names = frozenset(line.strip() for line in lines if re.fullmatch(r"[\w.-]+", line.strip()))
                if names:
                    found[_label(path.stem)] = names
            if found:
                return found
        return {}

    def _meta(self, part: _Part) -> Path | None:
        folders = dict.fromkeys((self.root / part.base, self.root))
        files = (folder / name.format(part.split) for folder in folders for name in _META)
        return next((file for file in files if file.is_file()), None)

    def _categories(self, part: _Part) -> Mapping[str, Mapping[str, str]]:
        """The categories of objects by video, where a file names them as YouTube-VOS does.

        Raises:
            UserError: there is such a file, and it is no JSON.
        """
        path = self._meta(part)
        if path is None:
            return {}
        try:
            videos = msgspec.json.decode(read_bytes(path), type=dict[str, Any]).get("videos")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise UserError(f"{path} is not valid JSON: {error}", "download it again") from error
        found = videos.items() if isinstance(videos, dict) else ()
        return {name: _named(about) for name, about in found if isinstance(about, dict)}


def _named(about: Mapping[str, Any]) -> dict[str, str]:
    objects = about.get("objects")
    rows = objects.items() if isinstance(objects, dict) else ()
    names = {key: row.get("category") for key, row in rows if isinstance(row, dict)}
    return {key: line for key, name in names.items() if isinstance(name, str) and (line := common.line(name))}


def _label(name: str) -> str:
    return re.sub(r"\W+", "_", name).strip("_") or _ONE_SPLIT
