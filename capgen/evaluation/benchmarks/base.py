"""What a benchmark is to the evaluator: ground truth in one form, frames for a model, and the sizes to check it by."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, Literal, Protocol

from capgen.dataset.files import whole_file
from capgen.encoding import read_text
from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.frames import NumberedFrames
from capgen.evaluation.reading.tracks import Id, Iou
from capgen.images import Pixels

Reading = Literal["official", "clean"]


CAPTIONFORMER_THRESHOLD = 0.0
"""CaptionFormer's evaluation scripts count every score above 0: the model has filtered its tracks already."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One video of a benchmark, as it is evaluated.

    Args:
        size: height, width in pixels; 0, 0 where the benchmark compares boxes and states none.
        image_ids: the evaluated frames, by the ids of the public conversion.
        numbers: their frame numbers in ``source``.
        file_names: their names, for the page of examples.
        annotations: COCO annotations without ``id``, on ``image_ids``.
    """

    video_id: Id
    name: str
    size: tuple[int, int]
    image_ids: tuple[int, ...]
    numbers: tuple[int, ...]
    file_names: tuple[str, ...]
    annotations: tuple[dict[str, Any], ...]
    source: NumberedFrames | None = None

    def frames(self) -> Iterator[Pixels]:
        """The evaluated frames, uint8 [H, W, 3] RGB, in order."""
        return self.at(self.numbers)

    def at(self, numbers: Iterable[int]) -> Iterator[Pixels]:
        """Frames by number: a model may look at others than those that are evaluated.

        Raises:
            UserError: the benchmark has no pictures here.
        """
        if self.source is None:
            raise UserError(f"video {self.name} has no pictures under --root", "see capgen eval benchmark --describe")
        return self.source.read(sorted(numbers))


@dataclass(frozen=True, slots=True)
class PublishedSize:
    """A size of the benchmark: what was published, and what is here. None is unknown."""

    name: str
    published: int | float | None
    found: int | float | None
    source: str

    @property
    def verdict(self) -> str:
        """``ok``, ``differs``, or empty where one of the two is unknown."""
        if self.published is None or self.found is None:
            return ""
        close = abs(self.found - self.published) <= (0.05 if isinstance(self.published, float) else 0)
        return "ok" if close else "differs"


class Predictor(Protocol):
    """A model: the predictions of one clip, COCO-style, an object a detection."""

    def __call__(self, clip: Clip) -> Iterable[dict[str, Any]]:
        """``image_id`` (one of the clip's), ``track_id``, ``score``, ``caption``, ``bbox`` or ``segmentation``."""
        ...


class Benchmark(Protocol):
    """A reader of one benchmark's files as their owners release them.

    Constructed with ``root`` and ``split``, and with ``reading``: ``official`` is the published conversion,
    ``clean`` departs from it where the reader's docstring says so. Other fields are options of the reader. The class
    attribute ``track_captions = True`` adds the caption scores of whole tracks, where boxes are compared.
    """

    @property
    def iou(self) -> Iou:
        """What the benchmark compares."""
        ...

    @property
    def threshold(self) -> float:
        """The score that predictions must pass in the published evaluation."""
        ...

    def clips(self) -> Iterator[Clip]:
        """Every video of the split, one in memory at a time.

        Raises:
            UserError: a part of the benchmark is missing or bad; the line says where it comes from.
        """
        ...

    def truth(self, folder: Path) -> Path:
        """The ground truth as one JSON file, written under ``folder`` where the release is not in that form."""
        ...

    def describe(self) -> list[PublishedSize]:
        """The sizes of what is under ``root``, beside the published ones."""
        ...


def find(root: Path, names: Iterable[str], remedy: str) -> Path:
    """The first of ``names`` (paths relative to ``root``) that exists.

    Raises:
        MissingFile: none does; the first is named.
    """
    tried = list(names)
    for name in tried:
        if (root / name).exists():
            return root / name
    raise MissingFile(root / tried[0], remedy)


@contextmanager
def published_form(where: str, remedy: str) -> Iterator[None]:
    """Make one line of whatever a value of a wrong kind in an owner's file raises while it is converted.

    Args:
        where: the file, and the video in it where it is known.

    Raises:
        UserError: something is missing there, or of another kind than its owners publish.
    """
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = f"{type(error).__name__}: {str(error)[:100]}".encode("utf-8", "backslashreplace").decode()
        what = f"{where} is not in the form that its owners publish ({' '.join(reason.split())})"
        raise UserError(what, remedy) from error


def read_json(path: Path) -> Any:
    """A JSON file, whole; integers of any size stay exact.

    Raises:
        UserError: it is no JSON.
    """
    try:
        return json.loads(read_text(path))
    except MissingFile as error:
        raise MissingFile(path, "check --root") from error
    except RecursionError as error:
        raise UserError(f"{path} is nested too deeply", "download it again") from error
    except ValueError as error:  # also a number of more digits than Python reads
        raise UserError(f"{path} is not valid JSON ({error})", "download it again") from error


def write_truth(clips: Iterable[Clip], categories: list[dict[str, Any]], path: Path) -> Path:
    """Write clips as a COCO ground truth, one in memory at a time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images = annotations = 0
    with (
        whole_file(path) as part,
        TemporaryFile("w+", encoding="utf-8") as aside,
        part.open("w", encoding="utf-8") as out,
    ):
        out.write(f'{{"categories": {json.dumps(categories)}, "images": [')
        for clip in clips:
            for image_id, name in zip(clip.image_ids, clip.file_names, strict=True):
                height, width = clip.size
                image = {"id": image_id, "video_id": clip.video_id, "file_name": name, "height": height, "width": width}
                out.write((",\n" if images else "\n") + json.dumps(image))
                images += 1
            for annotation in clip.annotations:
                aside.write((",\n" if annotations else "\n") + json.dumps({"id": annotations + 1, **annotation}))
                annotations += 1
        out.write('], "annotations": [')
        aside.seek(0)
        shutil.copyfileobj(aside, out)
        out.write("]}\n")
    return path


def annotation(image_id: int, track_id: Id, caption: str, **shape: Any) -> dict[str, Any]:
    """A COCO annotation of the one category that these benchmarks are evaluated with."""
    return {"image_id": image_id, "category_id": 1, "track_id": track_id, "caption": caption, "iscrowd": 0, **shape}
