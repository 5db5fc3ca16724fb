"""A video as one file, from the plan to training: decoded once, shown as annotated, embedded, trained on."""

import io
import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from capgen.images import PictureFault
from capgen.maskcaptioner.data.pictures import read_frames
from capgen.maskcaptioner.data.release_rows import open_releases
from capgen.pipeline.planning.open_source import build_source
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.pipeline.rendering.render import Renderer, render_media
from capgen.pipeline.settings import RenderSettings
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.view import View
from capgen.videos import frames as video_frames
from tests.pipeline.runs import echo_settings, session
from tests.pipeline.sources.files import RLE, palette, square
from tests.test_video_frames import level, write_video

COUNT = 10


def written(root, tracks=3):
    """A file of ten frames whose annotations are every second frame."""
    write_video(root / "train" / "JPEGImages" / "0a.mp4", COUNT, size=(6, 8))
    names = [f"0a/{i:05d}.jpg" for i in range(0, COUNT, 2)]
    body = {
        "videos": [{"id": 1, "file_names": names, "length": len(names), "width": 8, "height": 6}],
        "annotations": [
            {"id": i, "video_id": 1, "category_id": 1, "segmentations": [RLE] * len(names)} for i in range(tracks)
        ],
        "categories": [{"id": 1, "name": "cat"}],
    }
    (root / "train" / "instances.json").write_text(json.dumps(body))
    return root


@pytest.fixture
def passes(monkeypatch):
    """How often each video file was opened, and which of its frames became pixels."""
    opened: Counter[str] = Counter()
    made: Counter[int] = Counter()
    real, pixels = video_frames.read_video, video_frames.TimedFrame.pixels

    def reading(path, *, size=None):
        opened[path.name] += 1
        yield from real(path, size=size)

    def converting(frame):
        made[frame.number] += 1
        return pixels(frame)

    monkeypatch.setattr(video_frames, "read_video", reading)
    monkeypatch.setattr(video_frames.TimedFrame, "pixels", converting)
    return opened, made


def shown(root, prompt="shared-crop_v1"):
    settings = echo_settings(root, dataset="youtube-vis")
    (planned,) = build_source(settings).scan()
    return list(
        render_media(decode_media(planned, root), Renderer(RenderSettings(), load_prompt(prompt, category=True)))
    )


def test_a_file_is_decoded_once_for_all_objects_and_only_shown_frames_become_pixels(tmp_path, passes):
    opened, made = passes
    views = shown(written(tmp_path))
    assert [type(view) for view in views] == [View] * 3
    assert opened == {"0a.mp4": 1}
    assert set(made.values()) == {1}
    assert set(made) == {0, 2, 4, 8}  # four clean frames and two marked ones, of the five that are annotated


def test_the_pictures_are_those_of_the_frames_that_the_annotations_number(tmp_path):
    view = shown(written(tmp_path))[0]
    means = [int(np.median(picture.pixels)) for picture in view.pictures]
    assert all(abs(mean - level(number)) < 12 for mean, number in zip(means, (0, 2, 4, 8), strict=False))


def test_a_file_that_ends_too_early_fails_what_needs_its_last_frames(tmp_path):
    root = written(tmp_path)
    write_video(root / "train" / "JPEGImages" / "0a.mp4", 5, size=(6, 8))
    results = shown(root)
    assert {fault.reason for _, fault in results} == {"picture_missing"}
    assert "has 5 frames, none of number" in results[0][1].message


def test_frames_are_embedded_as_pictures_and_trained_on_from_the_file(tmp_path):
    root = written(tmp_path / "data")
    out, _ = session(echo_settings(root, dataset="youtube-vis"), tmp_path / "out", embed="media")
    (media,) = pq.read_table(next((out / "data" / "media").glob("*.parquet"))).to_pylist()
    means = [int(np.asarray(Image.open(io.BytesIO(image["bytes"]))).mean()) for image in media["images"]]
    assert all(abs(mean - level(number)) < 12 for mean, number in zip(means, range(0, COUNT, 2), strict=True))
    assert [image["path"] for image in media["images"]] == media["file_names"]

    out, _ = session(echo_settings(root, dataset="youtube-vis"), tmp_path / "by-name")
    (part,) = open_releases([out], "train")
    medium = part.medium(next(iter(part.rows()))())
    frames = read_frames(medium, [4, 0], (6, 8))
    assert [abs(int(frame.mean()) - level(number)) < 12 for frame, number in zip(frames, (8, 0), strict=True)] == [
        True
    ] * 2


def test_one_frame_alone_raises_what_is_wrong_with_it(tmp_path):
    written(tmp_path)
    with pytest.raises(PictureFault, match="has 10 frames"):
        video_frames.read_frame(tmp_path / "train/JPEGImages", "0a.mp4#10", size=(6, 8))


@pytest.mark.parametrize("as_file", [True, False])
def test_frames_without_annotation_are_shown_clean(tmp_path, as_file):
    """A mask on the first frame only: clean pictures are spread over the video, the marked one is the first."""
    folder = tmp_path / "JPEGImages"
    write_video(folder / "bear.mp4", COUNT, size=(6, 8))
    if not as_file:
        for number in range(COUNT):
            pixels = video_frames.read_frame(folder, f"bear.mp4#{number}", size=None)
            (folder / "bear").mkdir(exist_ok=True)
            Image.fromarray(pixels).save(folder / "bear" / f"{number:05d}.png")
        (folder / "bear.mp4").unlink()
    palette(tmp_path / "Annotations" / "bear" / "00000.png", square(1))
    settings = echo_settings(tmp_path, dataset="masks")
    (planned,) = build_source(settings).scan()
    renderer = Renderer(RenderSettings(), load_prompt("shared-crop_v1", category=True))
    (view,) = render_media(decode_media(planned, tmp_path), renderer)
    means = [int(np.median(picture.pixels)) for picture in view.pictures]
    assert all(abs(mean - level(number)) < 12 for mean, number in zip(means, (0, 3, 6, 9), strict=False))
    assert (len(view.pictures), view.marked_frames) == (5, (0,))
