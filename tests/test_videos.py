"""One way through a video: the film's frames and nothing else, upright, each with its time."""

import os
import random
import struct
import threading
from fractions import Fraction
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import av
import numpy as np
import pytest

from capgen.errors import MissingFile, UserError
from capgen.evaluation.benchmarks.frames import FrameVideo
from capgen.videos import MAX_BYTES, count_frames, frame_files, read_video, read_video_header
from tests.maskcaptioner.films import HEIGHT, WIDTH, frame, write_video


def numbers(path):
    """Which frame of ``films.frame`` each frame is, by where the red square is."""
    found = []
    for one in read_video(path):
        pixels = one.pixels().astype(int)
        _, columns = np.where((pixels[..., 0] > 180) & (pixels[..., 1] < 90))
        found.append(round((columns.min() - 4) / 2))
    return found


def write_vfr(path, times):
    """Frames at those milliseconds."""
    with av.open(f"file:{path}", "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=20, options={"bf": "0", "crf": "8"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for index, time in enumerate(times):
            one = av.VideoFrame.from_ndarray(frame(index), format="rgb24")
            one.pts, one.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(one))
        container.mux(stream.encode())
    return path


def test_every_frame_has_the_time_that_the_file_gives_it(tmp_path):
    times = [0, 50, 100, 1100, 1150, 4000]
    path = write_vfr(tmp_path / "a.mp4", times)
    assert [one.seconds for one in read_video(path)] == pytest.approx([t / 1000 for t in times])
    assert numbers(path) == [0, 1, 2, 3, 4, 5]


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_vfr("2026-03-01T12:30:05.mp4", range(0, 500, 100))
    assert numbers(Path("2026-03-01T12:30:05.mp4")) == [0, 1, 2, 3, 4]


def test_a_file_above_the_limit_is_refused_before_it_is_opened(tmp_path):
    path = write_video(tmp_path / "a.mp4", 2)
    os.truncate(path, MAX_BYTES)  # a hole: it takes no room
    assert numbers(path) == [0, 1]
    os.truncate(path, MAX_BYTES + 1)
    for read in (lambda: list(read_video(path)), lambda: read_video_header(path), lambda: count_frames(path)):
        with pytest.raises(UserError, match=r"a\.mp4 is larger than 64 GiB; cut it into parts"):
            read()


def edited(path, first, count, fps=8):
    """The file with an edit list that shows ``count`` frames from ``first`` on."""
    data = bytearray(path.read_bytes())
    at = data.index(b"elst") + 4
    version, entries, _, start, rate = struct.unpack(">IIIiI", data[at : at + 20])
    header, track = data.index(b"mvhd") + 4, data.index(b"tkhd") + 4
    media = data.index(b"mdhd") + 4
    ticks, seconds = struct.unpack(">I", data[header + 12 : header + 16])[0], count / fps
    per_frame = struct.unpack(">I", data[media + 12 : media + 16])[0] // fps
    data[at : at + 20] = struct.pack(">IIIiI", version, entries, int(seconds * ticks), start + first * per_frame, rate)
    data[header + 16 : header + 20] = data[track + 20 : track + 24] = struct.pack(">I", int(seconds * ticks))
    path.write_bytes(data)
    return path


def test_an_edit_list_hides_frames_and_the_header_knows(tmp_path):
    path = edited(write_video(tmp_path / "a.mp4", 24, fps=8), 5, 8)
    assert numbers(path) == [5, 6, 7, 8, 9, 10, 11, 12]
    header = read_video_header(path)
    assert (header.frames, header.seconds) == (8, pytest.approx(1.0))


def cover_first(path):
    """Put a cover picture before the tracks, as taggers do."""
    import io

    from PIL import Image

    def box(kind, body):
        return struct.pack(">I", 8 + len(body)) + kind + body

    jpeg = io.BytesIO()
    Image.new("RGB", (120, 160), (30, 60, 200)).save(jpeg, "JPEG")
    picture = box(b"ilst", box(b"covr", box(b"data", struct.pack(">I", 13) + bytes(4) + jpeg.getvalue())))
    handler = box(b"hdlr", bytes(8) + b"mdirappl" + bytes(9))
    tags = box(b"udta", box(b"meta", bytes(4) + handler + picture))
    data = path.read_bytes()
    at = data.index(b"moov") - 4
    old = data[at + 8 :]
    named = old.find(b"udta") - 4
    if named >= 0:
        old = old[:named] + old[named + struct.unpack(">I", old[named : named + 4])[0] :]
    path.write_bytes(data[:at] + box(b"moov", tags + old))
    return path


def test_a_cover_picture_is_not_the_film(tmp_path):
    path = cover_first(write_video(tmp_path / "a.mp4", 6))
    with av.open(str(path)) as container:
        assert [stream.width for stream in container.streams.video] == [120, WIDTH]
    assert numbers(path) == [0, 1, 2, 3, 4, 5]
    assert read_video_header(path).frames == 6


