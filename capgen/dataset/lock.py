"""One run or training on an OUT at a time: a lock that the system frees when its holder dies.

Some network file systems (Lustre without its option, NFSv3) have no such lock. There the lock is a file that only one
process can create, whose time the holder renews; one that was not renewed for a minute belongs to nobody any more.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import re
import socket
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from capgen.dataset.files import disk_trouble, remove_parts, telling_disk_trouble
from capgen.dataset.layout import RUN_ENTRIES, OwnEntries, RunLayout, lock_of, refuse_links
from capgen.encoding import check_name
from capgen.errors import UserError

log = logging.getLogger(__name__)

_UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})
_RENEWED_S = 10.0
_STALE_S = 60.0
_TRIES = 3  # whoever looks at the lock has it for an instant
_TRY_AGAIN_S = 0.05


class InUse(UserError):
    """Another process writes there."""


@contextmanager
def exclusive(out: Path, own: OwnEntries = RUN_ENTRIES) -> Iterator[None]:
    """Hold ``OUT/.lock`` for as long as the block runs.

    Args:
        own: what is written to OUT.

    Raises:
        InUse: another process holds it (says which process on which machine).
        UserError: OUT cannot be written, or something in it is a link that would lead writes elsewhere.
    """
    check_name(out)
    refuse_links(out, own)
    path = RunLayout(out).lock
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except OSError as error:
        trouble = disk_trouble(error, out)
        raise trouble or UserError(f"{out} cannot be written: {error.strerror}", "choose another --out") from error
    try:
        if descriptor is None:
            log.warning("%s is on a file system without locks; a lock file is used there instead", out)
            with _lock_file(RunLayout(out).lock_file, out):
                yield
            return
        with telling_disk_trouble(out):
            _sign(descriptor)
        yield
    finally:
        _leave_nothing(path, made)
        if descriptor is not None:
            os.close(descriptor)


@contextmanager
def exclusive_file(path: Path) -> Iterator[None]:
    """Hold a file that is being made, by ``.<name>.lock`` beside it, which is gone afterwards.

    What a killed process left half-written of the file is deleted.

    Raises:
        InUse: another process is making it.
        UserError: its folder cannot be written.
    """
    check_name(path)
    lock = lock_of(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(lock, path)
    except OSError as error:
        trouble = disk_trouble(error, path.parent)
        raise trouble or UserError(f"{path} cannot be written: {error.strerror}", "give another place") from error
    if descriptor is None:
        with _lock_file(lock, path):
            remove_parts(path.parent, re.compile(re.escape(path.name)))
            yield
        return
    try:
        with telling_disk_trouble(path.parent):
            _sign(descriptor)
        remove_parts(path.parent, re.compile(re.escape(path.name)))
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


@contextmanager
def in_turn(path: Path) -> Iterator[None]:
    """Hold a lock's file for as long as the block runs, and wait as long as another process or thread has it.

    Where the file system has no locks nobody waits.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        yield


def lock_holder(out: Path) -> str | None:
    """Who works on OUT at the moment, such as ``process 12 on node3``; None where nobody does."""
    layout = RunLayout(out)
    if layout.lock_file.exists() and not _is_stale(layout.lock_file):
        return _named(layout.lock_file)
    try:
        descriptor = os.open(layout.lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _holder(descriptor)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return None


def _sign(descriptor: int) -> None:
    """Write who holds a lock into its file."""
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, _me(), 0)


def _me() -> bytes:
    return json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()


@contextmanager
def _lock_file(path: Path, held: Path) -> Iterator[None]:
    """Hold a lock that is a file.

    Args:
        held: what it locks.

    Raises:
        InUse: another process holds it.
    """
    _create(path, held)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(_RENEWED_S):
            with suppress(OSError):  # taken over, or the network is away: the next renewal may reach it
                os.utime(path)

    threading.Thread(target=renew, name="renew-lock", daemon=True).start()
    try:
        yield
    finally:
        ended.set()
        if path.exists() and path.read_bytes() == _me():
            path.unlink(missing_ok=True)


def _create(path: Path, held: Path) -> None:
    """Create the lock's file with this process in it, in the place of a stale one."""
    for _ in range(_TRIES):
        with suppress(FileExistsError):
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            os.write(descriptor, _me())
            os.close(descriptor)
            return
        if not _is_stale(path):
            break
        with suppress(FileNotFoundError):  # somebody else has just taken it away
            taken = path.with_name(f"{path.name}.{os.getpid()}")
            path.rename(taken)
            if _is_stale(taken):
                taken.unlink()
            else:  # somebody else took the stale one away first, and this is theirs
                taken.rename(path)
    raise InUse(
        f"{held} is in use by {_named(path)}",
        f"wait for it or give another place; if that process is gone, try again in {_STALE_S:g} s",
    )


def _is_stale(path: Path) -> bool:
    """Whether the holder of a lock's file is gone: its process on this machine, or its renewals."""
    try:
        renewed = path.stat().st_mtime
        holder = json.loads(path.read_bytes())
        if holder["host"] == socket.gethostname():
            return not Path(f"/proc/{int(holder['pid'])}").exists() if Path("/proc/self").exists() else False
    except FileNotFoundError:
        return True
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass  # being written, or by a stranger: its age decides
    return _now_at(path.parent) - renewed > _STALE_S


def _now_at(folder: Path) -> float:
    """The time by the clock that gives files of this folder their times, which may be another machine's."""
    try:
        with tempfile.NamedTemporaryFile(prefix=".clock.", dir=folder) as probe:  # a new file: through no link
            return os.fstat(probe.fileno()).st_mtime
    except OSError:
        return time.time()


def _named(path: Path) -> str:
    try:
        holder = json.loads(path.read_bytes())
        return f"process {holder['pid']} on {holder['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _locked(path: Path, held: Path | None = None) -> int | None:
    """The lock's file, open and held; opened again where its holder took it away meanwhile.

    None where the file system has no locks.

    Args:
        held: what it locks; None is the folder in which it lies.

    Raises:
        InUse: another process holds it.
    """
    tries = 0
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = _holder(descriptor)
            tries += 1
            if tries < _TRIES:
                os.close(descriptor)
                time.sleep(_TRY_AGAIN_S)
                continue
            os.close(descriptor)
            raise InUse(f"{held or path.parent} is in use by {holder}", "wait for it or give another place") from None
        except OSError as error:
            os.close(descriptor)
            if error.errno in _UNSUPPORTED:
                return None
            raise
        os.close(descriptor)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of this name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _leave_nothing(path: Path, made: Sequence[Path]) -> None:
    """Remove the lock and the folders made for it where nothing else came into OUT: the run did not even start."""
    if not made or any(entry != path for entry in path.parent.iterdir()):
        return
    with suppress(OSError):
        path.unlink()
        for folder in made:
            folder.rmdir()


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "another process"
