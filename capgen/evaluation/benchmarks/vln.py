"""Video Localized Narratives for dense video object captioning: UVO's masks on three frames, an actor's narrative each.

Source: Voigtlaender et al., CVPR 2023, arXiv:2302.11217; conversion of DVOC-DS (scenic), arXiv:2306.11729.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from capgen.errors import UserError
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
from capgen.evaluation.benchmarks.frames import FrameFolder, numbered
from capgen.evaluation.benchmarks.preprocessed import PreprocessedNames
from capgen.evaluation.reading.detections import to_rle
from capgen.evaluation.reading.tracks import Iou, mask_box

FRAMES = 3
_NAME_SLACK = 5
_VNG = "the narrative grounding annotations come from google.github.io/video-localized-narratives"
_UVO = "UVO's annotations and frames come from sites.google.com/view/unidentified-video-object"


@dataclass(frozen=True, slots=True)
class Vln:
    """Of each actor the first expression (in text order of their keys) is an object, on UVO's three annotated frames.

    It has the actor's whole narrative for a caption if its noun phrase ends within five characters after the length of
    the actor's name, and the actor is not the background; otherwise none.

    Two actors may name one object. The conversions differ there: CaptionFormer's, the only one that compares masks,
    writes the object once, with the last caption that is not empty; scenic's, which compares boxes, writes it twice
    with one track id. ``official`` follows the one that belongs to ``compare``. Both conversions stop a frame at the
    first box that is all zeros, because they take it for padding. ``clean`` writes every object once, with the first
    caption that is not empty, and stops nowhere.

    Args:
        compare: what predictions will be compared by.
    """

    root: Path
    split: str = "val"
    reading: Reading = "official"
    compare: Iou = "mask"

    preprocessed: ClassVar[PreprocessedNames] = PreprocessedNames(
        ("vng_uvo_sparse_{split}_instances_.json", "vng_uvo_sparse_{split}_instances_coco_format.json"),
        ("uvo_videos_sparse_frames", "frames"),
        "vng_uvo_sparse_{split}_extended_instances_.json",
    )

    @property
    def readings_differ(self) -> bool:
        """The two readings are different files."""
        return True

    @property
    def iou(self) -> Iou:
        """Masks unless boxes are asked for: UVO has both."""
        return self.compare

    @property
    def threshold(self) -> float:
        """CaptionFormer's."""
        return CAPTIONFORMER_THRESHOLD

    def truth(self, folder: Path) -> Path:
        """The converted ground truth, in ``folder``."""
        path = folder / f"vln_{self.split}_{self.reading}_{self.compare}.json"
        return write_truth(self.clips(), [{"id": 1, "name": "object"}], path)

    def clips(self) -> Iterator[Clip]:
        """Every video, in the order of its name."""
        with published_form(str(self._narratives()), _VNG):
            narratives = dict(read_json(self._narratives())["videos"])
        with published_form(f"{self._uvo()} or {self._extra()}", _UVO):
            uvo = read_json(self._uvo())
            objects = [*uvo["annotations"], *read_json(self._extra())["annotations"]]
            # 19-digit ids: exact as integers, wrong as soon as anything makes them a double.
            ranks = {one["id"]: rank for rank, one in enumerate(sorted(objects, key=lambda one: one["id"]), 1)}
            by_id = {one["id"]: one for one in objects}
            videos = {video["ytid"]: video for video in uvo["videos"]}
        folder = self._pictures()
        for name in sorted(narratives):
            if name not in videos:
                raise UserError(f"{self._narratives()} has the video {name}, which {self._uvo()} has not", _UVO)
            with published_form(f"video {name} of {self._narratives()} or {self._uvo()}", _VNG):
                clip = self._clip(name, videos[name], narratives[name], by_id, ranks, folder)
            yield clip

    def _clip(
        self,
        name: str,
        video: dict[str, Any],
        narrative: dict[str, Any],
        by_id: dict[int, dict[str, Any]],
        ranks: dict[int, int],
        folder: Path | None,
    ) -> Clip:
        images = tuple(int(video["id"]) * FRAMES + i for i in range(FRAMES))
        names = tuple(file.replace("\\", "/") for file in video["file_names"][:FRAMES])
        numbers = tuple(int(Path(file).stem) for file in names)
        size = (int(video["height"]), int(video["width"]))
        objects = self._objects(narrative)
        unknown = next((obj_id for obj_id, _ in objects if obj_id not in by_id), None)
        if unknown is not None:
            raise UserError(f"{self._narratives()}: video {name} names the object {unknown}, which UVO has not", _UVO)
        annotations = [
            annotation(image, ranks[obj_id], caption, **shape)
            for i, image in enumerate(images)
            for obj_id, caption, shape in self._on_frame(objects, by_id, i, size)
        ]
        return Clip(
            video_id=int(video["id"]),
            name=name,
            size=size,
            image_ids=images,
            numbers=numbers,
            file_names=names,
            annotations=tuple(annotations),
            source=FrameFolder(folder, _around(folder, names), _UVO, size) if folder else None,
        )

    def _on_frame(
        self, objects: list[tuple[int, str]], by_id: dict[int, dict[str, Any]], frame: int, size: tuple[int, int]
    ) -> list[tuple[int, str, dict[str, Any]]]:
        """The objects of a frame with caption and shape, as the reading has them."""
        found: list[tuple[int, str, dict[str, Any]]] = []
        for obj_id, caption in objects:
            shape = _shape(by_id[obj_id], frame, size)
            if shape is None:
                continue
            x, y, width, height = shape["bbox"]
            if self.reading == "official" and max(x, y, x + width, y + height) == 0:
                break
            found.append((obj_id, caption, shape))
        if self.reading == "official" and self.compare == "mask":
            merged: dict[int, tuple[int, str, dict[str, Any]]] = {}
            for obj_id, caption, shape in found:
                known = merged[obj_id][1] if obj_id in merged else ""
                merged[obj_id] = (obj_id, caption or known, shape)
            return list(merged.values())
        return found

    def _objects(self, narrative: dict[str, Any]) -> list[tuple[int, str]]:
        """The object and the caption of each actor's first expression."""
        actors = {actor["actor_idx"]: actor for actor in narrative["actor_narratives"]}
        expressions = narrative["expressions"]
        seen: set[int] = set()
        found: list[tuple[int, str]] = []
        for key in sorted(expressions):
            expression = expressions[key]
            index = expression["narrative_actor_idx"]
            if index in seen:
                continue
            seen.add(index)
            actor = actors[index]
            near = expression["noun_phrase_end_idx"] <= len(actor["actor_name"]) + _NAME_SLACK
            named = actor["actor_name"] != "background" and near
            found.append((expression["obj_id"], actor["description"] if named else ""))
        if self.reading == "clean":
            once: dict[int, str] = {}
            for obj_id, caption in found:
                once[obj_id] = once.get(obj_id) or caption
            return list(once.items())
        return found

    def _narratives(self) -> Path:
        name = f"meta_expressions/sparse_{self.split}/meta_expressions.json"
        return find(self.root, [prefix + name for prefix in ("", "UVO_VNG/", "vng/UVO_VNG/", "VLN/vng/UVO_VNG/")], _VNG)

    def _extra(self) -> Path:
        name = f"extra_masks/sparse_{self.split}/extra_masks.json"
        return find(self.root, [prefix + name for prefix in ("", "UVO_VNG/", "vng/UVO_VNG/", "VLN/vng/UVO_VNG/")], _VNG)

    def _uvo(self) -> Path:
        name = f"UVO_sparse_{self.split}_video.json"
        places = (
            "",
            "VideoSparseSet/",
            "UVOv1.0/VideoSparseSet/",
            "UVO/VideoSparseSet/",
            "UVO/UVOv1.0/VideoSparseSet/",
        )
        return find(self.root, [prefix + name for prefix in places], _UVO)

    def _pictures(self) -> Path | None:
        name = f"uvo_videos_sparse_frames_annotated_{self.split}"
        for prefix in ("", "UVO", "frames"):
            for folder in (self.root / prefix / name, self.root / prefix / "uvo_videos_sparse_frames"):
                if folder.is_dir():
                    return folder
        return None

    def describe(self) -> list[PublishedSize]:
        """Videos, objects and captions."""
        published = {"train": 5136, "val": 2451}.get(self.split)
        videos = tracks = captioned = repeats = 0
        for clip in self.clips():
            videos += 1
            by_track: dict[Any, bool] = {}
            on: set[tuple[Any, Any]] = set()
            for one in clip.annotations:
                by_track[one["track_id"]] = by_track.get(one["track_id"], False) or bool(one["caption"])
                repeats += (one["image_id"], one["track_id"]) in on
                on.add((one["image_id"], one["track_id"]))
            tracks += len(by_track)
            captioned += sum(by_track.values())
        return [
            PublishedSize("videos", published, videos, "scenic's common.py"),
            PublishedSize("objects", None, tracks, ""),
            PublishedSize("captioned objects", None, captioned, ""),
            PublishedSize("objects that two actors name, on a frame", None, repeats, ""),
        ]


def _shape(one: dict[str, Any], frame: int, size: tuple[int, int]) -> dict[str, Any] | None:
    """Box and mask on a frame; None where the object is not there. Extra objects have masks alone."""
    masks = one.get("segmentations")
    mask = masks[frame] if masks else None
    if "bboxes" in one:
        box = one["bboxes"][frame]
        if box is None:
            return None
    else:
        if mask is None:
            return None
        box = list(mask_box(to_rle(mask, size)))
    return {"bbox": [float(v) for v in box], "segmentation": mask}


def _around(folder: Path, names: tuple[str, ...]) -> dict[int, str]:
    """Every frame of the video that lies beside the annotated ones, by its number."""
    parent = Path(names[0]).parent if names else Path()
    present = {number: str(parent / name) for number, name in numbered(folder / parent).items()}
    return present | {int(Path(name).stem): name for name in names}
