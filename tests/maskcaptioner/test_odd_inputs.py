"""Prediction on inputs of unusual kinds: all frames, in their own time, or a line that says what was left out."""

import json
import logging

import av
import numpy as np
import pytest
from PIL import Image

from capgen.errors import UserError
from capgen.maskcaptioner.inference.frames import open_frames
from capgen.maskcaptioner.predict import predict
from tests.maskcaptioner.films import Knowing, frame, track, write_video
from tests.test_videos import cover_first, edited, write_vfr


def run(path, out, **options):
    source = open_frames(path, **options)
    found, files = predict(source, Knowing(track(frames=[0])), out, clip_frames=2, info={})
    return found, files, json.loads(files.tracks.read_text())["videos"][0]


def shown_at(path):
    with av.open(str(path)) as container:
        times = [float(one.pts * one.time_base) for one in container.decode(video=0)]
    return [time - times[0] for time in times]


def test_the_annotated_film_and_the_tracks_keep_a_variable_frame_rate(tmp_path):
    times = [0, 50, 100, 1100, 1150, 4000]
    found, files, video = run(write_vfr(tmp_path / "a.mp4", times), tmp_path / "out")
    assert found.times == pytest.approx([time / 1000 for time in times])
    assert video["times"] == pytest.approx([time / 1000 for time in times])
    assert shown_at(files.annotated) == pytest.approx([time / 1000 for time in times], abs=0.002)


def test_every_second_frame_keeps_its_time(tmp_path):
    _, files, video = run(write_vfr(tmp_path / "a.mp4", [0, 50, 100, 1100, 1150, 4000]), tmp_path / "out", every=2)
    assert video["frame_numbers"] == [0, 2, 4]
    assert video["times"] == pytest.approx([0, 0.1, 1.15])
    assert shown_at(files.annotated) == pytest.approx([0, 0.1, 1.15], abs=0.002)


def test_a_frame_rate_that_is_asked_for_replaces_the_films_own_times(tmp_path):
    _, files, video = run(write_vfr(tmp_path / "a.mp4", [0, 50, 100, 1100]), tmp_path / "out", fps=10.0)
    assert video["times"] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert shown_at(files.annotated) == pytest.approx([0, 0.1, 0.2, 0.3], abs=0.002)


def test_a_folder_has_the_times_of_its_frame_rate(tmp_path):
    for number in range(4):
        Image.fromarray(frame(number)).save(tmp_path / f"{number}.png")
    _, _, video = run(tmp_path, tmp_path / "out", fps=4.0)
    assert video["times"] == pytest.approx([0, 0.25, 0.5, 0.75])


@pytest.mark.parametrize("name", ["a.gif", "a.webp", "a.png", "a.tif", "a.avif"])
def test_all_frames_of_an_animated_picture_are_looked_at(tmp_path, name):
    first, *rest = (Image.fromarray(frame(number)) for number in range(5))
    timed = {} if name == "a.tif" else {"duration": [100, 100, 500, 100, 100]}
    first.save(tmp_path / name, save_all=True, append_images=rest, **timed)
    found, files, video = run(tmp_path / name, tmp_path / "out")
    wanted = [0, 0.1, 0.2, 0.3, 0.4] if name == "a.tif" else [0, 0.1, 0.2, 0.7, 0.8]
    assert found.frames == 5
    assert video["times"] == pytest.approx(wanted)
    assert files.annotated.name == "annotated.mp4"
    assert shown_at(files.annotated) == pytest.approx(wanted, abs=0.002)


def test_pages_of_several_sizes_are_a_picture_and_that_is_said(tmp_path, caplog):
    first = Image.fromarray(frame(0))
    first.save(tmp_path / "a.tif", save_all=True, append_images=[first.resize((16, 12))])
    with caplog.at_level(logging.WARNING):
        found, files, _ = run(tmp_path / "a.tif", tmp_path / "out")
    assert (found.frames, files.annotated.name) == (1, "annotated.png")
    assert "has 2 pages of different sizes: only the first is used" in caplog.text


def test_a_film_that_an_edit_list_shortens_is_complete(tmp_path, caplog):
    path = edited(write_video(tmp_path / "a.mp4", 24, fps=8), 5, 8)
    with caplog.at_level(logging.WARNING):
        found, _, _ = run(path, tmp_path / "out")
    assert found.frames == 8
    assert caplog.text == ""


def test_a_cover_picture_is_not_predicted_on(tmp_path):
    found, _, video = run(cover_first(write_video(tmp_path / "a.mp4", 6)), tmp_path / "out")
    assert (found.frames, video["width"], video["height"]) == (6, 64, 48)


def test_colons_in_the_names_of_input_and_output_are_letters(tmp_path, monkeypatch):
    from pathlib import Path

    monkeypatch.chdir(tmp_path)
    write_vfr("2026-03-01T12:30:05.mp4", [0, 100, 200])
    found, files, _ = run(Path("2026-03-01T12:30:05.mp4"), Path("12:30"))
    assert found.frames == 3
    assert len(shown_at(files.annotated.resolve())) == 3


def test_damaged_frames_are_counted_once(tmp_path, caplog):
    path = write_video(tmp_path / "a.mp4", 24)
    whole = path.read_bytes()
    start = whole.index(b"mdat") + 4
    for at in range(start, whole.index(b"moov") - 8, 40):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        caplog.clear()
        try:
            with caplog.at_level(logging.WARNING):
                frames = [pixels for _, pixels in open_frames(path)]
        except UserError:
            continue
        if "frames are damaged, the first is frame" in caplog.text:
            assert len(frames) == 24
            assert np.array_equal(frames[0].shape, (48, 64, 3))
            return
    pytest.fail("no damage was concealed")
