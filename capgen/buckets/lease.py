"""One writer at a time on a prefix of a bucket: numbered leases, each made by one conditional request.

The holder of the highest number has it, as long as it renews the time in it. Whoever comes later makes the next number,
which only one can. A holder finds at its next renewal that there is a higher number, and stops.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from uuid import uuid4

from capgen.buckets.store import BucketRefused, BucketTrouble, ObjectStore
from capgen.errors import UserError
from capgen.redaction import shown_url

log = logging.getLogger(__name__)

FOLDER = ".lease"
_NAME = re.compile(rf"{re.escape(FOLDER)}/(\d{{8,15}})\.json")
_LARGEST = 65_536  # bytes of a lease
RENEWED_S = 10.0
STALE_S = 60.0


@dataclass(slots=True)
class Lease:
    """A held lease.

    Args:
        lost: whether somebody else has taken it since.
    """

    store: ObjectStore
    number: int
    token: str = field(default_factory=lambda: uuid4().hex)
    lost: bool = False

    def renew(self) -> None:
        """Say that its holder lives, unless it was taken."""
        about = _read(self.store, self.number) if _highest(self.store) == self.number else None
        if about is None or about.get("token") != self.token:
            self.lost = True
            return
        self.store.write(_name(self.number), self.body())

    def body(self) -> bytes:
        """What its object holds: who, and when it was renewed last (seconds since 1970, by the holder's clock)."""
        about = {"host": socket.gethostname(), "pid": os.getpid(), "token": self.token, "renewed": time.time()}
        return json.dumps(about).encode()

    def check(self) -> None:
        """Stop whoever has lost it.

        Raises:
            BucketTrouble: it was taken.
        """
        if self.lost:
            raise BucketTrouble(f"writing to {self.store.url}", "another run has taken it over")


@contextmanager
def held(store: ObjectStore, *, stale_s: float = STALE_S, renewed_s: float = RENEWED_S) -> Iterator[Lease]:
    """Hold the prefix for as long as the block runs.

    Args:
        stale_s: a lease that was not renewed for so long belongs to nobody any more.

    Raises:
        UserError: somebody else holds it; says who.
    """
    lease = _taken(store, stale_s, renewed_s)
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(renewed_s) and not lease.lost:
            try:
                lease.renew()
            except (BucketTrouble, BucketRefused, OSError):
                continue  # the next one may get through; a lease lives through several that do not

    thread = threading.Thread(target=renew, name="lease", daemon=True)
    thread.start()
    try:
        yield lease
    finally:
        ended.set()
        thread.join(renewed_s)
        if not lease.lost:
            store.delete([_name(lease.number)])


def holder(store: ObjectStore, stale_s: float = STALE_S) -> str | None:
    """Who holds a prefix, such as ``process 12 on node3``; None where nobody does."""
    number = _highest(store)
    about = None if number is None else _read(store, number)
    if about is None or _age(about) > stale_s or _is_dead(about):
        return None
    return f"process {str(about.get('pid'))[:20]} on {str(about.get('host'))[:100]}"


def _taken(store: ObjectStore, stale_s: float, renewed_s: float) -> Lease:
    for _ in range(5):
        number = _highest(store)
        who = holder(store, stale_s)
        if number is not None and who is None:
            # The clocks of two machines may differ: nobody is taken for dead who renews it now.
            before = _read(store, number)
            if before is not None and not _is_dead(before):
                log.warning(
                    "%s was held by process %s on %s; waiting %.0f s for a sign of it",
                    *(shown_url(store.url), before.get("pid"), before.get("host"), 1.5 * renewed_s),
                )
                time.sleep(1.5 * renewed_s)
            if _read(store, number) != before:
                who = "a process on a machine whose clock differs"
        if who is not None:
            raise UserError(
                f"{store.url} is in use by {who}", f"wait until it ends, or {stale_s:.0f} s after it was killed"
            )
        lease = Lease(store, (number or 0) + 1)
        if store.create(_name(lease.number), lease.body()):
            store.delete([_name(number)] if number is not None else [])
            return lease
    raise UserError(f"{store.url} is in use: others keep taking it", "run one command on it at a time")


def _highest(store: ObjectStore) -> int | None:
    named = (_NAME.fullmatch(name) for name in store.list(f"{FOLDER}/"))
    return max((int(found[1]) for found in named if found), default=None)


def _name(number: int) -> str:
    return f"{FOLDER}/{number:08d}.json"


def _read(store: ObjectStore, number: int) -> dict[str, object] | None:
    try:
        about = json.loads(store.read(_name(number), _LARGEST))
    except (FileNotFoundError, ValueError, RecursionError):
        return None
    return about if isinstance(about, dict) else None


def _is_dead(about: Mapping[str, object]) -> bool:
    """Whether its holder was a process of this machine that is gone."""
    pid = about.get("pid")
    if about.get("host") != socket.gethostname() or not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _age(about: Mapping[str, object]) -> float:
    """Seconds since it was renewed, by this machine's clock."""
    renewed = about.get("renewed")
    return time.time() - renewed if isinstance(renewed, int | float) else float("inf")
