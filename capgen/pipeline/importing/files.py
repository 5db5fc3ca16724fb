"""The annotation files that are imported: which ones a folder holds, of which split and kind each is, and its media."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from capgen.dataset.annotations.source_fields import (
    OBJECT_KEYS,
    RawRow,
    SourceFields,
    decoded_rows,
    extra_json,
    fields_of,
    id_text,
    rows_at,
    top_level,
)
from capgen.dataset.plan import PlannedMedia
from capgen.dataset.stats import NOT_DISTINCT
from capgen.dataset.types import Kind
from capgen.errors import MissingFile, UserError
from capgen.pipeline.checks import CHECKS
from capgen.pipeline.reasons import REASONS
from capgen.pipeline.sources.images import coco, lvis
from capgen.pipeline.sources.reading import common, planner
from capgen.pipeline.sources.reading.sections import Form, read_sections
from capgen.pipeline.sources.videos import lvvis, youtube_vis

CARRIED = frozenset({*CHECKS, NOT_DISTINCT, "duplicate", "said_too_often", "flagged"})
"""Reasons for which a caption is dropped, which stay those of an object that was exported and is imported."""

_PATTERNS = (
    *("lviscap_v1_*.json", "lvis/lviscap_v1_*.json", "lvviscap_*_instances*.json", "LVVIS/lvviscap_*_instances*.json"),
    *("annotations/instances_*.json", "*/instances.json", "instances_*.json", "*_instances.json"),
)
_OF_SPLIT = re.compile(r"^(lviscap_v1|lvviscap|lvis_v[\d.]+|instances|annotations)_|_instances_?$")
_NO_SHAPE = (b"null", b"[]", b"")
_FORMS: Mapping[Kind, Form] = {
    "image": Form("a COCO or LVIS", "images", categories_required=False),
    "video": Form("a YouTube-VIS or LV-VIS", "videos", categories_required=False),
}
_REMEDY = "give the official LVISCap or LV-VISCap JSON, or COCO or YouTube-VIS JSON with captions"


class _Boxed(planner.ImageAnnotation, gc=False):
    bbox: Any = None


class _BoxedTrack(planner.TrackAnnotation, gc=False):
    bboxes: Any = None
    bbox: Any = None


@dataclass(frozen=True, slots=True)
class CaptionFile:
    """One file.

    Args:
        path: where it is.
        split: of its rows.
        root: the folder of the pictures.
        fields: what it says beside the columns of a release.
    """

    path: Path
    split: str
    kind: Kind
    root: Path
    fields: SourceFields = field(default_factory=SourceFields)

    @property
    def official(self) -> bool:
        """Whether it has the authors' name, so that rows are those of LVIS and LV-VIS."""
        return self.path.name.startswith(("lviscap", "lvviscap"))

    def scan(self, dataset: str) -> Iterator[PlannedMedia]:
        """Its media with what else the file says of them.

        Raises:
            UserError: it is not of the form.
        """
        kind = self.kind
        last: Any = _Boxed if kind == "image" else _BoxedTrack
        sections = (planner.IMAGE_SECTIONS if kind == "image" else planner.VIDEO_SECTIONS) | {"annotations": last}
        rows = read_sections(self.path, _FORMS[kind], sections)
        annotations = rows["annotations"] or []
        for row in annotations:
            _use_box(row)
        listed = rows["categories"]
        categories = None if listed is None else common.read_categories(listed)
        join = planner.Planner(dataset, self.split, kind, categories)
        for media in join.plan(rows["images" if kind == "image" else "videos"] or [], self._describe(), annotations):
            extra = self.fields.media.get(media.media_id)
            yield msgspec.structs.replace(media, media_extra=extra) if extra else media

    def _describe(self) -> Any:
        """What fills in a medium; pictures need not be there."""
        if self.kind == "image":
            finder = coco.picture_finder(self.root, self.split, self.path)
            pictures = lvis.Pictures(self.root.absolute())

            def image(media: PlannedMedia, row: planner.ImageRow) -> planner.Described:
                if row.file_name is None and row.coco_url:
                    return pictures.describe(media, row)
                found, fault = coco.describe_image(media, row, finder)
                return _placed(found, [row.file_name]), fault

            return image
        if self.official:
            folders = [f"{self.split}/JPEGImages", "JPEGImages"]
            folder = next((name for name in folders if (self.root / name).is_dir()), folders[0])
            in_folder = lvvis.frame_finder(self.root, folder)
            return lambda media, row: lvvis.describe_video(media, row, in_folder, folder)
        frames = youtube_vis.frame_finder(self.root, self.split)

        def video(media: PlannedMedia, row: planner.VideoRow) -> planner.Described:
            found, fault = youtube_vis.describe_video(media, row, frames)
            return _placed(found, row.file_names if isinstance(row.file_names, list) else []), fault

        return video

    def captions(self) -> CaptionIndex:
        """The captions and other fields of its annotations, in memory."""
        top = top_level(self.path)
        index = CaptionIndex()
        for row in decoded_rows(rows_at(self.path, top, "annotations")):
            index.add(row)
        return index


