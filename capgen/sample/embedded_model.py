"""Where the embedded models lie, and whether their files are the ones that were published."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from capgen.errors import MissingFile, UnknownName, UserError

EMBEDDED: Mapping[str, str] = {"embedded": "embedded", "embedded-judge": "embedded_judge"}
"""Folders of the captioner and of the model that answers the judge's questions, by what commands call them."""
SUMS = "sha256.json"
"""In the model's folder: the size in bytes and the SHA-256 of each file that decides what the model says."""


def model_dir(name: str = "embedded") -> Path:
    """The folder of an embedded model, its files checked; any engine takes it as a model.

    Raises:
        UnknownName: there is no such model.
        UserError: a file is missing, truncated, or not the published one.
    """
    if name not in EMBEDDED:
        raise UnknownName("embedded model", name, EMBEDDED)
    folder = Path(__file__).resolve().parent / EMBEDDED[name]
    verify(folder)
    return folder


def weights_digest() -> str:
    """The published SHA-256 of the captioner's weights: the revision that rows name."""
    sums = Path(__file__).resolve().parent / EMBEDDED["embedded"] / SUMS
    digest: str = json.loads(sums.read_text(encoding="utf-8"))["model.safetensors"][1]
    return digest


def verify(folder: Path) -> None:
    """Compare a model folder's files with the sizes and hashes that it states.

    Raises:
        UserError: a file is missing, truncated, or not the published one.
    """
    sums = folder / SUMS
    again = f"restore it: pip install --force-reinstall capgen, or git checkout capgen/sample/{folder.name}"
    if not sums.is_file():
        raise MissingFile(sums, again)
    for name, (size, digest) in json.loads(sums.read_text(encoding="utf-8")).items():
        file = folder / name
        if not file.is_file():
            raise MissingFile(file, again)
        found = file.stat().st_size
        if found < size:
            raise UserError(f"{file} is truncated: {found:,} of {size:,} bytes", again)
        if found != size or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise UserError(f"{file} is not the published file: its SHA-256 differs", again)
