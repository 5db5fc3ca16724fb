"""The pictures of an export: named as they are, copied beside the annotations, or put into tar files."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from capgen.dataset.reader import Folders
from capgen.dataset.row import ReleasedMedia
from capgen.errors import MissingFile
from capgen.exporting.folder import ExportFolder
from capgen.images import PictureFault, path_under, picture_bytes

PictureMode = Literal["reference", "copy", "tar"]
SHARD_BYTES = 10**9
"""A tar file is closed once it is so large: readers of WebDataset like shards of about 1 GB."""
_BLOCK = 512


@dataclass(frozen=True, slots=True)
class PictureFiles:
    """Finds the pictures of a release.

    Args:
        folders: where they may be, by ``dataset/split``; ``*`` stands for all others.
        bounds: the folder out of which links must not lead; None follows all links.
    """

    folders: Folders = field(default_factory=dict)
    bounds: Path | None = None

    def read(self, media: ReleasedMedia, index: int) -> bytes | None:
        """The file of a frame as it is stored, which is a picture by its content; None where there is none."""
        if index < len(media.images) and media.images[index] is not None:
            stored = media.images[index]
            assert stored is not None
            return stored.data
        name = media.file_names[index]
        for folder in self.folders.get(f"{media.dataset}/{media.split}") or self.folders.get("*", ()):
            try:
                return picture_bytes(path_under(folder, name, self.bounds), name)
            except PictureFault:
                continue
        return None


@dataclass(slots=True)
class TarFiles:
    """Tar files of about 1 GB that grow, ``grown/<stem>-000000.tar`` and so on; equal members give equal bytes.

    Args:
        digits: of the number in the name.
        shard_bytes: a file is full once it is so large.
    """

    folder: ExportFolder
    stem: str
    digits: int = 6
    shard_bytes: int = SHARD_BYTES

    def name(self, number: int) -> str:
        """The name of a file while it grows."""
        return f"grown/{self.stem}-{number:0{self.digits}d}.tar"

    @property
    def names(self) -> list[str]:
        """The files that there are."""
        return [self.name(number) for number in range(self._count())]

    def _count(self) -> int:
        return self.folder.counts[f"tar:{self.stem}"]

    def begin(self) -> str:
        """The file that the next sample goes to; the one before is closed where it is full."""
        count = self._count()
        if count == 0 or self.folder.size(self.name(count - 1)) >= self.shard_bytes:
            if count:
                self._end(self.name(count - 1))
            self.folder.counts[f"tar:{self.stem}"] += 1
            count += 1
        return self.name(count - 1)

    def add(self, file: str, member: str, data: bytes) -> None:
        """Add a member to a file that ``begin`` gave."""
        about = tarfile.TarInfo(member)
        about.size, about.mode = len(data), 0o644
        header = about.tobuf(tarfile.GNU_FORMAT, "utf-8", "surrogateescape")
        self.folder.append(file, header + data + bytes(-len(data) % _BLOCK))

    def close(self) -> list[str]:
        """End the last file; the names of all."""
        if self._count():
            self._end(self.name(self._count() - 1))
        return self.names

    def _end(self, file: str) -> None:
        self.folder.append(file, bytes(2 * _BLOCK))


@dataclass(slots=True)
class SplitPictures:
    """What becomes of the pictures of one split.

    Args:
        prefix: the folder in DEST that the release's names are put below.
    """

    files: PictureFiles
    mode: PictureMode
    folder: ExportFolder
    split: str
    prefix: str

    def add(self, media: ReleasedMedia) -> None:
        """Copy the pictures of a medium, or put them into a tar file, as the mode says."""
        counts = self.folder.counts
        counts["pictures"] += len(media.file_names)
        if self.mode == "reference":
            return
        tars = TarFiles(self.folder, f"images-{self.split}")
        tar = tars.begin() if self.mode == "tar" and media.file_names else ""
        for index, name in enumerate(media.file_names):
            data = self.files.read(media, index)
            if data is None:
                counts["missing_pictures"] += 1
            elif self.mode == "tar":
                tars.add(tar, f"{self.prefix}/{name}", data)
            else:
                self.folder.put(f"{self.prefix}/{name}", data)

    def finish(self) -> Sequence[str]:
        """The tar files.

        Raises:
            MissingFile: not one picture was found.
        """
        counts = self.folder.counts
        if self.mode != "reference" and counts["pictures"] and counts["missing_pictures"] == counts["pictures"]:
            raise MissingFile(f"every picture of split {self.split}", "give the folder that holds them with --root")
        return TarFiles(self.folder, f"images-{self.split}").close() if self.mode == "tar" else ()
