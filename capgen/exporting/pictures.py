"""The pictures of an export: named as they are, copied beside the annotations, or put into tar files."""

from __future__ import annotations

import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import msgspec

from capgen.dataset.reader import Folders
from capgen.dataset.row import ReleasedMedia
from capgen.errors import MissingFile
from capgen.exporting.folder import ExportFolder
from capgen.images import PictureFault, Pixels, path_under, picture_bytes
from capgen.videos.frames import read_frames, split_frame_name

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

    def read(self, media: ReleasedMedia) -> list[bytes | None]:
        """The files of all frames, pictures by their content; None where there is none.

        Pictures are as they are stored. Frames that lie in a video file, which is decoded once, become JPEG.
        """
        found: list[bytes | None] = []
        for index, name in enumerate(media.file_names):
            stored = media.images[index] if index < len(media.images) else None
            of_video = split_frame_name(name)[1] is not None
            found.append(stored.data if stored is not None else None if of_video else self._picture(media, name))
        missing = [name for name, data in zip(media.file_names, found, strict=True) if data is None]
        decoded = self._of_videos(media, [name for name in missing if split_frame_name(name)[1] is not None])
        return [data or decoded.get(name) for name, data in zip(media.file_names, found, strict=True)]

    def _places(self, media: ReleasedMedia) -> Sequence[str]:
        return self.folders.get(f"{media.dataset}/{media.split}") or self.folders.get("*", ())

    def _picture(self, media: ReleasedMedia, name: str) -> bytes | None:
        for folder in self._places(media):
            try:
                return picture_bytes(path_under(folder, name, self.bounds), name)
            except PictureFault:
                continue
        return None

    def _of_videos(self, media: ReleasedMedia, names: Sequence[str]) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        for folder in self._places(media) if names else ():
            left = [name for name in names if name not in found]
            size = (media.height, media.width)
            for name, pixels in read_frames(folder, left, size=size, bounds=self.bounds) if left else ():
                if not isinstance(pixels, PictureFault):
                    found[name] = _jpeg(pixels)
        return found


def _jpeg(pixels: Pixels) -> bytes:
    done, data = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), (cv2.IMWRITE_JPEG_QUALITY, 95))
    assert done  # an array of this kind can always be encoded
    return data.tobytes()


def copied_name(name: str) -> str:
    """The name of a copied frame: of ``clip.mp4#12`` it is ``clip.mp4/000012.jpg``, other names stay."""
    file, number = split_frame_name(name)
    return name if number is None else f"{file}/{number:06d}.jpg"


def with_copied_names(media: ReleasedMedia) -> ReleasedMedia:
    """The medium with the names that its frames have once they are copied."""
    return msgspec.structs.replace(media, file_names=tuple(map(copied_name, media.file_names)))


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
            counts["frames_of_videos"] += sum(split_frame_name(name)[1] is not None for name in media.file_names)
            return
        tars = TarFiles(self.folder, f"images-{self.split}")
        tar = tars.begin() if self.mode == "tar" and media.file_names else ""
        for name, data in zip(map(copied_name, media.file_names), self.files.read(media), strict=True):
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
