"""SA-1B: a JSON beside each picture, masks without categories, of parts and of wholes. Planning reads file by file."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from pycocotools import mask as coco

from capgen import rle
from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.errors import MissingFile, UnknownName
from capgen.images import PictureFault, path_under
from capgen.pipeline.sources.reading import common
from capgen.pipeline.sources.reading.contents import FolderContents
from capgen.pipeline.sources.reading.mask_folders import folders_in
from capgen.pipeline.sources.reading.planner import NULL, Names, NumberNames

_SPLIT = "train"
_MAX_BYTES = 256 * 2**20
_PART_FILES = 5_000


class _Image(msgspec.Struct, gc=False):
    image_id: Any = None
    width: Any = None
    height: Any = None
    file_name: Any = None


class _Annotation(msgspec.Struct, gc=False):
    id: Any = None
    segmentation: msgspec.Raw = NULL
    predicted_iou: Any = None
    stability_score: Any = None


class _File(msgspec.Struct):
    image: _Image
    annotations: list[_Annotation] = []


class _Rle(msgspec.Struct):
    size: tuple[int, int]
    counts: str


@dataclass(frozen=True, slots=True)
class Sa1b:
    """Every mask of SA-1B files. Source: Kirillov et al., ICCV 2023, ai.meta.com/datasets/segment-anything.

    Args:
        root: holds ``sa_1.json`` beside ``sa_1.jpg``, itself or in folders such as ``sa_000020/``.
        split: ``all``, or names of folders with commas, each of which is a split then.
        min_predicted_iou, min_stability: leave out masks with a lower ``predicted_iou`` or ``stability_score``.
        max_overlap: leave out masks of which a larger share lies in a larger mask that is kept: parts of wholes.
        bounds: see ``Source``.
    """

    root: Path
    split: str = "all"
    dataset: str = "sa-1b"
    min_predicted_iou: float | None = None
    min_stability: float | None = None
    max_overlap: float | None = None
    bounds: Path | None = None

    @staticmethod
    def recognise(folder: FolderContents) -> list[str]:
        """The files that give it away; see ``capgen.pipeline.sources.recognise``."""
        return folder.with_keys("image", "annotations", "segmentation", without=("images", "videos"))

    @property
    def files(self) -> tuple[Path, ...]:
        """None: what counts is ``listing``."""
        return ()

    def listing(self) -> Iterator[Path]:
        """The JSON files."""
        for _, folder in self._folders():
            yield from (self.root / folder / name for name in _names(self.root / folder)[0])

    def scan(self) -> Iterator[PlannedMedia]:
        """Every picture with its masks, in the order of the names.

        Raises:
            UserError: there are no JSON files, or no such folder.
        """
        return self.scan_folders(self._folders())

    def parts(self) -> list[SomeFolders]:
        """Whole folders, one after the other, until they hold some thousand files.

        Raises:
            UserError: there are no JSON files, or no such folder.
        """
        groups: list[list[tuple[str, str]]] = [[]]
        files = 0
        for split, folder in self._folders():
            if files >= _PART_FILES:
                groups.append([])
                files = 0
            groups[-1].append((split, folder))
            files += len(_names(self.root / folder)[0])
        return [SomeFolders(self, tuple(group)) for group in groups]

    def scan_folders(self, folders: Iterable[tuple[str, str]]) -> Iterator[PlannedMedia]:
        """The pictures of some splits and folders."""
        decoder = msgspec.json.Decoder(_File)
        names = NumberNames()
        for split, folder in folders:
            files, others = _names(self.root / folder)
            for file in files:
                blank = PlannedMedia(
                    dataset=self.dataset, split=split, media_id="", kind="image", file_names=(), width=0, height=0
                )
                yield self._medium(blank, folder, file, others, decoder, names)

    def _folders(self) -> list[tuple[str, str]]:
        """Splits with folders relative to the root.

        Raises:
            UserError: there is none, or not the one that is asked for.
        """
        if not self.root.is_dir():
            raise MissingFile(self.root, "--root must name the folder that holds the dataset")
        there = [name for name in ("", *folders_in(self.root)) if has_json(self.root / name)]
        if not there:
            raise MissingFile(self.root / "sa_1.json", "put the JSON files there, each beside its picture")
        if self.split.strip().lower() == "all":
            return [(_SPLIT, name) for name in there]
        asked = list(dict.fromkeys(name.strip() for name in self.split.split(",")))
        unknown = next((name for name in asked if name not in there or not name), None)
        if unknown is not None:
            raise UnknownName(f"folder of {self.root}", unknown, there)
        return [(common.label(name), name) for name in asked]

    def _medium(
        self,
        blank: PlannedMedia,
        folder: str,
        file: str,
        others: frozenset[str],
        decoder: msgspec.json.Decoder[_File],
        names: NumberNames,
    ) -> PlannedMedia:
        stem = file.removesuffix(".json")
        try:
            path = self._below(f"{folder}/{file}" if folder else file)
            if path.stat().st_size > _MAX_BYTES:
                raise msgspec.DecodeError("it is larger than 256 MiB")
            body = decoder.decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError, RecursionError, PictureFault) as error:
            reason, message = "bad_annotation", f"{file} cannot be read: {common.line(str(error))}"
            broken = PlannedObject(object_id="no-id", reason=reason, message=message)
            return msgspec.structs.replace(blank, media_id=names.claim(common.code(stem) or "_"), objects=(broken,))
        image = body.image
        number = common.id_key(image.image_id)
        media_id = names.claim((common.code(stem) or "_") if number is None else number)
        picture = _picture(image.file_name, stem, others)
        fault = common.size_fault(image.width, image.height) if picture else common.path_fault(image.file_name)
        rows, left_out = self._wanted(body.annotations)
        claimed = Names()
        objects = tuple([_object(row, claimed) for row in rows])
        if fault is not None or picture is None:
            fault = fault or common.path_fault(image.file_name)
            objects = tuple(
                [msgspec.structs.replace(item, reason=fault.reason, message=fault.message) for item in objects]
            )
            return msgspec.structs.replace(blank, media_id=media_id, objects=objects, left_out=left_out)
        return PlannedMedia(
            dataset=blank.dataset,
            split=blank.split,
            media_id=media_id,
            kind="image",
            folder=folder,
            file_names=(picture,),
            width=int(image.width),
            height=int(image.height),
            objects=objects,
            left_out=left_out,
        )

    def _below(self, name: str) -> Path:
        """A JSON file of the root.

        Raises:
            PictureFault: it is a link out of the bounds.
            msgspec.DecodeError: it is a pipe or a device, from which a read might never come back.
        """
        path = self.root / name if self.bounds is None else path_under(self.root, name, self.bounds)
        if not path.is_file():
            raise msgspec.DecodeError("it is not a regular file")
        return path

    def _wanted(self, rows: list[_Annotation]) -> tuple[list[_Annotation], dict[str, int]]:
        """The masks that pass the filters, in their order, and how many do not, by filter."""
        left_out: Counter[str] = Counter()
        for name, value, least in (
            ("predicted_iou", "predicted_iou", self.min_predicted_iou),
            ("stability", "stability_score", self.min_stability),
        ):
            if least is not None:
                before = len(rows)
                rows = [row for row in rows if not _below(getattr(row, value), least)]
                left_out[name] += before - len(rows)
        if self.max_overlap is not None:
            before = len(rows)
            rows = _apart(rows, self.max_overlap)
            left_out["overlap"] += before - len(rows)
        return rows, {name: count for name, count in left_out.items() if count}


@dataclass(frozen=True, slots=True)
class SomeFolders:
    """Some folders of SA-1B, with their splits."""

    source: Sa1b
    folders: tuple[tuple[str, str], ...]

    @property
    def files(self) -> tuple[Path, ...]:
        """None, as of the whole."""
        return ()

    def scan(self) -> Iterator[PlannedMedia]:
        """Their pictures."""
        return self.source.scan_folders(self.folders)


def has_json(folder: Path) -> bool:
    """Whether a folder holds a JSON file beside a picture of its name."""
    files, others = _names(folder)
    return any(f"{file.removesuffix('.json')}{suffix}" in others for file in files[:20] for suffix in (".jpg", ".png"))


def _names(folder: Path) -> tuple[list[str], frozenset[str]]:
    """The JSON files of a folder in order, and its other files."""
    try:
        names = [entry.name for entry in os.scandir(folder) if not entry.name.startswith(".")]
    except OSError:
        return [], frozenset()
    files = sorted((name for name in names if name.endswith(".json")), key=lambda name: (len(name), name))
    return files, frozenset(name for name in names if not name.endswith(".json"))


def _picture(file_name: object, stem: str, others: frozenset[str]) -> str | None:
    """The picture's name in its folder: as the JSON says if it is there, else as the JSON itself is called."""
    said = common.safe_name(file_name) if isinstance(file_name, str) else None
    name = said.rpartition("/")[2] if said else None
    beside = next((stem + suffix for suffix in (".jpg", ".png", ".jpeg") if stem + suffix in others), None)
    return name if name in others else beside or name


