"""What a source is: it gives the media of a dataset, everything the annotation file says, masks still undecoded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from capgen.dataset.plan import PlannedMedia


class Source(Protocol):
    """A dataset on disk: frozen options in, ``PlannedMedia`` out.

    A source of several files or folders may have a method ``parts`` that gives sources, which together give what
    ``scan`` gives, in its order. They are planned side by side and know nothing of each other; ids that come in two of
    them are noticed afterwards. A source of very many files has a method ``listing`` that yields their paths: their
    names and sizes enter the fingerprint instead of their contents. One without masks has ``masks = False``. One whose
    media may be images or videos has a property ``kind`` that says which they are. ``recognise``, a static method,
    names what in a folder gives the source away, nothing where the folder is not its own; ``--dataset auto`` leaves out
    a source without it. One that opens more files than ``files`` when it scans has a field ``bounds``: the folder out
    of which no symbolic link may lead, which is set once it is made, or None.
    """

    @property
    def files(self) -> tuple[Path, ...]:
        """The annotation files, whose contents enter the run's fingerprint."""
        ...

    def scan(self) -> Iterator[PlannedMedia]:
        """Every image or video with all of its objects, split by split, in the order of the file.

        Raises:
            UserError: a file is missing, is not JSON, or is not of this format.
        """
        ...
