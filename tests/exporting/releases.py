"""Releases to export: images and videos with pictures, an object without a caption, one without a mask."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import msgspec
import numpy as np

from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.exporting import FORMATS
from capgen.exporting.export import ExportReport, ExportRequest, export_release
from tests.tiny_runs import dropped, failed, plan_run, planned_image

FRAMES = 4


def write_picture(path: Path, seed: int = 0) -> None:
    """A picture of 64x48 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    cv2.imwrite(str(path), pixels)


def spoil(row):
    """One object dropped, one failed for good, all others kept."""
    if row.object_id == "10":
        return dropped(row, "length")
    return failed(row, "bad_mask") if row.object_id == "41" else row


def image_release(tmp_path: Path, alike: str | None = None) -> Path:
    """Five images of two splits with eight objects, of which six have captions; pictures in ``pictures/``.

    ``alike``: an object whose caption does not tell it from a neighbour.
    """
    root = tmp_path / "pictures"
    url = "http://images.cocodataset.org/train2017/{}.jpg"
    media = [planned_image(str(n), objects=0 if n == 3 else 2, split="val" if n == 5 else "train") for n in range(1, 6)]
    media = [
        msgspec.structs.replace(one, file_names=(f"train2017/{one.media_id}.jpg",), coco_url=url.format(one.media_id))
        for one in media
    ]
    for one in media:
        write_picture(root / one.file_names[0], int(one.media_id))
    run = plan_run(tmp_path / "out", [media[:2], media[2:4], media[4:]], str(root))
    run.commit(change=lambda row: dropped(row, "not_distinct") if row.object_id == alike else spoil(row)).pack(
        root=root
    )
    return tmp_path / "out"


def video(number: int) -> PlannedMedia:
    """A video of four frames with a track that is there on all and one that is there on two."""
    names = tuple(f"{number:05d}/{frame:05d}.jpg" for frame in range(FRAMES))
    polygon = [[4, 4, 20, 4, 20, 20, 4, 20]]
    tracks = {f"{number}0": [polygon] * FRAMES, f"{number}1": [None, polygon, None, polygon]}
    return PlannedMedia(
        dataset="films",
        split="train",
        media_id=str(number),
        kind="video",
        file_names=names,
        width=64,
        height=48,
        objects=tuple(
            PlannedObject(
                object_id=name,
                category_id=3,
                category="ball",
                segmentation=msgspec.Raw(json.dumps(masks).encode()),
            )
            for name, masks in tracks.items()
        ),
    )


def video_release(tmp_path: Path, alike: str | None = None) -> Path:
    """Two videos with two tracks each; of one track no caption was kept. ``alike``: see ``image_release``."""
    root = tmp_path / "pictures"
    media = [video(1), video(2)]
    for one in media:
        for frame, name in enumerate(one.file_names):
            write_picture(root / name, 10 * int(one.media_id) + frame)
    run = plan_run(tmp_path / "out", [media], str(root))

    def change(row):
        if row.object_id == alike:
            return dropped(row, "not_distinct")
        return dropped(row, "length") if row.object_id == "21" else row

    run.commit(change=change).pack(root=root)
    return tmp_path / "out"


def film_release(tmp_path: Path) -> Path:
    """A video file of which the frames 0, 2 and 4 are planned, of grey 40, 120 and 200; a track on the last two."""
    import av

    root = tmp_path / "pictures"
    root.mkdir()
    with av.open(str(root / "clip.mp4"), "w") as film:
        stream = film.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for number in range(6):
            pixels = np.full((48, 64, 3), 40 + 40 * number, np.uint8)
            film.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        film.mux(stream.encode())
    small, large = ([[4, 4, side, 4, side, side, 4, side]] for side in (20, 30))
    masks = json.dumps([None, large, small]).encode()
    medium = PlannedMedia(
        dataset="films",
        split="train",
        media_id="1",
        kind="video",
        file_names=tuple(f"clip.mp4#{number}" for number in (0, 2, 4)),
        width=64,
        height=48,
        objects=(PlannedObject(object_id="1", category_id=1, category="ball", segmentation=msgspec.Raw(masks)),),
    )
    plan_run(tmp_path / "out", [[medium]], str(root)).commit().pack(root=root)
    return tmp_path / "out"


def exported(out: Path, dest: Path, to: str, **more) -> ExportReport:
    """An export; fields of the request and options of the form by name."""
    fields = {"pictures", "root", "follow_links", "annotations"}
    form = FORMATS.build(to, {name: value for name, value in more.items() if name not in fields}, "option ")
    request = {name: value for name, value in more.items() if name in fields}
    return export_release(ExportRequest(out, dest, to, form, **request))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by its name."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