@dataclass(slots=True)
class CaptionIndex:
    """What a file says of each object, by the ids of medium and object."""

    captions: dict[str, str] = field(default_factory=dict)
    extras: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    """Why an object has no caption, where ``capgen export`` wrote a code of ``CARRIED``."""

    def add(self, row: RawRow) -> None:
        """Take up an annotation; the first of several with one id counts."""
        media, name = id_text(row.get("image_id", row.get("video_id"))), id_text(row.get("id"))
        key = f"{media}/{name}"
        raw = row.get("caption")
        caption = _text(raw)
        odd = raw is not None and caption is None and bytes(raw) != b"null"
        known = OBJECT_KEYS - {"caption"} if odd else OBJECT_KEYS
        if bytes(row.get("iscrowd", b"")) in (b"0", b"false"):  # which every export of tracks and COCO says
            known |= {"iscrowd"}
        reason = _text(row.get("dropped"))
        if caption is not None and caption.strip():
            self.captions.setdefault(key, caption)
        elif reason is not None and (reason in CARRIED or reason in REASONS):
            known |= {"dropped"}
            if reason in CARRIED:  # others, such as a failed engine, are of the run that is no more
                self.reasons.setdefault(key, reason)
        extra = extra_json(row, known)
        if extra is not None:
            self.extras.setdefault(key, extra)


def _text(raw: msgspec.Raw | None) -> str | None:
    """A caption; None where there is none or where it is no text, such as a list by frame."""
    if raw is None or not bytes(raw).startswith(b'"'):
        return None
    return msgspec.json.decode(raw, type=str)


def _use_box(row: Any) -> None:
    """Give an annotation without a mask its box, where it has one."""
    if row is None or bytes(row.segmentation) not in _NO_SHAPE:
        return
    boxes = row.bbox if isinstance(row, _Boxed) else row.bboxes or row.bbox
    if isinstance(row, _Boxed) and _is_box(boxes):
        row.segmentation = msgspec.Raw(msgspec.json.encode({"box": boxes}))
    elif isinstance(row, _BoxedTrack) and isinstance(boxes, list) and any(map(_is_box, boxes)):
        shapes = [{"box": box} if _is_box(box) else None for box in boxes]
        row.segmentation = msgspec.Raw(msgspec.json.encode(shapes))


def _is_box(value: object) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 4
        and all(isinstance(number, int | float) for number in value)
        and value[2] > 0
        and value[3] > 0
    )


def _placed(media: PlannedMedia, called: Sequence[Any]) -> PlannedMedia:
    """The medium with the names that its file has, where the pictures are all in one folder by these names."""
    names = [common.safe_name(name) if isinstance(name, str) else None for name in called]
    if len(names) != len(media.file_names) or not names:
        return media
    pairs = list(zip(media.file_names, names, strict=True))
    folders = {path[: -len(name) - 1] for path, name in pairs if name and path.endswith(f"/{name}")}
    if len(folders) != 1 or not all(name and path.endswith(f"/{name}") for path, name in pairs):
        return media
    return msgspec.structs.replace(media, folder=folders.pop(), file_names=tuple(name for name in names if name))


def caption_files(given: Path, root: Path | None, split: str | None) -> list[CaptionFile]:
    """The files that ``given`` names or holds.

    Args:
        given: a JSON file, or a folder in the layout of the authors or of ``capgen export``.
        root: the folder of the pictures; None for the file's folder, or the folder itself.
        split: the split of a single file; None takes it from its name.

    Raises:
        UserError: there is none, two are of one split, or some have images and others videos.
    """
    if given.is_dir():
        paths = next((found for pattern in _PATTERNS if (found := sorted(given.glob(pattern)))), [])
        if not paths:
            raise UserError(f"{given} holds no captions that can be imported", _REMEDY)
        odd = next((path for path in paths if not path.is_file()), None)
        if odd is not None:  # nobody has named it: a pipe would be waited for, and a device has no end
            raise UserError(f"{odd} is a folder, a pipe or a device, not a file", "delete it, or give one file")
    elif given.is_file():
        paths = [given]
    else:
        raise MissingFile(given, _REMEDY)
    if split is not None and len(paths) > 1:
        raise UserError(f"--split {split}: {given} holds {len(paths)} files", "give one of them")
    folder = root or (given if given.is_dir() else given.parent)
    if not folder.is_dir():
        raise MissingFile(folder, "give the folder that holds the pictures with --root")
    files = [_file(path, split or split_of(path), folder) for path in _train_first(paths)]
    _check_alike(files)
    return files


def split_of(path: Path) -> str:
    """The split that a file's name says: ``train`` of ``lviscap_v1_train.json`` and of ``train/instances.json``."""
    stem = path.parent.name if path.name == "instances.json" else _OF_SPLIT.sub("", path.stem)
    return re.sub(r"\W+", "_", _OF_SPLIT.sub("", stem)).strip("_") or "data"


def _train_first(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: (not split_of(path).startswith("train"), path))


def _file(path: Path, split: str, root: Path) -> CaptionFile:
    if split.lower() == "all":
        raise UserError(
            f"{path} would make a split called {split!r}, which for `datasets` is every split", "give --split"
        )
    top = top_level(path)
    kind: Kind | None = "video" if "videos" in top else "image" if "images" in top else None
    if kind is None:
        raise UserError(f"{path} has neither 'images' nor 'videos'", _REMEDY)
    return CaptionFile(path, split, kind, root, fields_of(path, top))


def _check_alike(files: Sequence[CaptionFile]) -> None:
    by_split: dict[str, Path] = {}
    for file in files:
        if by_split.setdefault(file.split, file.path) != file.path:
            raise UserError(
                f"{by_split[file.split]} and {file.path} are both of split {file.split}", "import one alone"
            )
    if len({file.kind for file in files}) > 1:
        raise UserError("some of the files have images and others videos", "import them one by one")
