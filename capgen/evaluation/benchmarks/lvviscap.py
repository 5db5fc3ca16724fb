"""LV-VISCap: the LV-VIS videos, every object with masks and one caption.

Source: LV-VIS, Wang et al., ICCV 2023, arXiv:2304.01715; captions of CaptionFormer, arXiv:2510.14904.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from capgen.evaluation.benchmarks.base import CAPTIONFORMER_THRESHOLD, Clip, PublishedSize, Reading, find
from capgen.evaluation.benchmarks.preprocessed import clips_of
from capgen.evaluation.reading.json_stream import elements
from capgen.evaluation.reading.tracks import Id, Iou

_CAPTIONS = "the captions come with github.com/gabfstr/CaptionFormer, the videos with github.com/haochenheheda/LVVIS"
_FACTS = {"train": (3083, 15966), "val": (837, 3700)}


@dataclass(frozen=True, slots=True)
class LvVisCap:
    """The released file is a track file, which the evaluator reads as it is; both readings are the same."""

    root: Path
    split: str = "val"
    reading: Reading = "official"

    @property
    def iou(self) -> Iou:
        """Masks."""
        return "mask"

    @property
    def threshold(self) -> float:
        """CaptionFormer's."""
        return CAPTIONFORMER_THRESHOLD

    def truth(self, folder: Path) -> Path:  # noqa: ARG002 - the release is in this form already
        """The annotation file, with captions where it has been downloaded, else LV-VIS's own, else in COCO form."""
        names = [f"lvviscap_{self.split}_instances{end}.json" for end in ("", "_")]
        names += [f"{self.split}_instances{end}.json" for end in ("_", "")]
        names += [f"lvviscap_{self.split}_instances_coco_format.json"]
        return find(
            self.root, [prefix + name for prefix in ("", "LVVIS/", "annotations/") for name in names], _CAPTIONS
        )

    def clips(self) -> Iterator[Clip]:
        """Every video, with the frames under ``<split>/JPEGImages``."""
        path = self.truth(self.root)
        folder = find(path.parent, [f"{self.split}/JPEGImages", "JPEGImages"], _CAPTIONS)
        return clips_of(path, folder, _CAPTIONS)

    def describe(self) -> list[PublishedSize]:
        """Videos, tracks, captions and categories."""
        videos, captioned, tracks = 0, 0, 0
        partitions: dict[Id, int | None] = {}
        for element in elements(self.truth(self.root), frozenset({"videos", "annotations", "categories"})):
            videos += element.array == "videos"
            if element.array == "annotations":
                tracks += 1
                captioned += bool(element.value.get("caption"))
            elif element.array == "categories":
                partitions[element.key("id")] = element.value.get("partition")
        known = _FACTS.get(self.split, (None, None))
        base = sum(p in (0, 1) for p in partitions.values())
        novel = sum(p in (2, 3) for p in partitions.values())
        return [
            PublishedSize("videos", known[0], videos, "LV-VIS, ICCV 2023"),
            PublishedSize("tracks", None, tracks, ""),
            PublishedSize("captioned tracks", known[1], captioned, "CaptionFormer's README"),
            PublishedSize("categories", 1196, len(partitions), "LV-VIS's README"),
            PublishedSize("base categories", 641, base, "LV-VIS's README"),
            PublishedSize("novel categories", 555, novel, "LV-VIS's README"),
        ]
