"""A prefix of a bucket: whole objects, written by one request each, with patience for servers that fail and cut.

Names are relative to the prefix. Credentials are those that the file system's library finds in the environment; none is
taken, kept or shown here.
"""

from __future__ import annotations

import logging
import random
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from capgen.buckets.remedies import remedy_for
from capgen.encoding import is_below
from capgen.errors import CapgenError, UserError
from capgen.redaction import message, shown_url

log = logging.getLogger(__name__)

T = TypeVar("T")

_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs"}
_BUCKET_PARTS = dict.fromkeys(_PACKAGES, 1) | {"hf": 3}
"""By scheme, how many parts of a path name the bucket, which must be there: ``datasets/OWNER/NAME`` on the Hub."""
_TRIES = 8
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 5.0
_FIRST_TRIES = 3  # of a command's first request: who gave a wrong address is there, and waits for the answer
_SAID_AFTER = 2
_NOT_AGAIN = (FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, CapgenError)
"""What asking once more does not change."""
_REFUSED = (401, 403)
_LARGEST_READ = 2**30  # bytes of an object that is read into memory
_LONGEST_PART = 255  # bytes of a file's name; 20 of them are for what downloads append


class BucketTrouble(CapgenError):
    """A bucket did not do what was asked, however often: ``doing`` says what, ``why`` what it answered."""

    def __init__(self, doing: str, why: str) -> None:
        self.doing, self.why = doing, why
        super().__init__(doing, why)

    def __str__(self) -> str:
        return f"{self.doing}: {self.why}; what is done is kept, run the same command again once the bucket answers"


@dataclass(frozen=True, slots=True)
class Stamp:
    """What tells one content of an object from another: its size in bytes, and the server's tag or time."""

    size: int
    tag: str


def is_url(text: str) -> bool:
    """Whether a place is in a bucket, not a folder."""
    scheme, mark, rest = text.partition("://")
    return bool(mark and rest) and scheme.replace("+", "").isalnum() and scheme != "file"


class BucketRefused(UserError):
    """The server does not let these credentials do what was asked."""


class TooLarge(UserError):
    """An object is larger than what it is for allows, or than the disk has room for."""


def misnamed(names: Iterable[str]) -> str | None:
    """What is wrong with the first name that cannot be a file below a folder; None where all can.

    A bucket's names are any text: they may climb, be absolute, too long for a file system, or name a file and a folder
    at once.
    """
    known = set(names)
    for name in known:
        if not is_below(name):
            return f"an object called {name[:200]!r}, which leads out of a folder"
        parts = name.split("/")
        if any(not part or part == "." or len(part.encode()) > _LONGEST_PART - 20 for part in parts):
            return f"an object called {name[:200]!r}, which no file can be called"
        inside = next((above for i in range(1, len(parts)) if (above := "/".join(parts[:i])) in known), None)
        if inside is not None:
            return f"objects called {inside[:200]!r} and {name[:200]!r}: one cannot be a file and a folder"
    return None


