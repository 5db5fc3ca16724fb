"""Frames by name: pictures and frames of video files, each video decoded once, only what is asked for."""

import numpy as np
import pytest
from PIL import Image

from capgen.errors import UserError
from capgen.images import PictureFault
from capgen.videos import count_frames, video_size
from capgen.videos import frames as capgen_frames
from capgen.videos.frames import file_of, read_frame, read_frames, split_frame_name

av = pytest.importorskip("av")

SIZE = (32, 48)


def level(number):
    """The grey of a frame: far enough from its neighbours to be told after compression."""
    return min(255, 20 + 20 * number)


def write_video(path, count=10, codec="mpeg4", times=None, size=SIZE):
    """A video whose frame ``i`` is grey ``level(i)``, at 10 frames a second or at the given times in hundredths."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=100)
        stream.width, stream.height, stream.pix_fmt = size[1], size[0], "yuv420p"
        for number in range(count):
            pixels = np.full((*size, 3), level(number), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = times[number] if times else number * 10
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def test_a_name_says_which_frame_of_which_file():
    assert split_frame_name("a/b.mp4#12") == ("a/b.mp4", 12)
    assert split_frame_name("a/b#12.jpg") == ("a/b#12.jpg", None)
    assert file_of("a/b.WEBM#0") == "a/b.WEBM"
    assert file_of("a.mp4#x") == "a.mp4#x"


@pytest.mark.parametrize(("suffix", "codec"), [("mp4", "mpeg4"), ("mkv", "mpeg4"), ("webm", "libvpx")])
def test_each_frame_is_the_one_that_its_number_names(tmp_path, suffix, codec):
    name = write_video(tmp_path / f"a.{suffix}", codec=codec).name
    found = dict(read_frames(tmp_path, [f"{name}#{i}" for i in (9, 0, 4, 4)], size=SIZE))
    assert sorted(found) == [f"{name}#{i}" for i in (0, 4, 9)]
    for i in (0, 4, 9):
        assert abs(int(found[f"{name}#{i}"].mean()) - level(i)) < 8
    assert count_frames(tmp_path / name) == 10
    assert video_size(tmp_path / name) == SIZE


def test_numbers_count_frames_as_they_are_shown_whatever_their_times(tmp_path):
    write_video(tmp_path / "a.mp4", 4, times=[0, 3, 50, 51])
    assert abs(int(read_frame(tmp_path, "a.mp4#2", size=SIZE).mean()) - level(2)) < 8


def test_a_video_is_decoded_once_and_not_beyond_the_last_frame_that_is_asked_for(tmp_path, monkeypatch):
    write_video(tmp_path / "a.mp4")
    decoded, made = [], []
    real = capgen_frames.read_video

    def counting(path, *, size=None):
        for frame in real(path, size=size):
            decoded.append(frame.number)
            yield frame

    monkeypatch.setattr(capgen_frames, "read_video", counting)
    for name, _ in read_frames(tmp_path, ["a.mp4#1", "a.mp4#5", "a.mp4#3"], size=SIZE):
        made.append(name)
    assert decoded == [0, 1, 2, 3, 4, 5]
    assert made == ["a.mp4#1", "a.mp4#3", "a.mp4#5"]


def reasons(found):
    return {name: one.reason if isinstance(one, PictureFault) else None for name, one in found}


def test_what_is_missing_damaged_or_of_another_size_is_a_fault_of_its_own(tmp_path):
    whole = write_video(tmp_path / "a.mp4")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video")
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "p.png")
    names = ["a.mp4#2", "a.mp4#10", "b.mp4#0", "empty.mp4#0", "text.mp4#0", "../a.mp4#0", "p.png", "q.png"]
    assert reasons(read_frames(tmp_path, names, size=SIZE)) == {
        "a.mp4#2": None,
        "a.mp4#10": "picture_missing",
        "b.mp4#0": "picture_missing",
        "empty.mp4#0": "picture_unreadable",
        "text.mp4#0": "picture_unreadable",
        "../a.mp4#0": "bad_path",
        "p.png": None,
        "q.png": "picture_missing",
    }
    assert reasons(read_frames(tmp_path, ["a.mp4#0"], size=(30, 48))) == {"a.mp4#0": "picture_size"}
    with pytest.raises(PictureFault, match="has 10 frames, none of number 10"):
        read_frame(whole.parent, "a.mp4#10", size=None)


def test_frames_before_the_damage_are_shown(tmp_path):
    data = write_video(tmp_path / "a.mkv", 10, codec="ffv1").read_bytes()
    (tmp_path / "a.mkv").write_bytes(data[: len(data) * 6 // 10])
    found = reasons(read_frames(tmp_path, [f"a.mkv#{i}" for i in range(10)], size=SIZE))
    assert found["a.mkv#0"] is None
    assert found["a.mkv#9"] in ("picture_missing", "picture_unreadable")


def test_a_link_out_of_the_bounds_is_not_followed(tmp_path):
    write_video(tmp_path / "outside" / "a.mp4")
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "a.mp4").symlink_to(tmp_path / "outside" / "a.mp4")
    assert reasons(read_frames(tmp_path / "root", ["a.mp4#0"], size=SIZE)) == {"a.mp4#0": None}
    bounded = read_frames(tmp_path / "root", ["a.mp4#0"], size=SIZE, bounds=tmp_path / "root")
    assert reasons(bounded) == {"a.mp4#0": "bad_path"}


def test_a_file_that_is_no_video_cannot_be_counted(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"a\.mp4 is not a video"):
        count_frames(tmp_path / "a.mp4")
