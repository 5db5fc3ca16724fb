"""BenSMOT: people in videos, every frame boxed, a caption a person.

Source: Li et al., ECCV 2024, arXiv:2403.05021 (github.com/HengLan/SMOT).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from capgen.encoding import read_text
from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.base import (
    CAPTIONFORMER_THRESHOLD,
    Clip,
    PublishedSize,
    Reading,
    annotation,
    published_form,
    read_json,
    write_truth,
)
from capgen.evaluation.benchmarks.frames import FrameFolder, numbered
from capgen.evaluation.benchmarks.preprocessed import PreprocessedNames
from capgen.evaluation.reading.tracks import Iou
from capgen.images import PictureFault, read_header

_SOURCE = "BenSMOT comes from github.com/HengLan/SMOT"
_COMBINED = {"captions": ("instance_caption.json", "instance_captioin.json"), "summary": ("video_summary.json",)}
_COMBINED["relation"] = ("relation.json",)


@dataclass(frozen=True, slots=True)
class BenSmot:
    """Tracks of gt.txt (frames and ids from 1), captions by track number; both readings are the same.

    With the combined files, a sequence that is missing from one of the three is left out, as in the published
    conversion. Without them, the captions come from each sequence's ``instance_captions.txt``, in which the order of
    appearance of the names is the track number. Sequences are numbered in the order of their names, because the
    published numbering follows the order of the disk.
    """

    root: Path
    split: str = "test"
    reading: Reading = "official"

    track_captions: ClassVar[bool] = True
    preprocessed: ClassVar[PreprocessedNames] = PreprocessedNames(
        ("{split}_instances_.json", "{split}_instances_coco_format.json"), ("{split}",)
    )

    @property
    def iou(self) -> Iou:
        """Boxes."""
        return "box"

    @property
    def threshold(self) -> float:
        """CaptionFormer's."""
        return CAPTIONFORMER_THRESHOLD

    def truth(self, folder: Path) -> Path:
        """The converted ground truth, in ``folder``."""
        return write_truth(self.clips(), [{"id": 1, "name": "person"}], folder / f"bensmot_{self.split}.json")

    def clips(self) -> Iterator[Clip]:
        """Every sequence of the split, in the order of its name."""
        combined = self._combined()
        image = 0
        sequences = [s for s in self._sequences() if not combined or all(s in known for known in combined.values())]
        for number, sequence in enumerate(sequences):
            with published_form(str(self.root / self.split / sequence), _SOURCE):
                clip = self._clip(number, sequence, image, combined.get("captions"))
            image += len(clip.image_ids)
            yield clip

    def _sequences(self) -> list[str]:
        """The sequences, ``<activity>/<name>``."""
        folder = self.root / self.split
        if not folder.is_dir():
            raise MissingFile(folder, _SOURCE)
        found = sorted(path.parent.parent for path in folder.glob("*/*/gt/gt.txt"))
        if not found:
            raise MissingFile(folder / "*" / "*" / "gt" / "gt.txt", _SOURCE)
        return [path.relative_to(folder).as_posix() for path in found]

    def _combined(self) -> dict[str, dict[str, Any]]:
        """The combined files where all three are there."""
        paths = {
            key: next(
                (p for name in names for p in (self.root / name, self.root / "annotations" / name) if p.is_file()), None
            )
            for key, names in _COMBINED.items()
        }
        if not all(paths.values()):
            return {}
        return {key: read_json(path) for key, path in paths.items() if path}

    def _clip(self, number: int, sequence: str, images_before: int, captions: dict[str, Any] | None) -> Clip:
        folder = self.root / self.split / sequence
        rows = self._rows(folder / "gt" / "gt.txt")
        pictures = numbered(folder / "imgs")
        frames = sorted(pictures) or sorted({int(row[0]) for row in rows})
        images = {frame: images_before + i + 1 for i, frame in enumerate(frames)}
        by_id = captions[sequence] if captions is not None else read_captions(folder / "instance_captions.txt")
        annotations = [
            annotation(
                images[int(row[0])],
                int(row[1]),
                str(by_id.get(str(int(row[1]))) or ""),
                bbox=[float(v) for v in row[2:6]],
                area=float(row[4] * row[5]),
            )
            for row in rows
            if int(row[0]) in images
        ]
        return Clip(
            video_id=number,
            name=sequence,
            size=_size(folder / "imgs" / pictures[frames[0]]) if pictures else (0, 0),
            image_ids=tuple(images.values()),
            numbers=tuple(frames),
            file_names=tuple(f"{sequence}/imgs/{pictures.get(f, f'{f:03d}.jpg')}" for f in frames),
            annotations=tuple(annotations),
            source=FrameFolder(folder / "imgs", pictures, _SOURCE) if pictures else None,
        )

    def _rows(self, path: Path) -> np.ndarray:
        """The rows of a gt.txt: frame, id, x, y, width, height, …"""
        text = read_text(path)
        if not text.strip():  # nobody in the video; numpy would warn and give an array without columns
            return np.empty((0, 6))
        try:
            rows = np.loadtxt(StringIO(text), delimiter=",", ndmin=2, usecols=range(6))
        except ValueError as error:
            raise UserError(f"{path} is not in the MOTChallenge form ({error})", "download it again") from error
        return rows[np.argsort(rows[:, 0], kind="stable")]

    def describe(self) -> list[PublishedSize]:
        """Videos, frames, people and boxes. What was published is for both splits together."""
        videos = frames = boxes = people = captioned = 0
        for clip in self.clips():
            videos += 1
            frames += len(clip.image_ids)
            boxes += len(clip.annotations)
            by_track = {one["track_id"]: one["caption"] for one in clip.annotations}
            people += len(by_track)
            captioned += sum(bool(caption) for caption in by_track.values())
        return [
            PublishedSize("videos (published: 3,292 in both splits)", None, videos, "arXiv:2403.05021"),
            PublishedSize("frames (published: about 151,000 in both)", None, frames, "arXiv:2403.05021"),
            PublishedSize("people (published: about 7,800 in both)", None, people, "arXiv:2403.05021"),
            PublishedSize("boxes (published: about 335,000 in both)", None, boxes, "arXiv:2403.05021"),
            PublishedSize("captioned people", None, captioned, ""),
        ]


def read_captions(path: Path) -> dict[str, str]:
    """Captions by track number from lines ``woman0: A woman …``: the first name is track 1, the second 2, …

    Raises:
        MissingFile: there is no such file.
        UserError: a line has no name, or the file is not UTF-8.
    """
    try:
        lines = read_text(path).splitlines()
    except MissingFile as error:
        raise MissingFile(path, _SOURCE) from error
    by_name: dict[str, list[str]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, colon, caption = line.partition(":")
        if not colon:
            raise UserError(f"{path}: line {number} has no name before a colon", "write it as 'woman0: A woman …'")
        by_name[name.strip()].append(caption.strip())
    return {str(n): " ".join(captions) for n, captions in enumerate(by_name.values(), 1)}


def _size(path: Path) -> tuple[int, int]:
    try:
        return read_header(path).upright
    except PictureFault as fault:
        raise UserError(f"{path.parent}: {fault.message}", _SOURCE) from fault
