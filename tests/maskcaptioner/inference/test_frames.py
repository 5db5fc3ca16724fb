"""Frames of anything: in order, upright, one size, and one line where that cannot be."""

import numpy as np
import pytest
from PIL import Image

from capgen.errors import MissingFile, UserError
from capgen.maskcaptioner.inference.frames import open_frames
from capgen.videos import natural
from tests.maskcaptioner.films import HEIGHT, WIDTH, frame, write_video


def save(path, picture):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return path


def test_a_video_gives_all_its_frames_in_order_and_again(tmp_path):
    source = open_frames(write_video(tmp_path / "a.mp4", 12, fps=8))
    assert (source.kind, source.fps, source.expected) == ("video", 8, 12)
    for _ in range(2):
        frames = [one for _, one in source]
        assert len(frames) == 12
        for index, one in enumerate(frames):
            assert one.shape == (HEIGHT, WIDTH, 3)
            assert np.abs(one.astype(int) - frame(index)).mean() < 6
            assert np.allclose(one[26, 10 + 2 * index], (230, 30, 30), atol=25)


@pytest.mark.parametrize(("rotation", "corner"), [(90, (-1, 0)), (180, (-1, -1)), (-90, (0, -1))])
def test_a_video_that_was_filmed_sideways_is_upright(tmp_path, rotation, corner):
    frames = [one for _, one in open_frames(write_video(tmp_path / "a.mp4", 2, rotation=rotation))]
    assert frames[0].shape[:2] == ((HEIGHT, WIDTH) if rotation == 180 else (WIDTH, HEIGHT))
    assert np.allclose(frames[0][3 if corner[0] == 0 else -4, 3 if corner[1] == 0 else -4], (20, 220, 40), atol=30)


def test_every_third_frame_keeps_the_speed(tmp_path):
    source = open_frames(write_video(tmp_path / "a.mp4", 10, fps=12), every=3)
    frames = [one for _, one in source]
    assert (len(frames), source.expected, source.fps) == (4, 4, 4)
    assert np.abs(frames[2].astype(int) - frame(6)).mean() < 6


def test_a_folder_is_read_in_natural_order(tmp_path):
    for number in (10, 9, 1, 100):
        save(tmp_path / "f" / f"frame{number}.png", np.full((6, 8, 3), number, np.uint8))
    (tmp_path / "f" / "notes.txt").write_text("no picture")
    (tmp_path / "f" / "._frame1.png").write_bytes(b"what a Mac leaves")
    source = open_frames(tmp_path / "f", fps=3)
    assert [int(one[0, 0, 0]) for _, one in source] == [1, 9, 10, 100]
    assert source.names(2) == ["frame1.png", "frame9.png"]
    assert (source.kind, source.fps) == ("video", 3)
    assert [int(one[0, 0, 0]) for _, one in open_frames(tmp_path / "f", every=2)] == [1, 10]


def test_links_out_of_the_input_are_refused_in_a_runs_folder_and_where_that_is_wanted(tmp_path):
    save(tmp_path / "elsewhere" / "secret.png", np.zeros((6, 8, 3), np.uint8))
    for folder in ("frames", "out/frames"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "0.png").symlink_to(tmp_path / "elsewhere" / "secret.png")
    (tmp_path / "out" / "plan.json").write_text("{}")
    (tmp_path / "out" / "linked").symlink_to(tmp_path / "elsewhere")
    assert len([*open_frames(tmp_path / "frames")]) == 1
    refused = [("frames", False), ("frames/0.png", False), *((f"out/{name}", None) for name in ("frames", "linked"))]
    for place, follow in (*refused, ("out/frames/0.png", None)):
        with pytest.raises(UserError, match=r"is a link that leads out of .*--follow-links"):
            open_frames(tmp_path / place, follow_links=follow)
        assert open_frames(tmp_path / place, follow_links=True).expected == 1


def test_natural_order_never_compares_a_number_with_a_word():
    names = ["b", "2", "a10", "a9b", "10", "a", "A2"]
    assert sorted(names, key=natural) == ["2", "10", "a", "A2", "a9b", "a10", "b"]


