"""Captions beside their references, by key, as every score takes them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from capgen.errors import UserError
from capgen.evaluation.metrics.text.captions import caption_text
from capgen.evaluation.region_captions.json_files import read_captions
from capgen.text import tidy


@dataclass(frozen=True, slots=True)
class TextPair:
    """The caption of a region, empty where there is none, and its references."""

    key: str
    candidate: str
    references: tuple[str, ...]


def read_pairs(truth: Path | None, predictions: Path) -> tuple[list[TextPair], list[str]]:
    """The captions of all regions with a reference, or all captions where there is no file of references; and notes.

    Raises:
        UserError: a file cannot be read, a region has two captions, or none has both a caption and a reference.
    """
    said = read_captions(predictions)
    known: Mapping[str, tuple[str, ...]] = dict.fromkeys(said, ()) if truth is None else read_captions(truth)
    references = {key: tuple(text for text in map(tidy, texts) if caption_text(text)) for key, texts in known.items()}
    if truth is not None:
        references = {key: texts for key, texts in references.items() if texts}
    twice = next((key for key in references if len(said.get(key, ())) > 1), None)
    if twice is not None:
        raise UserError(f"{predictions}: {twice} has {len(said[twice])} captions", "give every region one caption")
    if not references.keys() & said.keys():
        what = f"no region has a reference in {truth}" if truth else "it holds no caption"
        raise UserError(f"{predictions}: {what}", "use the same keys in both files")
    pairs = [TextPair(key, tidy(said.get(key, ("",))[0]), texts) for key, texts in references.items()]
    missing, stray = len(references.keys() - said.keys()), len(said.keys() - references.keys())
    notes = [f"{missing:,} regions have no caption and score 0"] if missing else []
    return pairs, notes + ([f"{stray:,} captions have no reference and are left out"] if stray else [])
