"""The files that CaptionFormer's authors preprocessed: a benchmark's ground truth as a track file, or in COCO form.

Source: github.com/gabfstr/CaptionFormer, DATA_PREPARATION.md. Their evaluation reads the same files.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.base import CAPTIONFORMER_THRESHOLD, Benchmark, Clip, PublishedSize
from capgen.evaluation.benchmarks.frame_selection import FrameChoice, select_frames
from capgen.evaluation.benchmarks.frames import FrameFolder, stated
from capgen.evaluation.reading.files import TruthFile
from capgen.evaluation.reading.json_stream import elements
from capgen.evaluation.reading.tracks import Iou

_SOURCE = "github.com/gabfstr/CaptionFormer (DATA_PREPARATION.md) has the preprocessed files"


@dataclass(frozen=True, slots=True)
class PreprocessedNames:
    """Where the preprocessed files of a benchmark are, relative to its root; ``{split}`` is the split.

    Args:
        truth: the ground truth, the first that is there is taken.
        pictures: folders that the frames' names are relative to.
        extended: of VLN, the file of the longer videos that a model is run on.
    """

    truth: tuple[str, ...]
    pictures: tuple[str, ...]
    extended: str = ""

    def find(self, root: Path, split: str, *, needed: bool = True) -> Path | None:
        """The ground truth; None where it is not there and not ``needed``.

        Raises:
            MissingFile: it is needed and not there.
        """
        paths = [root / prefix / name.format(split=split) for prefix in ("annotations", "") for name in self.truth]
        found = next((path for path in paths if path.is_file()), None)
        if found is None and needed:
            raise MissingFile(paths[0], _SOURCE)
        return found


@dataclass(frozen=True, slots=True)
class PreprocessedBenchmark:
    """A benchmark read from a preprocessed file as it is: both readings are the same."""

    path: Path
    root: Path
    names: PreprocessedNames
    split: str
    iou: Iou
    threshold: float = CAPTIONFORMER_THRESHOLD

    def truth(self, folder: Path) -> Path:  # noqa: ARG002 - the evaluator reads this form
        """The preprocessed file."""
        return self.path

    def clips(self) -> Iterator[Clip]:
        """Every video, with its frames where they are under the root."""
        places = [name.format(split=self.split) for name in self.names.pictures]
        folder = next((self.root / place for place in places if (self.root / place).is_dir()), None)
        return clips_of(self.path, folder, _SOURCE)

    def describe(self) -> list[PublishedSize]:
        """Videos, tracks or boxes, and captions."""
        counts = dict.fromkeys(("videos", "images", "annotations", "captions"), 0)
        for element in elements(self.path, frozenset({"videos", "images", "annotations"})):
            counts[element.array] += 1
            caption = element.value.get("caption") if element.array == "annotations" else None
            counts["captions"] += any(caption) if isinstance(caption, list) else bool(caption)
        return [PublishedSize(name, None, found, self.path.name) for name, found in counts.items() if found]

    def selected(self, predictions: Path, folder: Path) -> tuple[Path, str]:
        """The predictions on the frames that are evaluated, and a note: VLN's models are run on longer videos."""
        extended = self.path.parent / self.names.extended.format(split=self.split)
        if not self.names.extended or not extended.is_file():
            return predictions, ""
        choices = {one.key("id"): _choice(extended, one.value) for one in elements(extended, frozenset({"videos"}))}
        return select_frames(predictions, folder / "predictions_on_annotated_frames.json", choices)


def _choice(path: Path, video: Any) -> FrameChoice:
    """The annotated frames of one of VLN's longer videos."""
    raw = video if isinstance(video, dict) else {}
    length, places = raw.get("length"), raw.get("sparse_frame_indices")
    if isinstance(length, int) and isinstance(places, list):
        chosen = [place for place in places if isinstance(place, int) and 0 <= place < length]
        if len(chosen) == len(places):
            return FrameChoice(length, tuple(sorted(set(chosen))))
    what = f"{path} has a video whose sparse_frame_indices are not places among its frames"
    raise UserError(what, "make it again; " + _SOURCE)


def choose(reader: Benchmark, root: Path, split: str, files: str) -> Benchmark:
    """The reader itself, or one of the preprocessed file.

    Args:
        files: ``original``, ``preprocessed``, or ``auto``: the original files where they are all there.

    Raises:
        MissingFile: the preprocessed file was asked for and is not there.
    """
    names: PreprocessedNames | None = getattr(reader, "preprocessed", None)
    if names is None or files == "original":
        return reader
    path = names.find(root, split, needed=files == "preprocessed")
    if path is None or (files == "auto" and _readable(reader)):
        return reader
    return PreprocessedBenchmark(path, root, names, split, reader.iou)


def _readable(reader: Benchmark) -> bool:
    """Whether the original files are there."""
    try:
        next(iter(reader.clips()), None)
    except MissingFile:
        return False
    return True


def clips_of(path: Path, folder: Path | None, remedy: str) -> Iterator[Clip]:
    """The videos of a ground truth file, without annotations.

    Args:
        folder: what the last two parts of the frames' names are relative to; None for no pictures.
    """
    truth = TruthFile(path)
    for index, video in enumerate(truth.videos):
        names = truth.file_names(index)
        shown = [_below(name, folder) for name in names]
        numbers = _numbers(names)
        yield Clip(
            video_id=video.id,
            name=PurePosixPath(names[0]).parent.name if names and names[0] else str(video.id),
            size=video.size,
            image_ids=tuple(i for i in video.images if isinstance(i, int)),
            numbers=numbers,
            file_names=tuple(shown),
            annotations=(),
            source=FrameFolder(folder, dict(zip(numbers, shown, strict=True)), remedy, stated(video.size))
            if folder
            else None,
        )


def _below(name: str, folder: Path | None) -> str:
    """A frame's name under the folder: released names may have folders above the video's."""
    short = "/".join(name.split("/")[-2:])
    return name if folder and not (folder / short).exists() and (folder / name).exists() else short


def _numbers(names: Sequence[str]) -> tuple[int, ...]:
    """The numbers of a video's frames as their names have them; their places where the names are no numbers."""
    stems = [PurePosixPath(name).stem for name in names]
    numbers = [int(stem) for stem in stems if stem.isdecimal()]
    in_order = len(numbers) == len(stems) and all(a < b for a, b in pairwise(numbers))
    return tuple(numbers) if in_order else tuple(range(len(names)))
