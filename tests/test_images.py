"""One decoder: whoever reads a picture sees the same pixels, whatever kind of file it is."""

import os
import warnings

import numpy as np
import pytest
from PIL import Image

from capgen.dataset.types import Media
from capgen.evaluation.benchmarks.frames import FrameFolder
from capgen.evaluation.reading.tracks import Detection
from capgen.evaluation.reporting import page
from capgen.images import (
    MAX_BYTES,
    PictureFault,
    path_under,
    read_animation,
    read_header,
    read_picture,
)
from capgen.maskcaptioner.data.pictures import read_frames
from capgen.maskcaptioner.data.release_rows import Medium
from capgen.maskcaptioner.inference.frames import open_frames
from capgen.pipeline.rendering.frames import load_frame
from tests.odd_pictures import ANIMATED, HEIGHT, ODD, WIDTH, frames, scene

SIZE = (HEIGHT, WIDTH)


def media(folder, name):
    about = {"dataset": "lvis", "split": "val", "media_id": "1", "kind": "image", "width": WIDTH, "height": HEIGHT}
    return Media(**about, root=str(folder), file_names=(name,))


def pipeline(folder, name):
    return load_frame(media(folder, name), 0)


def medium(name, folder=None, data=None):
    files, root = ((data,), None) if data else ((name,), str(folder))
    return Medium("lvis/val/1", "image", WIDTH, HEIGHT, files, root, (), (name,))


def trainer(folder, name):
    return read_frames(medium(name, folder), [0], SIZE)[0]


def embedded(folder, name):
    return read_frames(medium(name, data=(folder / name).read_bytes()), [0], SIZE)[0]


def predictor(folder, name):
    return next(iter(open_frames(folder / name)))[1]


def benchmark(folder, name):
    return next(FrameFolder(folder, {0: name}, size=SIZE).read([0]))


def result_page(folder, name):
    shape = Detection(frame=0, track=1, category=1, score=1.0, caption="", box=(0.0, 0.0, 1.0, 1.0), mask=None)
    return page._canvas(SIZE, (folder, name), shape)[:, :, ::-1]


READERS = (pipeline, trainer, embedded, predictor, benchmark, result_page)


@pytest.mark.parametrize("name", ODD)
def test_all_readers_see_the_pixels_of_an_odd_file(tmp_path, name):
    wanted = ODD[name](tmp_path / name)
    seen = {reader.__name__: np.asarray(reader(tmp_path, name)) for reader in READERS}
    for reader, pixels in seen.items():
        assert np.array_equal(pixels, seen["pipeline"]), reader
    inner = np.ones(SIZE, bool)
    inner[9:15], inner[:, 17:23] = False, False  # JPEG smears the borders of the quarters
    tolerance = 8 if name.endswith(".jpg") else 1
    assert np.abs(seen["pipeline"].astype(int) - wanted)[inner].max() <= tolerance


