"""Where the embedded captioner lies, and whether its files are the ones that were published."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from capgen.errors import MissingFile, UserError

SUMS = "sha256.json"
"""In the model's folder: the size in bytes and the SHA-256 of each file that decides what the model says."""
_AGAIN = "restore it: pip install --force-reinstall capgen, or git checkout capgen/sample/embedded"


def model_dir() -> Path:
    """The folder of the embedded captioner, its files checked; any engine takes it as a model.

    Raises:
        UserError: a file is missing, truncated, or not the published one.
    """
    folder = Path(__file__).resolve().parent / "embedded"
    verify(folder)
    return folder


def weights_digest() -> str:
    """The published SHA-256 of the weights: the revision that rows name."""
    sums = Path(__file__).resolve().parent / "embedded" / SUMS
    digest: str = json.loads(sums.read_text(encoding="utf-8"))["model.safetensors"][1]
    return digest


def verify(folder: Path) -> None:
    """Compare a model folder's files with the sizes and hashes that it states.

    Raises:
        UserError: a file is missing, truncated, or not the published one.
    """
    sums = folder / SUMS
    if not sums.is_file():
        raise MissingFile(sums, _AGAIN)
    for name, (size, digest) in json.loads(sums.read_text(encoding="utf-8")).items():
        file = folder / name
        if not file.is_file():
            raise MissingFile(file, _AGAIN)
        found = file.stat().st_size
        if found < size:
            raise UserError(f"{file} is truncated: {found:,} of {size:,} bytes", _AGAIN)
        if found != size or hashlib.sha256(file.read_bytes()).hexdigest() != digest:
            raise UserError(f"{file} is not the published file: its SHA-256 differs", _AGAIN)
