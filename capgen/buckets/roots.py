"""Datasets whose root is in a bucket: annotations are copied at once, pictures and videos when they are looked at.

Until then an empty file stands for a picture, so that sources find it as in a folder. Copies of pictures are deleted
again, the oldest first, where they take more than ``CAPGEN_SCRATCH_GIB`` (default 20) on a machine.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

from capgen.buckets.places import remember
from capgen.buckets.store import ObjectStore, misnamed
from capgen.errors import UserError

_AT_ONCE = 16  # requests

_ROOTS: dict[Path, RootCopy] = {}


class RootCopy:
    """The copy of a dataset's root on this machine, which fills while it is used.

    Args:
        url: the root in the bucket.
        folder: the copy.
    """

    def __init__(self, url: str, folder: Path) -> None:
        self.store, self.folder = ObjectStore(url), folder
        self._room = float(os.environ.get("CAPGEN_SCRATCH_GIB", "20")) * 2**30
        self._held: OrderedDict[Path, int] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()
        self._fetching: dict[Path, threading.Lock] = {}
        self._pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="fetch")

    def list(self, later: Collection[str]) -> None:
        """Copy annotations, and have an empty file for every picture and video.

        Args:
            later: how the names of pictures and videos end, in lower case.

        Raises:
            UserError: the bucket cannot be read, or nothing is below the URL.
        """
        self.store.check()
        there = self.store.list()
        if not there:
            raise UserError(f"{self.store.url} holds nothing", "give the URL of the dataset's folder")
        wrong = misnamed(there)
        if wrong is not None:
            raise UserError(f"{self.store.url} holds {wrong}", "rename or delete it")
        wanted = []
        for name, stamp in there.items():
            file = self.folder / name
            if PurePosixPath(name).suffix.lower() in later:
                if not file.exists():
                    file.parent.mkdir(parents=True, exist_ok=True)
                    file.touch()
            elif not file.is_file() or file.stat().st_size != stamp.size:
                wanted.append(name)
        list(self._pool.map(lambda name: self.store.download(name, self.folder / name, there[name].size), wanted))

    def fetch(self, path: Path) -> None:
        """Have a picture here; one that the bucket does not have stays missing.

        Raises:
            BucketTrouble: the bucket does not answer.
            TooLarge: it takes more than all copies together may.
        """
        with self._lock:
            lock = self._fetching.setdefault(path, threading.Lock())
        try:
            with lock:
                if not _is_filled(path):
                    self.store.download(path.relative_to(self.folder).as_posix(), path, most=self._room)
                    self._keep(path)
        except FileNotFoundError:
            return
        finally:
            with self._lock:
                self._fetching.pop(path, None)

    def fetch_ahead(self, path: Path) -> None:
        """Begin to fetch a picture, in a thread."""
        if not _is_filled(path):
            self._pool.submit(self.fetch, path)

    def _keep(self, path: Path) -> None:
        with self._lock:
            self._held[path] = path.stat().st_size
            self._bytes += self._held[path]
            while self._bytes > self._room and len(self._held) > 1:
                old, size = self._held.popitem(last=False)
                self._bytes -= size
                old.unlink(missing_ok=True)
                old.touch()


def open_root(url: str, folder: Path) -> RootCopy:
    """Have a folder stand for a root in a bucket, in this process."""
    remember(folder, url)
    if folder not in _ROOTS:
        _ROOTS[folder] = RootCopy(url, folder)
    return _ROOTS[folder]


def here(path: Path) -> Path:
    """The path of a picture, which is fetched where it lies in the copy of a bucket."""
    copy = _copy_of(path)
    if copy is not None:
        copy.fetch(path)
    return path


def soon(paths: Iterable[Path]) -> None:
    """Begin to fetch those of some pictures that lie in the copy of a bucket."""
    if not _ROOTS:
        return
    for path in paths:
        copy = _copy_of(path)
        if copy is not None:
            copy.fetch_ahead(path)


def _copy_of(path: Path) -> RootCopy | None:
    if ".." in path.parts:  # nothing is fetched to where a name climbs
        return None
    return next((copy for folder, copy in _ROOTS.items() if path.is_relative_to(folder)), None)


def _is_filled(path: Path) -> bool:
    """Whether a picture is here; an empty file only stands for it."""
    return path.is_file() and path.stat().st_size > 0