def with_matrix(path, matrix):
    """The file shown by another display matrix: a, b, c, d."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in matrix)
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("matrix", "shown"),
    [
        ((1, 0, 0, 1), lambda f: f),
        ((-1, 0, 0, 1), lambda f: f[:, ::-1]),
        ((1, 0, 0, -1), lambda f: f[::-1]),
        ((-1, 0, 0, -1), lambda f: f[::-1, ::-1]),
        ((0, 1, -1, 0), lambda f: np.rot90(f, -1)),
        ((0, -1, 1, 0), np.rot90),
        ((0, 1, 1, 0), lambda f: f.transpose(1, 0, 2)),
        ((0, -1, -1, 0), lambda f: np.rot90(f.transpose(1, 0, 2), 2)),
    ],
)
def test_a_film_is_shown_as_its_display_matrix_says(tmp_path, matrix, shown):
    path = with_matrix(write_video(tmp_path / "a.mp4", 2), matrix)
    wanted = shown(frame(0))
    pixels = next(read_video(path)).pixels()
    assert pixels.shape == wanted.shape
    assert np.abs(pixels.astype(int) - wanted).mean() < 6
    upright = next(read_video(path, size=wanted.shape[:2])).pixels()
    assert np.array_equal(upright, pixels)
    stored = next(read_video(path, size=(HEIGHT, WIDTH))).pixels()
    assert stored.shape == (HEIGHT, WIDTH, 3)


def test_benchmarks_see_a_film_upright_unless_the_annotations_mean_it_as_stored(tmp_path):
    path = with_matrix(write_video(tmp_path / "a.mp4", 3), (0, 1, -1, 0))
    for size, shape in (((WIDTH, HEIGHT), (WIDTH, HEIGHT, 3)), (None, (WIDTH, HEIGHT, 3)), ((HEIGHT, WIDTH), None)):
        one = next(FrameVideo(path, size=size).read([1]))
        assert one.shape == (shape or (HEIGHT, WIDTH, 3))


class _Asked(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_error(404)

    def log_message(self, *args):
        return


def test_a_play_list_opens_neither_addresses_nor_other_files(tmp_path):
    write_video(tmp_path / "real.mp4", 3)
    server = HTTPServer(("127.0.0.1", 0), _Asked)
    server.asked = []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}/x.ts"
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\n"
    lists = {
        "a.m3u8": f"{head}{address}\n#EXT-X-ENDLIST\n",
        "b.m3u8": f"{head}real.mp4\n#EXT-X-ENDLIST\n",
        "c.ffconcat": "ffconcat version 1.0\nfile 'real.mp4'\n",
        "d.mp4": "ffconcat version 1.0\nfile 'real.mp4'\n",
        "e.sdp": f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {server.server_port} RTP/AVP 96\n",
    }
    try:
        for name, text in lists.items():
            (tmp_path / name).write_text(text)
            with pytest.raises(UserError, match=r"no video in it|not a video that can be read"):
                list(read_video(tmp_path / name))
            with pytest.raises(UserError, match=r"no video in it|not a video that can be read"):
                read_video_header(tmp_path / name)
    finally:
        server.shutdown()
    assert server.asked == []


def test_what_is_no_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "a.mp4")
    with pytest.raises(UserError, match="is not a regular file"):
        read_video_header(tmp_path / "a.mp4")
    with pytest.raises(MissingFile):
        next(read_video(tmp_path / "b.mp4"))


def test_damage_is_marked_where_the_decoder_conceals_it_and_else_ends_with_the_place(tmp_path):
    path = write_video(tmp_path / "a.mp4", 24)
    whole = path.read_bytes()
    start, end = whole.index(b"mdat") + 4, whole.index(b"moov") - 304
    marked, ended = 0, []
    for seed in range(12):
        draw = random.Random(seed)
        data, at, length = bytearray(whole), draw.randrange(start, end), draw.choice((4, 50, 300))
        data[at : at + length] = draw.randbytes(length)
        path.write_bytes(data)
        try:
            marked += sum(one.damaged for one in read_video(path))
        except UserError as error:
            ended.append(str(error))
    assert marked
    assert ended
    assert all("is damaged after frame" in text or "is not a video that can be read" in text for text in ended)


def test_a_film_longer_than_the_limit_is_refused(tmp_path, monkeypatch):
    path = write_vfr(tmp_path / "a.mp4", [0, 100, 200])
    monkeypatch.setattr("capgen.videos.MAX_FRAMES", 2)
    with pytest.raises(UserError, match=r"is longer than 2 frames; cut it"):
        list(read_video(path))
    monkeypatch.setattr("capgen.videos.MAX_FRAMES", 20)
    monkeypatch.setattr("capgen.videos.MAX_SECONDS", 0.15)
    with pytest.raises(UserError, match="is longer than"):
        list(read_video(path))


def test_the_files_of_a_folder_come_in_natural_order_without_hidden_ones(tmp_path):
    for name in ("frame10.png", "frame9.jpg", "._frame9.jpg", ".hidden.png", "notes.txt", "Frame1.PNG"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "sub.png").mkdir()
    assert [file.name for file in frame_files(tmp_path)] == ["Frame1.PNG", "frame9.jpg", "frame10.png"]


def test_a_title_that_is_not_utf8_keeps_no_video_from_being_read(tmp_path):
    data = write_video(tmp_path / "a.mp4", 3).read_bytes()
    at = data.index(b"Lavf")
    (tmp_path / "b.mp4").write_bytes(data[:at] + b"\xde\xff" + data[at + 2 :])
    assert read_video_header(tmp_path / "b.mp4").frames == 3