def test_a_folder_of_mixed_sizes_names_the_first_that_differs(tmp_path):
    for number, width in enumerate((8, 8, 9)):
        save(tmp_path / f"{number}.png", np.zeros((6, width, 3), np.uint8))
    with pytest.raises(UserError, match=r"2\.png is 9x6 pixels, but the first frame, 0\.png, is 8x6"):
        list(open_frames(tmp_path))


def test_a_picture_is_one_upright_frame(tmp_path):
    image, exif = Image.fromarray(frame(0)), Image.Exif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    source = open_frames(tmp_path / "a.jpg")
    ((_, one),) = list(source)
    assert (source.kind, one.shape, one.dtype) == ("picture", (WIDTH, HEIGHT, 3), np.uint8)
    assert np.allclose(one[3, -4], (20, 220, 40), atol=30)


@pytest.mark.parametrize(
    ("picture", "pixel"),
    [
        (Image.fromarray(np.full((4, 5), 51200, np.uint16)), (200, 200, 200)),
        (Image.new("RGBA", (5, 4), (200, 100, 50, 128)), (100, 50, 25)),
        (Image.new("L", (5, 4), 77), (77, 77, 77)),
        (Image.new("CMYK", (5, 4), (0, 0, 0, 0)), (255, 255, 255)),
    ],
)
def test_any_kind_of_picture_becomes_8_bit_rgb(tmp_path, picture, pixel):
    path = tmp_path / ("a.tif" if picture.mode == "CMYK" else "a.png")
    picture.save(path)
    ((_, one),) = list(open_frames(path))
    assert (one.shape, one.dtype) == ((4, 5, 3), np.uint8)
    assert np.allclose(one[1, 1], pixel, atol=1)


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    return path


def broken(folder, kind):
    """An input that cannot be read."""
    made = {
        "empty.mp4": lambda p: p.write_bytes(b""),
        "text.mp4": lambda p: p.write_text("hello\n" * 100),
        "text.txt": lambda p: p.write_text("hello\n" * 100),
        "text.png": lambda p: p.write_text("hello\n" * 100),
        "cut.mp4": lambda p: cut(write_video(p), 0.6),
        "cut.png": lambda p: cut(save(p, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), 0.6),
        "cut.jpg": lambda p: cut(save(p, np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)), 0.6),
        "folder": lambda p: p.mkdir(),
        "nothing.mp4": lambda p: None,
    }
    made[kind](folder / kind)
    return folder / kind


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("empty.mp4", "is empty (0 bytes)"),
        ("text.mp4", "is not a video that can be read"),
        ("text.txt", "has no video in it"),
        ("text.png", "is not a picture"),
        ("cut.mp4", "is not a video that can be read"),
        ("cut.png", "cannot be decoded"),
        ("cut.jpg", "cannot be decoded"),
        ("folder", "holds no pictures"),
        ("nothing.mp4", "missing"),
    ],
)
def test_what_cannot_be_read_is_one_line_that_names_it(tmp_path, kind, said):
    path = broken(tmp_path, kind)
    with pytest.raises(UserError) as caught:
        list(open_frames(path))
    assert said in str(caught.value)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_sound_without_pictures_is_no_video(tmp_path):
    import av

    with av.open(str(tmp_path / "a.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        sound.rate = 8000
        for packet in [*stream.encode(sound), *stream.encode()]:
            container.mux(packet)
    with pytest.raises(UserError, match="has no video in it"):
        open_frames(tmp_path / "a.wav")


@pytest.mark.parametrize(("options", "said"), [({"every": 0}, "--every 0"), ({"fps": 0.0}, "--fps 0")])
def test_impossible_rates_are_refused(tmp_path, options, said):
    with pytest.raises(UserError, match=said):
        open_frames(tmp_path, **options)


def test_real_frames_are_read_as_they_are(shared):
    folder = shared / "data/lv-vis_mini/train/JPEGImages/00000"
    if not folder.is_dir():
        pytest.skip("no LV-VIS clip here")
    source = open_frames(folder)
    assert source.names(17)[-1] == "00015.jpg"
    assert len({one.shape for _, one in source}) == 1


def test_a_missing_folder_is_missing(tmp_path):
    with pytest.raises(MissingFile):
        open_frames(tmp_path / "no")
