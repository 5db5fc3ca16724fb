"""VidSTG for dense video object captioning: VidOR's boxes, VidSTG's declarative sentences.

Source: Zhang et al., CVPR 2020, arXiv:2001.06891; conversion of DVOC-DS (scenic), arXiv:2306.11729.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.base import (
    CAPTIONFORMER_THRESHOLD,
    Clip,
    PublishedSize,
    Reading,
    annotation,
    find,
    published_form,
    read_json,
    write_truth,
)
from capgen.evaluation.benchmarks.frame_selection import FrameChoice, select_frames
from capgen.evaluation.benchmarks.frames import FrameFolder, FrameVideo, NumberedFrames, numbered, stated
from capgen.evaluation.benchmarks.preprocessed import PreprocessedNames
from capgen.evaluation.reading.tracks import Id, Iou

FRAMES_PER_SECOND = 5.0
MOST_FRAMES = 200
_IMAGES_PER_VIDEO, _TRACKS_PER_VIDEO = 6000, 100
_VIDSTG = "VidSTG's annotations come from github.com/Guaranteer/VidSTG-Dataset"
_VIDOR = "VidOR's annotations and videos come from xdshang.github.io/docs/vidor.html"


def evaluated_frames(frame_count: int, fps: float, most: int = MOST_FRAMES) -> list[int]:
    """The frames of the published conversion: about five a second, and evenly thinned to ``most``.

    Raises:
        ValueError: the video has fewer than five frames a second.
    """
    rate = FRAMES_PER_SECOND / fps
    if rate > 1:
        raise ValueError(f"{fps} frames a second")
    kept = [0]
    for frame in range(frame_count):
        if int(kept[-1] * rate) < int(frame * rate):
            kept.append(frame)
    if len(kept) > most:
        kept = [kept[(j * len(kept)) // most] for j in range(most)]
    return kept


_MOST_FRAMES_OF_VIDOR = 1_000_000


@dataclass(frozen=True, slots=True)
class VidStg:
    """Every VidOR box of a frame is ground truth; it has a caption while a VidSTG sentence about it is active.

    Args:
        overlap: which sentence counts where the windows of several overlap: the ``last`` of the file (published), or
            the ``first``.
        segment: the frames of the ``whole`` video (published), or those of its ``used`` segments alone, of which a
            video may have several. Predictions on the whole video serve both readings.
    """

    preprocessed: ClassVar[PreprocessedNames] = PreprocessedNames(
        ("vidstg_max200f_{split}_instances_.json", "vidstg_max200f_{split}_coco_format.json"),
        ("video", "videos", "frames"),
    )

    root: Path
    split: str = "val"
    reading: Reading = "official"
    overlap: Literal["last", "first"] = "last"
    segment: Literal["whole", "used"] = "whole"

    @property
    def iou(self) -> Iou:
        """Boxes."""
        return "box"

    @property
    def threshold(self) -> float:
        """CaptionFormer's."""
        return CAPTIONFORMER_THRESHOLD

    def truth(self, folder: Path) -> Path:
        """The converted ground truth, in ``folder``."""
        path = folder / f"vidstg_{self.split}_{self.overlap}_{self.segment}.json"
        return write_truth(self.clips(), [{"id": 1, "name": "object"}], path)

    def clips(self) -> Iterator[Clip]:
        """Every annotated video, numbered in the order of their names as text."""
        by_video = self._records()
        for number, vid in enumerate(sorted(by_video), 1):
            with published_form(f"video {vid} of {self._vidor(vid)} or VidSTG's annotations", _VIDSTG):
                clip = self._clip(number, vid, by_video[vid])
            yield clip

    def selected(self, predictions: Path, folder: Path) -> tuple[Path, str]:
        """The predictions on the evaluated frames, and a note on those that lie on others of the video."""
        if self.segment == "whole":
            return predictions, ""
        by_video = self._records()
        whole = replace(self, segment="whole")
        choices: dict[Id, FrameChoice] = {}
        for number, vid in enumerate(sorted(by_video), 1):
            vidor = read_json(self._vidor(vid))
            with published_form(f"video {vid} of {self._vidor(vid)} or VidSTG's annotations", _VIDSTG):
                frames = whole._frames(vid, vidor, by_video[vid])
                used = set(self._frames(vid, vidor, by_video[vid]))
            places = tuple(place for place, frame in enumerate(frames) if frame in used)
            dropped = frozenset(number * _IMAGES_PER_VIDEO + frame for frame in frames if frame not in used)
            choices[number] = FrameChoice(len(frames), places, dropped)
        return select_frames(predictions, folder / "predictions_on_used_segments.json", choices)

    def _records(self) -> dict[str, list[dict[str, Any]]]:
        by_video: dict[str, list[dict[str, Any]]] = defaultdict(list)
        path = self._file(f"{self.split}_annotations.json")
        with published_form(str(path), _VIDSTG):
            for record in read_json(path):
                by_video[str(record["vid"])].append(record)
        return by_video

    def _file(self, name: str) -> Path:
        return find(self.root, [prefix + name for prefix in ("annotations/", "", "VidSTG/annotations/")], _VIDSTG)

    def _clip(self, number: int, vid: str, records: Sequence[dict[str, Any]]) -> Clip:
        vidor = read_json(self._vidor(vid))
        frames = self._frames(vid, vidor, records)
        images = {frame: number * _IMAGES_PER_VIDEO + frame for frame in frames}
        name = str(vidor.get("video_path") or f"{vid}.mp4")
        size = int(vidor["height"]), int(vidor["width"])
        source, names = self._source(name, frames, size)
        return Clip(
            video_id=number,
            name=vid,
            size=size,
            image_ids=tuple(images.values()),
            numbers=tuple(frames),
            file_names=names,
            annotations=tuple(one for frame in frames for one in self._boxes(number, frame, vidor, records)),
            source=source,
        )

    def _frames(self, vid: str, vidor: dict[str, Any], records: Sequence[dict[str, Any]]) -> list[int]:
        count = int(vidor["frame_count"])
        if count > _MOST_FRAMES_OF_VIDOR:
            what = f"VidOR's video {vid} has the frame_count {str(count)[:30]}, which no video has"
            raise UserError(what, "download its annotation again")
        try:
            frames = evaluated_frames(count, float(vidor["fps"]))
        except ValueError as error:
            raise UserError(f"VidOR's video {vid} has {error}", "the conversion needs at least five") from error
        if self.segment == "whole":
            return frames
        used = [(r["used_segment"]["begin_fid"], r["used_segment"]["end_fid"]) for r in records if "used_segment" in r]
        return [frame for frame in frames if any(begin <= frame < end for begin, end in used)]

    def _boxes(
        self, number: int, frame: int, vidor: dict[str, Any], records: Sequence[dict[str, Any]]
    ) -> Iterator[dict[str, Any]]:
        captions = self._captions(frame, records)
        if frame >= len(vidor["trajectories"]):
            what = f"VidOR's video {vidor.get('video_id')} has boxes for {len(vidor['trajectories'])} frames"
            raise UserError(f"{what}, none for {frame}", "download its annotation again")
        boxes = {one["tid"]: one["bbox"] for one in vidor["trajectories"][frame]}
        for tid, box in boxes.items():
            left, top = box["xmin"], box["ymin"]
            shape = [left, top, box["xmax"] - left, box["ymax"] - top]
            if max(box.values()) == 0:  # the published conversion takes such a box for padding
                continue
            yield annotation(
                number * _IMAGES_PER_VIDEO + frame,
                number * _TRACKS_PER_VIDEO + int(tid),
                captions.get(tid, ""),
                bbox=[float(v) for v in shape],
                area=float(shape[2] * shape[3]),
            )

    def _captions(self, frame: int, records: Sequence[dict[str, Any]]) -> dict[int, str]:
        """The sentence about each object on a frame; a window ends before its last frame."""
        captions: dict[int, str] = {}
        for record in records:
            window = record["temporal_gt"]
            if not window["begin_fid"] <= frame < window["end_fid"]:
                continue
            for caption in record["captions"]:
                if self.overlap == "last" or caption["target_id"] not in captions:
                    captions[caption["target_id"]] = caption["description"]
        return captions

    def _vidor(self, vid: str) -> Path:
        path = _vidor_files(self.root).get(vid)
        if path is None:
            raise MissingFile(self.root / "vidor" / "annotations" / "training" / "*" / f"{vid}.json", _VIDOR)
        return path

    def _source(
        self, name: str, frames: Sequence[int], size: tuple[int, int]
    ) -> tuple[NumberedFrames | None, tuple[str, ...]]:
        """The video file, or the folder of frames that ffmpeg numbers from 1."""
        stem = name.removesuffix(".mp4")
        names = tuple(f"{stem}/{frame + 1:04d}.jpg" for frame in frames)
        for prefix in ("videos", "vidor/videos", "vidor/videos/training", "VidOR/videos", "frames", "vidor/frames", ""):
            if (self.root / prefix / name).is_file():
                return FrameVideo(self.root / prefix / name, _VIDOR, stated(size)), names
            if (self.root / prefix / stem).is_dir():
                folder = {n - 1: f"{stem}/{file}" for n, file in numbered(self.root / prefix / stem).items()}
                return FrameFolder(self.root / prefix, folder, _VIDOR, stated(size)), names
        return None, names

    def describe(self) -> list[PublishedSize]:
        """The sizes that VidSTG's file alone gives; with VidOR's also frames and captioned boxes."""
        by_video = self._records()
        records = [record for many in by_video.values() for record in many]
        texts = [caption["description"] for record in records for caption in record["captions"]]
        by_track: dict[tuple[str, int], set[str]] = defaultdict(set)
        for vid, many in by_video.items():
            for record in many:
                for caption in record["captions"]:
                    by_track[vid, caption["target_id"]].add(caption["description"])
        per_video = Counter(vid for vid, _ in by_track)
        known = self.split == "val"
        segments = sum(
            len({tuple(sorted(r.get("used_segment", {}).items())) for r in many}) > 1 for many in by_video.values()
        )
        facts = [
            ("videos", 602, len(by_video)),
            ("records", 3996, len(records)),
            ("different sentences", 2983, len(set(texts))),
            ("captioned tracks", 1644, len(by_track)),
            ("videos with one captioned track", 171, sum(n == 1 for n in per_video.values())),
            ("tracks with several sentences", 787, sum(len(s) > 1 for s in by_track.values())),
            ("tracks with overlapping sentences", 666, self._overlapping(by_video)),
            ("videos with several used segments", 332, segments),
            ("words a sentence", 10.1, round(sum(len(t.split()) for t in texts) / max(1, len(texts)), 1)),
        ]
        counted = "counted on the released val_annotations.json"
        return [
            PublishedSize(name, value if known else None, found, counted) for name, value, found in facts
        ] + self._boxes_facts()

    def _overlapping(self, by_video: dict[str, list[dict[str, Any]]]) -> int:
        windows: dict[tuple[str, int], list[tuple[int, int, str]]] = defaultdict(list)
        for vid, many in by_video.items():
            for record in many:
                at = record["temporal_gt"]
                for caption in record["captions"]:
                    window = (at["begin_fid"], at["end_fid"], caption["description"])
                    windows[vid, caption["target_id"]].append(window)
        return sum(
            any(a[2] != b[2] and a[0] < b[1] and b[0] < a[1] for i, a in enumerate(some) for b in some[:i])
            for some in windows.values()
        )

    def _boxes_facts(self) -> list[PublishedSize]:
        known = self.split == "val" and self.overlap == "last" and self.segment == "whole"
        if not _vidor_files(self.root):
            return [
                PublishedSize(
                    f"captioned object-frames (VidOR is missing: {_VIDOR})", 101_160 if known else None, None, ""
                )
            ]
        frames = captioned = boxes = 0
        for clip in self.clips():
            frames += len(clip.image_ids)
            boxes += len(clip.annotations)
            captioned += sum(bool(one["caption"]) for one in clip.annotations)
        return [
            PublishedSize("evaluated frames (published: about 81,000)", None, frames, "counted"),
            PublishedSize("boxes", None, boxes, ""),
            PublishedSize("captioned object-frames", 101_160 if known else None, captioned, "counted"),
        ]


@cache
def _vidor_files(root: Path) -> dict[str, Path]:
    """VidOR's annotation files by video, from wherever under the root they were unpacked."""
    places = ("vidor/annotations", "VidOR/annotations", "annotations", "vidor")
    found: dict[str, Path] = {}
    for place in places:
        for kind in ("training", "validation"):
            for path in sorted((root / place / kind).glob("*/*.json")):
                found.setdefault(path.stem, path)
    return found