class ObjectStore:
    """The objects below a URL; usable from several threads and, pickled, in other processes.

    Raises:
        UserError: no installed library knows such URLs, or the URL holds a password.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self._fs, self._root = _opened(self.url)

    def __reduce__(self) -> tuple[type[ObjectStore], tuple[str]]:
        return ObjectStore, (self.url,)

    def list(self, prefix: str = "", *, tries: int = _TRIES) -> dict[str, Stamp]:
        """The objects whose names begin with a prefix that ends in ``/``; all without one.

        Args:
            tries: so often a server is asked that does not answer.
        """

        def find() -> dict[str, Any]:
            self._fs.invalidate_cache()
            try:
                return dict(self._fs.find(self._path(prefix), detail=True))
            except FileNotFoundError:
                return {}

        found = self._patiently(f"listing {self._shown(prefix)}", find, tries)
        start = len(self._root) + 1
        return {
            path.lstrip("/")[start:]: _stamp(info)
            for path, info in found.items()
            if path.lstrip("/").startswith(f"{self._root}/")
            and info.get("type", "file") == "file"
            and not (path.endswith("/") and not info.get("size"))  # consoles make such objects for folders
        }

    def read(self, name: str, most: int = _LARGEST_READ) -> bytes:
        """The bytes of an object.

        Raises:
            FileNotFoundError: there is none.
            TooLarge: it has more than ``most`` bytes.
        """
        return bytes(self._patiently(f"reading {self._shown(name)}", lambda: self._whole(name, most)))

    def _whole(self, name: str, most: int) -> bytes:
        size = self._fs.info(self._path(name))["size"]
        if size > most:
            raise TooLarge(f"{self._shown(name)} has {size:,} bytes, more than any file of its kind", "delete it")
        data: bytes = self._fs.cat_file(self._path(name))
        if len(data) != size:
            raise OSError(f"{len(data)} of {size} bytes came")
        return data

    def size(self, name: str) -> int | None:
        """The bytes of an object; None where there is none."""
        try:
            return int(
                self._patiently(f"looking for {self._shown(name)}", lambda: self._fs.info(self._path(name)))["size"]
            )
        except FileNotFoundError:
            return None

    def download(self, name: str, file: Path, size: int | None = None, *, most: float = float("inf")) -> None:
        """Copy an object to a file of this machine, which is seen whole or not at all.

        Args:
            size: bytes that it must have; None asks the bucket.
            most: bytes that it may have.

        Raises:
            FileNotFoundError: there is no such object.
            TooLarge: it has more than ``most`` bytes, or than the disk has room for.
        """
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_name(f"{file.name}.{random.getrandbits(32):08x}.part")

        def fetch() -> None:
            wanted = self._fs.info(self._path(name))["size"] if size is None else size
            self._check_room(name, file.parent, wanted, most)
            self._fs.get_file(self._path(name), str(part))
            got = part.stat().st_size
            if got != wanted:
                raise OSError(f"{got} of {wanted} bytes came")

        try:
            self._patiently(f"reading {self._shown(name)}", fetch)
            part.replace(file)
        finally:
            part.unlink(missing_ok=True)

    def _check_room(self, name: str, folder: Path, size: int, most: float) -> None:
        if size > most:
            raise TooLarge(f"{self._shown(name)} has {size:,} bytes, more than {most:,.0f}", "leave it out")
        room = shutil.disk_usage(folder).free
        if size > room:
            raise TooLarge(
                f"{self._shown(name)} has {size:,} bytes, and {folder} has room for {room:,}",
                "name a folder on a larger disk in CAPGEN_SCRATCH",
            )

    def upload(self, file: Path, name: str) -> None:
        """Copy a file of this machine to an object, in place of an earlier one."""
        self._check_writable()
        self._patiently(f"writing {self._shown(name)}", lambda: self._fs.put_file(str(file), self._path(name)))

    def write(self, name: str, data: bytes) -> None:
        """Make an object, in place of an earlier one."""
        self._check_writable()
        self._patiently(f"writing {self._shown(name)}", lambda: self._fs.pipe_file(self._path(name), data))

    def create(self, name: str, data: bytes) -> bool:
        """Make an object that is not there yet, by one conditional request; False where another one is there.

        Where a reply is lost, libraries ask again on their own and find the object that they have just made: it counts
        as made where it holds these bytes, which therefore must say who writes them.
        """
        self._check_writable()

        def put() -> bool:
            try:
                self._fs.pipe_file(self._path(name), data, mode="create")
            except FileExistsError:
                return self.read(name) == data
            return True

        return self._patiently(f"writing {self._shown(name)}", put)

    def delete(self, names: Iterable[str]) -> None:
        """Delete objects; those that are not there are none of its business."""
        for name in names:
            self._check_writable()

            def remove(name: str = name) -> None:
                try:
                    self._fs.rm_file(self._path(name))
                except FileNotFoundError:
                    return

            self._patiently(f"deleting {self._shown(name)}", remove)

    def check(self) -> None:
        """Find out whether the bucket can be reached at all.

        Raises:
            UserError: it cannot; says what the server answers.
        """
        try:
            if not self.list("plan/", tries=_FIRST_TRIES):
                self._find_bucket()
        except (BucketTrouble, BucketRefused, FileNotFoundError) as error:
            said = error.__cause__ if isinstance(error, BucketRefused) else error
            why = error.why if isinstance(error, BucketTrouble) else message(str(said))
            what = f"{shown_url(self.url)} cannot be read: {why.rstrip('.')}"
            raise UserError(what, remedy_for(self._scheme, why)) from None

    def _find_bucket(self) -> None:
        """Ask for the bucket itself: of one that is not there a listing has nothing.

        Raises:
            FileNotFoundError: there is none.
        """
        parts = _BUCKET_PARTS.get(self._scheme)
        if parts is None:
            return
        bucket = "/".join(self._root.split("/")[:parts])
        self._patiently(f"looking for {bucket}", lambda: self._fs.ls(bucket), _FIRST_TRIES)

    def _check_writable(self) -> None:
        """That this is no repository of the Hub: every file would be a commit, and nothing there is conditional.

        Raises:
            BucketRefused: it is one.
        """
        if self._scheme == "hf":
            what = f"{shown_url(self.url)}: nothing is written to the Hub file by file"
            raise BucketRefused(what, "name a folder or a bucket, and `capgen push` the finished run")

    @property
    def _scheme(self) -> str:
        return self.url.partition("://")[0]

    def _path(self, name: str) -> str:
        return f"{self._root}/{name}".rstrip("/")

    def _shown(self, name: str) -> str:
        return f"{shown_url(self.url)}/{name}"

    def _patiently(self, doing: str, request: Callable[[], T], tries: int = _TRIES) -> T:
        """Ask again, with growing waits, until the bucket answers.

        Raises:
            BucketRefused: these credentials may not do that.
            BucketTrouble: it has not answered so many times.
        """
        wait = _FIRST_WAIT_S
        for number in range(1, tries + 1):
            try:
                return request()
            except _NOT_AGAIN:
                raise
            except PermissionError as error:
                why = message(str(error))
                raise BucketRefused(f"{doing}: {why.rstrip('.')}", remedy_for(self._scheme, why)) from error
            except Exception as error:  # what a library raises for a failing server is its own
                why = message(f"{type(error).__name__}: {error}")
                if number == tries or not _passes(error):
                    raise BucketTrouble(doing, why) from error
                level = logging.WARNING if number == _SAID_AFTER else logging.DEBUG
                log.log(level, "%s: %s; asked again in %.1f s", doing, why, wait)
            time.sleep(wait * random.uniform(0.5, 1.0))
            wait = min(2 * wait, _LONGEST_WAIT_S)
        raise AssertionError("unreachable")


def _passes(error: Exception) -> bool:
    """Whether an error may be gone at the next request: credentials, refusals and bad names stay."""
    status = getattr(getattr(error, "response", None), "status_code", None)  # of the Hub's library
    return "Credential" not in type(error).__name__ and "not valid" not in str(error) and status not in _REFUSED


def _opened(url: str) -> tuple[Any, str]:
    from fsspec.core import url_to_fs

    scheme = url.partition("://")[0]
    if "@" in url.partition("://")[2].partition("/")[0] or "?" in url:
        raise UserError(
            f"{shown_url(url)}: an address with a password or a query would end in logs and records",
            "set the credentials in the environment",
        )
    try:
        fs, root = url_to_fs(url, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        package = _PACKAGES.get(scheme)
        remedy = f"pip install {package}" if package else "use s3://, gs://, az:// or another scheme of fsspec"
        raise UserError(f"{shown_url(url)} cannot be opened: {message(str(error))}", remedy) from None
    return fs, str(root).strip("/")


def _stamp(info: Mapping[str, Any]) -> Stamp:
    tags = ("ETag", "etag", "md5Hash", "blob_id", "LastModified", "created")  # blob_id: the Hub's
    return Stamp(int(info["size"]), str(next((info[name] for name in tags if info.get(name)), "")))
