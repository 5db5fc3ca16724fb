"""Which folders of this machine stand for a bucket: OUTs and roots that were given as URLs.

Everything that reads and writes a run does so in a folder. Where ``--out`` or OUT is a URL, that folder is a copy in
``CAPGEN_SCRATCH`` (default: the system's folder for temporary files), the same path on every machine of a cluster.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Literal

from capgen.buckets.store import is_url
from capgen.errors import UserError

Use = Literal["run", "read", "root"]

_URLS: dict[Path, str] = {}


def scratch() -> Path:
    """The folder of all copies; only this user may read it."""
    given = os.environ.get("CAPGEN_SCRATCH")
    return Path(given or Path(tempfile.gettempdir(), f"capgen-{os.getuid()}")).resolve()


def local_place(text: str, use: Use) -> Path:
    """The folder that stands for a place: itself, or the copy of a URL.

    Args:
        use: copies of runs that are written and of those that are only read are different ones.

    Raises:
        UserError: the folder of all copies is somebody else's, or cannot be made.
    """
    if not is_url(text):
        return Path(text)
    url = text.rstrip("/")
    name = "".join(c if c.isalnum() or c in "-_" else "_" for c in url.rpartition("/")[2])[:40]
    _own(scratch())
    folder = scratch() / use / f"{hashlib.sha256(url.encode()).hexdigest()[:16]}-{name}"
    remember(folder, url)
    return folder


def _own(folder: Path) -> None:
    """Make the folder of all copies, for this user alone."""
    remedy = "name a folder of your own in CAPGEN_SCRATCH"
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        owner = folder.stat().st_uid
    except OSError as error:
        raise UserError(f"{folder} cannot be made: {error.strerror}", remedy) from None
    if owner != os.getuid():
        raise UserError(f"{folder} belongs to another user", remedy)


def remember(folder: Path, url: str) -> None:
    """Note, in this process, what a folder is the copy of."""
    _URLS[folder] = url


def url_of(folder: Path | str | None) -> str | None:
    """What a folder is the copy of; None where it is none."""
    return None if folder is None else _URLS.get(Path(folder))


def shown(text: str) -> str:
    """A text for people in which copies have the names of what they are copies of."""
    for folder, url in _URLS.items():
        text = text.replace(str(folder), url)
    return text