@pytest.mark.parametrize("name", ["plain.png", "plain.jpg", "rgba.webp", "sixteen_bit_grey.tif", "animated.gif"])
def test_no_reader_shows_a_truncated_file(tmp_path, name):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    if name.startswith(("plain", "animated")):
        Image.fromarray(noise).save(tmp_path / name)
    else:
        ODD[name](tmp_path / name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    for reader in READERS:
        with pytest.raises(Exception, match=r"damaged|not a picture|no picture") as caught:
            reader(tmp_path, name)
        assert type(caught.value).__name__ in ("UserError", "PictureFault"), reader


@pytest.mark.parametrize("name", ANIMATED)
def test_all_frames_of_an_animated_file_are_there_with_their_times(tmp_path, name):
    ODD[name](tmp_path / name)
    assert read_header(tmp_path / name).frames == 4
    times, seen = zip(*read_animation(tmp_path / name), strict=True)
    step = 0.1 if name == "pages.tif" else 0.2
    assert times == pytest.approx([0, step, 2 * step, 3 * step])
    for one, wanted in zip(seen, frames(), strict=True):
        assert np.abs(one.astype(int) - wanted).max() <= 1


def test_the_default_picture_of_an_animation_is_its_still_and_none_of_its_frames(tmp_path):
    cover, *rest = (Image.fromarray(one) for one in frames())
    cover.save(tmp_path / "a.png", save_all=True, append_images=rest, default_image=True, duration=50)
    assert read_header(tmp_path / "a.png").frames == 3
    assert np.array_equal(read_picture(tmp_path / "a.png"), frames()[0])
    for (_, one), wanted in zip(read_animation(tmp_path / "a.png"), frames()[1:], strict=True):
        assert np.array_equal(one, wanted)


def test_pages_of_several_sizes_are_no_animation(tmp_path):
    image = Image.fromarray(scene())
    image.save(tmp_path / "a.tif", save_all=True, append_images=[image.resize((20, 12))])
    header = read_header(tmp_path / "a.tif")
    assert (header.size, header.frames, header.pages) == (SIZE, 1, 2)
    assert len(list(read_animation(tmp_path / "a.tif"))) == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_without_a_declared_size_a_picture_is_upright(tmp_path, orientation):
    from PIL import ImageOps

    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(scene()).save(tmp_path / "a.png", exif=exif)
    with Image.open(tmp_path / "a.png") as image:
        wanted = np.asarray(ImageOps.exif_transpose(image))
    assert np.array_equal(read_picture(tmp_path / "a.png"), wanted)
    assert read_header(tmp_path / "a.png").upright == wanted.shape[:2]
    assert np.array_equal(read_picture(tmp_path / "a.png", size=SIZE), scene())


@pytest.mark.parametrize(("least", "given"), [((24, 40), 1), ((13, 20), 1), ((12, 20), 2), ((5, 9), 4), ((1, 1), 8)])
def test_a_jpeg_comes_reduced_but_never_below_what_is_needed(tmp_path, least, given):
    Image.fromarray(scene()).save(tmp_path / "a.jpg", quality=95, subsampling=0)
    pixels = read_picture(tmp_path / "a.jpg", size=SIZE, least=least)
    assert pixels.shape == (24 // given, 40 // given, 3)
    corner = 24 // given // 4
    assert np.abs(pixels[corner, corner].astype(int) - (220, 30, 30)).max() < 20


def test_samples_of_32_bits_are_refused_not_guessed(tmp_path):
    for number, kind in enumerate((np.float32, np.int32)):
        Image.fromarray(np.full(SIZE, 7, kind)).save(tmp_path / f"{number}.tif")
        with pytest.raises(PictureFault, match="picture_unreadable"):
            read_picture(tmp_path / f"{number}.tif")


@pytest.mark.parametrize("kind", ["EPS", "PDF", "ICO", "TGA"])
def test_formats_that_are_not_on_the_list_are_not_opened(tmp_path, kind):
    Image.fromarray(scene()).save(tmp_path / "a.png", format=kind)
    with pytest.raises(PictureFault, match="is not a picture of a known kind"):
        read_picture(tmp_path / "a.png")


def test_pipes_folders_and_giants_are_not_read(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    (tmp_path / "b.png").mkdir()
    with (tmp_path / "c.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    for name, reason in (("a.png", "picture_unreadable"), ("b.png", "picture_unreadable"), ("c.png", "too_large")):
        with pytest.raises(PictureFault, match=reason):
            read_picture(tmp_path / name)


def test_a_name_stays_under_its_root(tmp_path):
    assert path_under(tmp_path, "a/b.png") == tmp_path / "a/b.png"
    for name in ("../a.png", "/etc/passwd", "a/../../b", "C:\\a.png", ""):
        with pytest.raises(PictureFault, match="bad_path"):
            path_under(tmp_path, name)


def test_a_picture_that_reads_well_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name, make in ODD.items():
            make(tmp_path / name)
            read_picture(tmp_path / name)
