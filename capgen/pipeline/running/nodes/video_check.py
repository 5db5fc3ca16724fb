"""Whether a run over videos can decode them: PyAV is tried on some of the video files that it would read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from capgen.buckets.places import url_of
from capgen.errors import UserError
from capgen.pipeline.running.nodes.check_result import CheckResult, DoctorRequest
from capgen.videos import import_av, read_video
from capgen.videos.frames import VIDEO_SUFFIXES

_TRIED = 3
_ENTRIES = 20_000
_CODECS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mjpeg")
"""What most video files are made of."""


def check_videos(request: DoctorRequest) -> Iterator[CheckResult]:
    """A frame of a video file below the root is decoded; without a file, PyAV says which codecs it knows.

    Frames that are pictures need no PyAV, so a run without video files is stopped by nothing here.
    """
    if request.settings.kind != "video":
        return
    root = request.settings.source.root
    files = [] if root is None or url_of(Path(root)) is not None else [*islice(_video_files(Path(root)), _TRIED)]
    try:
        av = import_av(files[0] if files else Path("a video file"))
        known = [name for name in _CODECS if name in av.codecs_available]
    except UserError as error:
        yield CheckResult("videos", "fault" if files else "note", f"{error.what} (PyAV is missing)", error.remedy)
    except (ImportError, OSError) as error:  # a library that it was linked to is missing or of another version
        found = f"PyAV cannot be imported: {' '.join(str(error).split())}"
        yield CheckResult("videos", "fault" if files else "note", found, "pip install --force-reinstall av")
    else:
        decoder = f"PyAV {av.__version__}"
        said = CheckResult("videos", "ok", f"{decoder} decodes {', '.join(known)}")
        yield _decoded(files, decoder) if files else said


def _decoded(files: list[Path], decoder: str) -> CheckResult:
    """The first of some files of which a frame can be decoded; where none can, why the last one cannot."""
    for file in files:
        try:
            next(read_video(file)).pixels()
        except UserError as error:
            trouble = error
        else:
            return CheckResult("videos", "ok", f"{decoder} decodes {file.name}")
    return CheckResult("videos", "fault", f"{decoder}: {trouble.what}", trouble.remedy)


def _video_files(root: Path) -> Iterator[Path]:
    """The video files among the first entries below a folder."""
    seen = 0
    for folder, _, names in os.walk(root):
        for name in names:
            seen += 1
            if name.lower().endswith(VIDEO_SUFFIXES):
                yield Path(folder, name)
        if seen > _ENTRIES:
            return
