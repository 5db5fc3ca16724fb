"""Masks for pictures and videos that have none: segment."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from capgen.cli.runs.output import long_work
from capgen.display import echo, note, plain, working
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.images import Pixels
    from capgen.segmenting.tracks import LinkedTrack

app = typer.Typer(rich_markup_mode=None)


@app.command()
@long_work("the file's path")
def segment(
    given: Annotated[Path, typer.Argument(metavar="INPUT", help="Picture, video file, or folder of them.")],
    model: Annotated[
        str, typer.Option(help="transformers model by name or folder, or a MaskCaptioner (sample: the packaged one).")
    ],
    out: Annotated[Path, typer.Option(help="Folder for the annotation file.")],
    threshold: Annotated[float | None, typer.Option(help="Minimum score of a mask, 0 to 1.")] = None,
    every: Annotated[int, typer.Option(help="Use every Nth frame of a video.")] = 5,
    max_frames: Annotated[int, typer.Option(help="Maximum number of frames of a video.")] = 40,
    max_objects: Annotated[int, typer.Option(help="Maximum number of objects of a picture or video.")] = 50,
    points: Annotated[int, typer.Option(help="Points along each side of the grid of mask generation.")] = 32,
    redetect: Annotated[
        int, typer.Option(help="SAM 2 on videos: look for new objects on every Nth used frame; 0: on the first alone.")
    ] = 10,
    device: Annotated[str, typer.Option(help="Torch device.")] = "cpu",
    kind: Annotated[
        Literal["image", "video"] | None,
        typer.Option(help="What to take of a folder with both; without it the videos, and the pictures are counted."),
    ] = None,
) -> None:
    """Find the masks of pictures or videos and write them.

    Pictures give a COCO file, videos one in the form of YouTube-VIS.

    The same command resumes. What cannot be read is named and left out.
    """
    from capgen.segmenting.models import MaskGenerator, open_sam2, open_segmenter
    from capgen.segmenting.propagation import Sam2Tracks
    from capgen.segmenting.segment import SegmentRequest
    from capgen.segmenting.segment import segment as run

    segmenter: Any
    if is_maskcaptioner(model):
        segmenter = MaskCaptionerTracks(model, threshold, max_objects, device)
    else:
        segmenter = open_segmenter(model, threshold=threshold, points=points, device=device)
        sam2 = open_sam2(model, device) if isinstance(segmenter, MaskGenerator) else None
        segmenter = segmenter if sam2 is None else Sam2Tracks(sam2, segmenter, max_objects, redetect)
    request = SegmentRequest(
        given, out, model, threshold, every, max_frames, max_objects, points=points, redetect=redetect, kind=kind
    )
    with working("segmenting") as tell:
        report = run(
            request,
            segmenter,
            say=lambda line: note(plain(line), stderr=True),
            progress=lambda done, of: tell(f"segmenting: {done}/{of} files"),
        )
    dataset = "coco" if report.kind == "image" else "youtube-vis"
    echo(f"{report.objects} objects of {report.media} {report.kind}s in {report.file}")
    note(f"caption them: capgen run --dataset {dataset} --root {report.root} --split {report.file.resolve()}")


def is_maskcaptioner(name: str) -> bool:
    """Whether a model is a MaskCaptioner: the packaged one, or a folder that `capgen train` wrote.

    Raises:
        UserError: the installation lacks the packaged one.
    """
    from capgen.maskcaptioner.inference.load import PACKAGED, resolve

    try:
        resolve(name)
    except UserError:
        if name in PACKAGED:
            raise
        return False
    return True


@dataclass
class MaskCaptionerTracks:
    """A MaskCaptioner's tracks; it is opened when it is first used."""

    model: str
    threshold: float | None
    max_tracks: int
    device: str
    opened: Any = None

    def tracks(self, frames: Iterable[Pixels]) -> list[LinkedTrack]:
        """The tracks of a video, or of a picture as a video of one frame."""
        from capgen import rle
        from capgen.maskcaptioner.inference.load import open_model
        from capgen.maskcaptioner.inference.stream import Stream
        from capgen.maskcaptioner.predict import clips
        from capgen.segmenting.tracks import LinkedTrack

        self.opened = self.opened or open_model(self.model, self.device)
        options: dict[str, Any] = {} if self.threshold is None else {"threshold": self.threshold}
        stream = Stream(self.opened, max_tracks=self.max_tracks, **options)
        for clip in clips(frames, int(self.opened.config.clip_frames)):
            stream.push(clip)
        found = []
        for track in stream.finish():
            one = LinkedTrack(scores=[track.score], categories=[track.category])
            for frame, mask in zip(track.frames, track.masks or (), strict=False):
                if rle.area(mask["counts"], (int(mask["size"][0]), int(mask["size"][1]))):
                    one.counts[frame] = mask["counts"]
            if one.counts:
                found.append(one)
        return found
