"""Plain records: an object a line (JSON Lines), and a picture or video a sample (WebDataset)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import msgspec

from capgen.dataset.row import ReleasedMedia, ReleasedObject
from capgen.dataset.types import Kind
from capgen.errors import MissingFile
from capgen.exporting.base import BoxScale, ExportSplit, SplitWriter, scaled
from capgen.exporting.forms.sections import pictures_of, placed
from capgen.exporting.media import caption_of
from capgen.exporting.pictures import SHARD_BYTES, SplitPictures, TarFiles, copied_name


@dataclass(frozen=True, slots=True)
class JsonLines:
    """``{split}.jsonl``: a line an object, captioned or not, with its medium, masks and boxes x, y, width, height.

    Args:
        boxes: the scale of ``bbox``.
    """

    boxes: BoxScale = "pixels"

    def pictures_in(self, kind: Kind) -> str:  # noqa: ARG002 - the same for both
        """Below a folder of the split."""
        return "images/{split}"

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        return _Lines(split, pictures_of(split, self.pictures_in(split.kind)), self.boxes)


@dataclass(slots=True)
class _Lines:
    split: ExportSplit
    pictures: SplitPictures | None
    boxes: BoxScale

    @property
    def _file(self) -> str:
        return f"grown/{self.split.name}.jsonl"

    def skip(self, media: ReleasedMedia) -> None:
        del media

    def add(self, media: ReleasedMedia) -> None:
        media = placed(media, self.split, self.pictures)
        header = medium_record(media)
        lines = [header | object_record(media, one, self.boxes) for one in media.objects]
        self.split.folder.append(self._file, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))

    def finish(self) -> Sequence[str]:
        self.split.folder.append(self._file, b"")
        return [self._file, *(self.pictures.finish() if self.pictures else ())]


@dataclass(frozen=True, slots=True)
class WebDataset:
    """``{split}-000000.tar`` and so on: of each image or video its frames, ``json`` with its objects, ``txt`` captions.

    A video's frames are ``key.0000.jpg`` and so on. ``{split}.index.json`` is the list of shards that wids reads.

    Args:
        boxes: the scale of ``bbox``.
        shard_bytes: a shard is closed once it is so large.
    """

    boxes: BoxScale = "pixels"
    shard_bytes: int = SHARD_BYTES

    def pictures_in(self, kind: Kind) -> None:
        """Pictures lie beside their objects in the tar files."""

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        return _Samples(split, self.boxes, TarFiles(split.folder, split.name, shard_bytes=self.shard_bytes))


@dataclass(slots=True)
class _Samples:
    split: ExportSplit
    boxes: BoxScale
    tars: TarFiles
    _number: int = field(default=0)

    def skip(self, media: ReleasedMedia) -> None:
        del media
        self._number += 1

    def add(self, media: ReleasedMedia) -> None:
        counts = self.split.folder.counts
        counts["pictures"] += len(media.file_names)
        pictures = self.split.files.read(media)
        counts["missing_pictures"] += pictures.count(None)
        key = f"{self.split.name}_{self._number:09d}"
        self._number += 1
        if pictures and pictures[0] is None and media.kind == "image":
            return  # a sample without its picture ends a training: it is left out, and counted
        tar = self.tars.begin()
        counts[f"samples:{tar}"] += 1
        for index, (name, data) in enumerate(zip(media.file_names, pictures, strict=True)):
            if data is not None:
                number = "" if media.kind == "image" else f"{index:04d}."
                self.tars.add(tar, f"{key}.{number}{_suffix(copied_name(name))}", data)
        record = medium_record(media)
        record["objects"] = [object_record(media, one, self.boxes) for one in media.objects]
        self.tars.add(tar, f"{key}.json", msgspec.json.encode(record))
        captions = [" ".join(caption.split()) for one in media.objects if (caption := caption_of(one))]
        self.tars.add(tar, f"{key}.txt", "".join(f"{caption}\n" for caption in captions).encode())

    def finish(self) -> Sequence[str]:
        counts, folder = self.split.folder.counts, self.split.folder
        if counts["pictures"] and counts["missing_pictures"] == counts["pictures"]:
            raise MissingFile(
                f"every picture of split {self.split.name}", "give the folder that holds them with --root"
            )
        names = self.tars.close()
        shards = [
            {
                "url": name.removeprefix("grown/"),
                "nsamples": counts[f"samples:{name}"],
                "filesize": folder.size(name),
            }
            for name in names
        ]
        index = {"wids_version": 1, "name": self.split.name, "shardlist": shards}
        folder.assemble(f"{self.split.name}.index.json", [msgspec.json.format(msgspec.json.encode(index)), b"\n"])
        return names


def _suffix(name: str) -> str:
    """The extension of a picture as WebDataset's decoders know it."""
    suffix = PurePosixPath(name).suffix.lower().lstrip(".")
    return {"jpeg": "jpg", "": "jpg"}.get(suffix, suffix)


def medium_record(media: ReleasedMedia) -> dict[str, Any]:
    """What is known of a medium, without its objects."""
    record: dict[str, Any] = {name: getattr(media, name) for name in ("dataset", "split", "media_id", "kind")}
    record |= {"file_names": list(media.file_names), "width": media.width, "height": media.height}
    record |= {"coco_url": media.coco_url, "license": media.license}
    return record


def object_record(media: ReleasedMedia, one: ReleasedObject, boxes: BoxScale) -> dict[str, Any]:
    """What is known of an object; ``bbox`` is x, y, width, height in the scale."""
    return {
        "key": media.key_of(one.object_id),
        "object_id": one.object_id,
        "category_id": one.category_id,
        "category": one.category,
        "frame_index": list(one.frame_index),
        "segmentation": list(one.segmentation),
        "bbox": [list(scaled(box, media.width, media.height, boxes)) for box in one.bbox],
        "area": list(one.area),
        "caption": caption_of(one),
        "dropped": one.dropped,
    }
