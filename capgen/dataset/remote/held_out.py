"""A session on an OUT in a bucket: the lease, and when its copy on this machine and the bucket are made equal."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from capgen.buckets import lease
from capgen.buckets.places import url_of
from capgen.buckets.store import BucketRefused, BucketTrouble
from capgen.dataset.remote.mirror import Mirror
from capgen.errors import UserError

_LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class OutBucket:
    """The bucket of a session's OUT; where OUT is a folder, nothing has to be done.

    Args:
        mirror, held: None for a folder.
        copies: whether OUT or the dataset's root is a copy, which only this machine has as a whole.
    """

    mirror: Mirror | None = None
    held: lease.Lease | None = None
    copies: bool = False
    _telling: threading.Thread | None = None

    def tell(self, record: Path, now: bool) -> None:
        """Bring the record of a session into the bucket, so that others see how the run stands.

        Nothing waits for that and nothing ends by it: the next record may get through, and ``give`` brings the last.

        Args:
            now: come back when it is there; otherwise a thread does it, unless it has one in hand.
        """
        if self.mirror is None or (self._telling is not None and self._telling.is_alive() and not now):
            return
        if self._telling is not None:
            self._telling.join()
        self._telling = threading.Thread(target=self._bring, args=(record,), name="session record", daemon=True)
        self._telling.start()
        if now:
            self._telling.join()

    def _bring(self, record: Path) -> None:
        assert self.mirror is not None
        if self.held is not None and self.held.lost:
            return
        try:
            self.mirror.give([record])
        except (BucketTrouble, BucketRefused, OSError) as error:
            _LOG.debug("%s", error)

    def give(self) -> None:
        """Bring what was written here into the bucket; workers must not be writing.

        Raises:
            BucketTrouble: it does not answer, or another run has taken it over.
        """
        if self.mirror is not None and self.held is not None:
            self.held.check()
            self.mirror.push()

    def bring(self, file: Path) -> None:
        """Bring one file into the bucket at once; ``give`` leaves it alone then.

        Raises:
            BucketTrouble: as ``give``.
        """
        if self.mirror is not None and self.held is not None:
            self.held.check()
            self.mirror.give([file])

    @contextmanager
    def shared(self) -> Iterator[None]:
        """While workers write to the bucket; afterwards this machine has what they wrote, however they ended."""
        try:
            yield
        except BaseException:
            with suppress(BucketTrouble, BucketRefused, OSError):  # what ended the run is the error to tell
                self._take()
                self.give()
            raise
        self._take()

    def _take(self) -> None:
        if self.mirror is not None:
            self.mirror.pull()


@contextmanager
def open_bucket(out: Path, root: Path | None, *, fork: bool = False) -> Iterator[OutBucket]:
    """Hold the bucket that ``out`` is the copy of, and make the copy equal to it; for a folder, nothing.

    Args:
        root: the dataset's.

    Raises:
        UserError: somebody else works on it, it cannot be reached, or it is to be forked.
    """
    url = url_of(out)
    if url is None:
        yield OutBucket(copies=url_of(root) is not None)
        return
    if fork:
        raise UserError(f"--fork does not work with an OUT in a bucket ({url})", "give another --out")
    mirror = Mirror(url, out)
    mirror.store.check()
    with lease.held(mirror.store) as held:
        mirror.begin()
        yield OutBucket(mirror, held, copies=True)
