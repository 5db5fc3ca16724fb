"""One run or training on an OUT at a time: a lock that the system frees when its holder dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from capgen.dataset.layout import RunLayout, refuse_links
from capgen.errors import UserError


@contextmanager
def exclusive(out: Path) -> Iterator[None]:
    """Hold ``OUT/.lock`` for as long as the block runs.

    Raises:
        UserError: another process holds it (says which process on which machine), OUT cannot be written, or something
            in it is a link that would lead writes elsewhere.
    """
    refuse_links(out)
    path = RunLayout(out).lock
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except OSError as error:
        raise UserError(f"{out} cannot be written: {error.strerror}", "choose another --out") from error
    try:
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode(), 0)
        yield
    finally:
        _leave_nothing(path, made)
        os.close(descriptor)


def _locked(path: Path) -> int:
    """The lock's file, open and held; opened again where its holder took it away meanwhile.

    Raises:
        UserError: another run holds it.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(descriptor, path):
                return descriptor
        except BlockingIOError:
            holder = _holder(descriptor)
            os.close(descriptor)
            raise UserError(f"{path.parent} is in use by {holder}", "wait for it or choose another --out") from None
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
    except (ValueError, KeyError, TypeError):
        return "another process"
