"""BURST's own files, a sequence an element, as COCO files that the evaluator reads.

Source: Athar et al., WACV 2023, arXiv:2209.12118 (github.com/Ali2500/BURST-benchmark, ANNOTATION_FORMAT.md).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TextIO

from capgen.errors import UserError
from capgen.evaluation.reading.fields import FieldError, as_id, as_size, as_text
from capgen.evaluation.reading.files import BurstForm, PredictionFile, TruthFile
from capgen.evaluation.reading.json_stream import elements, unreadable

_SEQUENCES = frozenset({"sequences"})
_REMEDY = "download it again; github.com/Ali2500/BURST-benchmark describes the form"

_NUMBER = re.compile(r"-?[0-9]{1,18}")

Image = dict[str, Any]


@contextmanager
def opened(truth: Path, predictions: Path) -> Iterator[tuple[TruthFile, PredictionFile]]:
    """Both files, ready to be read; those of BURST's form are converted for as long.

    Raises:
        UserError: a file is missing or bad.
    """
    with ExitStack() as stack:
        try:
            own = TruthFile(truth)
        except BurstForm:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            truth, predictions = burst_as_coco(truth, predictions, folder)
            own = TruthFile(truth)
        yield own, PredictionFile(predictions, own)


def is_burst(path: Path) -> bool:
    """Whether a file has BURST's form: it has sequences."""
    return next(elements(path, _SEQUENCES), None) is not None


def burst_as_coco(truth: Path, predictions: Path, folder: Path) -> tuple[Path, Path]:
    """Write both files in COCO's form, one sequence in memory at a time.

    Predictions may be on more frames than the truth; those are left out, as TrackEval does. Those that are not of
    BURST's form are taken as they are.

    Raises:
        UserError: a sequence has no such form.
    """
    gt, pred = folder / "truth" / truth.name, folder / "predictions" / predictions.name
    gt.parent.mkdir()
    pred.parent.mkdir()
    images = _write_truth(truth, gt)
    if not is_burst(predictions):
        return gt, predictions
    with pred.open("w", encoding="utf-8") as file:
        start = "["
        for number, sequence in _sequences(predictions):
            for image, local, one in _masks(predictions, number, sequence):
                known = images.get(image)
                if known is None:
                    continue
                category = one.get("category_id", sequence["track_category_ids"].get(local))
                row = _annotation(known, local, category, one) | {"score": one.get("score", 1.0)}
                file.write(start + json.dumps(row))
                start = ",\n"
        file.write("]" if start != "[" else "[]")
    return gt, pred


def _write_truth(path: Path, out: Path) -> dict[str, Image]:
    """Write the ground truth; gives its images by name."""
    images: dict[str, Image] = {}
    aside = out.with_suffix(".annotations")
    videos = []
    annotations = 0
    with aside.open("w", encoding="utf-8") as file:
        for number, sequence in _sequences(path):
            video = sequence.get("id", number)
            lists = {key: sequence.get(key) or [] for key in ("neg_category_ids", "not_exhaustive_category_ids")}
            videos.append({"id": video, "name": _folder(sequence), **lists})
            for name in sequence["annotated_image_paths"]:
                sides = {side: as_size(sequence.get(side), side) for side in ("height", "width")}
                key = f"{_folder(sequence)}/{name}"
                images[key] = {"id": len(images), "video_id": video, "file_name": key, **sides}
            for image, local, one in _masks(path, number, sequence):
                row = _annotation(images[image], local, sequence["track_category_ids"].get(local), one)
                file.write((",\n" if annotations else "") + json.dumps({"id": annotations, **row}))
                annotations += 1
    categories = [one.exact() for one in elements(path, frozenset({"categories"}))]
    with out.open("w", encoding="utf-8") as file:
        rows = {"videos": videos, "images": list(images.values()), "categories": categories}
        file.write(json.dumps(rows)[:-1] + ', "annotations": [')
        _append(aside, file)
        file.write("]}")
    aside.unlink()
    return images


def _append(path: Path, file: TextIO) -> None:
    with path.open(encoding="utf-8") as rows:
        while piece := rows.read(1 << 20):
            file.write(piece)


def _sequences(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, element in enumerate(elements(path, _SEQUENCES)):
        try:
            sequence = element.exact()
            _check(sequence)
        except UnicodeDecodeError as error:
            raise unreadable(path, element.offset, error) from error
        except FieldError as error:
            raise UserError(f"{path}: sequences[{number}] {error.what}", error.remedy) from error
        yield number, sequence


def _check(sequence: Any) -> None:
    """Look at everything that is used of a sequence but its masks.

    Raises:
        FieldError: something is missing or of another kind.
    """
    known = isinstance(sequence, dict) and isinstance(sequence.get("annotated_image_paths"), list)
    if not known or not isinstance(sequence.get("track_category_ids"), dict):
        raise FieldError("has no annotated_image_paths or no track_category_ids", _REMEDY)
    for name in ("seq_name", "dataset"):
        as_text(sequence.get(name), name)
    for side in ("height", "width"):
        as_size(sequence.get(side), side)
    for name in sequence["annotated_image_paths"]:
        as_text(name, "annotated_image_paths")
    if sequence.get("id") is not None:
        as_id(sequence["id"], "id")
    frames = sequence.get("segmentations")
    if not isinstance(frames, list) or len(frames) != len(sequence["annotated_image_paths"]):
        raise FieldError("has segmentations for another number of frames than it has frames", _REMEDY)
    for masks in frames:
        for track in masks if isinstance(masks, dict) else ():
            as_text(track, "track id")


def _masks(path: Path, number: int, sequence: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Image, track and entry of every mask of a sequence."""
    frames, names = sequence["segmentations"], sequence["annotated_image_paths"]
    for name, masks in zip(names, frames, strict=True):
        for local, one in masks.items() if isinstance(masks, dict) else ():
            if not isinstance(one, dict) or not isinstance(one.get("rle"), str):
                what = f"{path}: sequences[{number}] has a mask without rle on {name}"
                raise UserError(what, "write the counts of a COCO RLE")
            yield f"{_folder(sequence)}/{name}", local, one


def _annotation(image: Image, local: str, category: Any, one: dict[str, Any]) -> dict[str, Any]:
    track = int(local) if _NUMBER.fullmatch(local) else local
    mask = {"size": [image["height"], image["width"]], "counts": one["rle"]}
    number = int(category) if isinstance(category, str) and _NUMBER.fullmatch(category) else category
    return {"image_id": image["id"], "track_id": track, "category_id": number, "segmentation": mask}


def _folder(sequence: dict[str, Any]) -> str:
    return f"{sequence.get('dataset', '')}/{sequence.get('seq_name', '')}"
