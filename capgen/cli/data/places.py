"""OUT and ``--root`` as folders or as URLs of a bucket: what verbs get is always a folder of this machine."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from capgen.buckets.places import local_place, url_of
from capgen.buckets.store import is_url
from capgen.dataset.layout import RunLayout, lock_of
from capgen.errors import CapgenError

if TYPE_CHECKING:
    from capgen.dataset.remote.mirror import Mirror

_LOG = logging.getLogger(__name__)
_FOLLOW_S = 10.0
_MIRRORS: dict[Path, Mirror] = {}


def new_out(text: str) -> Path:
    """OUT of a verb that runs: it takes what is in the bucket when it holds it."""
    return local_place(text, "run")


def finished_out(text: str) -> Path:
    """OUT of a verb that reads: the copy has what the bucket has.

    Raises:
        UserError: the bucket cannot be read.
    """
    return _read(text, rows=True)


def out_at_a_glance(text: str) -> Path:
    """As ``finished_out``, without the rows of finished shards."""
    return _read(text, rows=False)


def out_to_run(out: Path) -> Path:
    """The folder in which a verb runs on, for one that it has read."""
    url = url_of(out)
    return out if url is None else local_place(url, "run")


def dataset_root(text: str) -> Path:
    """The root of a dataset: of one in a bucket annotations are copied, and pictures when they are looked at.

    Raises:
        UserError: the bucket cannot be read, or nothing is there.
    """
    folder = local_place(text, "root")
    if is_url(text):
        from capgen.buckets.roots import open_root
        from capgen.images import SUFFIXES
        from capgen.videos.frames import VIDEO_SUFFIXES

        open_root(text.rstrip("/"), folder).list((*SUFFIXES, *VIDEO_SUFFIXES))
    return folder


def follow(out: Path) -> None:
    """Go on taking what is new in the bucket, and giving what people say, until the process ends."""
    mirror = _MIRRORS.get(out)
    if mirror is None:
        return

    def work() -> None:
        while True:
            threading.Event().wait(_FOLLOW_S)
            try:
                give_back()
                mirror.pull()
            except (CapgenError, OSError) as error:  # the next round gives and takes what this one could not
                _LOG.warning("the bucket is asked again in %.0f s: %s", _FOLLOW_S, error)

    threading.Thread(target=work, name="bucket", daemon=True).start()


def give_back() -> None:
    """Bring what a verb has written beside a run into the bucket: reviews, calibrations, reports and judgements."""
    for out, mirror in _MIRRORS.items():
        mirror.give(RunLayout(out).beside_a_run())


def give_written(out: Path) -> None:
    """Bring the report of a run into its bucket, where it is in one."""
    url = url_of(out)
    if url is not None:
        from capgen.dataset.remote.mirror import Mirror

        Mirror(url, out).give(RunLayout(out).beside_a_run())


def _read(text: str, *, rows: bool) -> Path:
    folder = local_place(text, "read")
    if is_url(text):
        from capgen.dataset.lock import in_turn
        from capgen.dataset.remote.mirror import Mirror

        mirror = _MIRRORS[folder] = Mirror(text.rstrip("/"), folder)
        mirror.store.check()
        folder.mkdir(parents=True, exist_ok=True)
        with in_turn(lock_of(folder)):  # a training's processes all begin at once
            mirror.begin(rows_too=rows)
    return folder