def _object(row: _Annotation, names: Names) -> PlannedObject:
    key = row.id if type(row.id) is int else common.id_key(row.id)
    wanted = "no-id" if key is None else str(key)
    object_id = names.claim(wanted)
    if key is None or object_id != wanted:
        reason = "bad_id" if key is None else "duplicate_id"
        message = f"the annotation's id {common.brief(row.id)} is none, or stands more than once"
        return PlannedObject(object_id=object_id, segmentation=row.segmentation, reason=reason, message=message)
    return PlannedObject(object_id=object_id, segmentation=row.segmentation)


def _below(value: object, least: float) -> bool:
    return isinstance(value, int | float) and value < least


def _apart(rows: Sequence[_Annotation], most: float) -> list[_Annotation]:
    """The masks of which no larger share than ``most`` lies in a larger one that stays; damaged ones stay, too."""
    shapes = [(i, shape) for i, row in enumerate(rows) if (shape := _sound(row.segmentation)) is not None]
    size = shapes[0][1].size if shapes else (0, 0)
    usable = [(i, shape.counts.encode()) for i, shape in shapes if shape.size == size]
    areas = rle.areas([counts for _, counts in usable], size).tolist()
    left_out: set[int] = set()
    kept: list[dict[str, Any]] = []
    for area, (row, counts) in sorted(zip(areas, usable, strict=True), key=lambda pair: (-pair[0], pair[1][0])):
        mask = {"size": list(size), "counts": counts}
        # of a crowd, pycocotools gives the intersection's share of the mask that is compared with it
        inside = coco.iou([mask], kept, [1] * len(kept)) if kept and area else []
        if len(inside) and max(inside[0]) > most:
            left_out.add(row)
        else:
            kept.append(mask)
    return [row for i, row in enumerate(rows) if i not in left_out]


def _sound(raw: msgspec.Raw) -> _Rle | None:
    try:
        shape = msgspec.json.decode(raw, type=_Rle)
        size = (shape.size[0], shape.size[1])
        rle.compressed(shape.counts, size)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, rle.MaskFault):
        return None
    return shape
