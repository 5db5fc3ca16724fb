from __future__ import annotations

import os
import pickle
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from capgen.dataset.types import Fault, Media, MediaObject
from capgen.images import PictureFault
from capgen.pipeline.rendering.frames import choose, load_frame

WIDTH, HEIGHT = 48, 32


def medium(root: Path, name: str, width: int = WIDTH, height: int = HEIGHT) -> Media:
    return Media(
        dataset="lvis",
        split="val",
        media_id="1",
        kind="image",
        root=str(root),
        file_names=(name,),
        width=width,
        height=height,
    )


def scene() -> np.ndarray:
    """Four smooth quarters, told apart by colour, so that turns and swapped channels are seen."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), dtype=np.uint8)
    pixels[: HEIGHT // 2, : WIDTH // 2] = (220, 30, 30)
    pixels[: HEIGHT // 2, WIDTH // 2 :] = (30, 220, 30)
    pixels[HEIGHT // 2 :, : WIDTH // 2] = (30, 30, 220)
    pixels[HEIGHT // 2 :, WIDTH // 2 :] = (200, 200, 200)
    return pixels


def close(loaded: np.ndarray, wanted: np.ndarray, tolerance: int = 40) -> bool:
    inner = (slice(3, HEIGHT // 2 - 3), slice(3, WIDTH // 2 - 3))  # away from the edges that JPEG smears
    return all(
        np.abs(a[inner].astype(int) - b[inner].astype(int)).max() < tolerance
        for a, b in ((loaded, wanted), (loaded[::-1, ::-1], wanted[::-1, ::-1]), (loaded[::-1], wanted[::-1]))
    )


def save(path: Path, image: Image.Image, **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, **options)
    return path


def reason(media: Media) -> str:
    with pytest.raises(PictureFault) as caught:
        load_frame(media, 0)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300
    return caught.value.reason


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [
        ("a.jpg", "RGB", {"quality": 95, "subsampling": 0}),
        ("progressive.jpg", "RGB", {"quality": 95, "subsampling": 0, "progressive": True}),
        ("cmyk.jpg", "CMYK", {"quality": 95, "subsampling": 0}),
        ("a.png", "RGB", {}),
        ("alpha.png", "RGBA", {}),
        ("palette.png", "P", {}),
        ("a.webp", "RGB", {"lossless": True}),
        ("a.bmp", "RGB", {}),
        ("a.gif", "P", {}),
        ("a.tif", "RGB", {}),
    ],
)
def test_every_kind_of_picture_becomes_rgb(tmp_path, name, mode, options):
    image = Image.fromarray(scene())
    save(tmp_path / name, image.quantize(16) if mode == "P" else image.convert(mode), **options)
    loaded = load_frame(medium(tmp_path, name), 0)
    assert loaded.dtype == np.uint8
    assert loaded.shape == (HEIGHT, WIDTH, 3)
    assert close(loaded, scene())


def test_a_cmyk_picture_is_not_its_negative(tmp_path):
    """Adobe writes the inks inverted and says so in a marker; Pillow writes and reads that marker."""
    save(tmp_path / "a.jpg", Image.new("CMYK", (WIDTH, HEIGHT), (0, 255, 255, 0)), quality=95)
    red = load_frame(medium(tmp_path, "a.jpg"), 0).reshape(-1, 3).mean(axis=0)
    assert red[0] > 200
    assert max(red[1:]) < 60


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_grey_pictures_become_rgb(tmp_path, name):
    save(tmp_path / name, Image.new("L", (WIDTH, HEIGHT), 90))
    assert (np.abs(load_frame(medium(tmp_path, name), 0).astype(int) - 90) <= 2).all()


def test_sixteen_bits_are_scaled_not_cut_off(tmp_path):
    ramp = np.linspace(0, 65535, WIDTH * HEIGHT).reshape(HEIGHT, WIDTH).astype(np.uint16)
    cv2.imwrite(str(tmp_path / "grey.png"), ramp)
    loaded = load_frame(medium(tmp_path, "grey.png"), 0)
    assert (np.abs(loaded[..., 0].astype(int) - ramp // 257) <= 1).all()
    cv2.imwrite(str(tmp_path / "colour.png"), np.dstack([ramp, ramp * 0, ramp[::-1]]))
    loaded = load_frame(medium(tmp_path, "colour.png"), 0)
    assert (np.abs(loaded[..., 2].astype(int) - ramp // 257) <= 1).all()


def test_a_picture_under_another_formats_name_is_read_for_what_it_is(tmp_path):
    save(tmp_path / "a.png", Image.fromarray(scene())).rename(tmp_path / "a.jpg")
    assert (load_frame(medium(tmp_path, "a.jpg"), 0) == scene()).all()


@pytest.mark.parametrize("orientation", [2, 3, 4, 5, 6, 7, 8])
def test_an_orientation_is_ignored_where_the_stored_size_is_the_declared_one(tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "a.jpg", Image.fromarray(scene()), exif=exif, quality=95, subsampling=0)
    assert close(load_frame(medium(tmp_path, "a.jpg"), 0), scene())


@pytest.mark.parametrize(("orientation", "back"), [(5, 5), (6, 8), (7, 7), (8, 6)])
def test_a_picture_is_turned_where_only_the_turned_one_has_the_declared_size(tmp_path, orientation, back):
    """The stored picture is the scene turned the other way; what is loaded is what Pillow's own transposition gives."""
    from PIL import ImageOps

    stored = Image.fromarray(scene())
    other = Image.Exif()
    other[0x0112] = back
    save(tmp_path / "sideways.png", stored, exif=other)
    sideways = ImageOps.exif_transpose(Image.open(tmp_path / "sideways.png"))
    exif = Image.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "a.jpg", Image.fromarray(np.asarray(sideways)), exif=exif, quality=95, subsampling=0)
    assert close(load_frame(medium(tmp_path, "a.jpg"), 0), scene())


def test_a_picture_of_another_size_is_refused_before_it_is_decoded(tmp_path):
    save(tmp_path / "a.jpg", Image.fromarray(scene()))
    assert reason(medium(tmp_path, "a.jpg", WIDTH + 1)) == "picture_size"
    assert reason(medium(tmp_path, "a.jpg", HEIGHT, WIDTH)) == "picture_size"


def png(width: int, height: int) -> bytes:
    """A PNG that claims a size and holds next to nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 64)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("side", [9_200, 40_000, 60_000])
@pytest.mark.filterwarnings("error")
def test_a_decompression_bomb_is_refused_from_its_header(tmp_path, side):
    """Also one whose annotation declares the same size, and on either side of Pillow's own limits."""
    (tmp_path / "a.png").write_bytes(png(side, side))
    assert reason(medium(tmp_path, "a.png", side, side)) == "picture_too_large"
    assert reason(medium(tmp_path, "a.png")) in {"picture_too_large", "picture_size"}


@pytest.mark.parametrize("name", ["a.jpg", "p.jpg", "a.png", "a.webp"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.98])
def test_a_truncated_picture_is_no_picture(tmp_path, name, share):
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    path = save(tmp_path / name, Image.fromarray(noise), progressive=name == "p.jpg")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    assert reason(medium(tmp_path, name)) == "picture_unreadable"


def test_a_truncated_photograph_with_a_whole_thumbnail_is_no_picture(tmp_path):
    """The thumbnail's end mark is not the photograph's."""
    thumbnail = save(tmp_path / "t.jpg", Image.new("RGB", (8, 8))).read_bytes()
    noise = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    data = save(tmp_path / "a.jpg", Image.fromarray(noise), exif=b"Exif\0\0" + thumbnail).read_bytes()
    (tmp_path / "a.jpg").write_bytes(data[: len(data) * 2 // 3])
    assert reason(medium(tmp_path, "a.jpg")) == "picture_unreadable"


def test_bytes_after_the_end_are_no_fault(tmp_path):
    path = save(tmp_path / "a.jpg", Image.fromarray(scene()), quality=95, subsampling=0)
    path.write_bytes(path.read_bytes() + b"\0\xff\xda trailing junk")
    assert close(load_frame(medium(tmp_path, "a.jpg"), 0), scene())


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"<html>404 not found</html>",
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 32\n",
        b"GIF89a",
    ],
)
def test_what_is_no_picture_is_said_to_be_none(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    assert reason(medium(tmp_path, "a.jpg")) == "picture_unreadable"


@given(data=st.data())
def test_no_damage_to_a_picture_raises_anything_but_a_fault(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("damaged")
    name = data.draw(st.sampled_from(["a.jpg", "a.png", "a.webp", "a.gif", "a.tif", "a.bmp"]))
    content = bytearray(save(folder / name, Image.fromarray(scene())).read_bytes())
    for at, value in data.draw(st.lists(st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), max_size=8)):
        content[at] = value
    (folder / name).write_bytes(content)
    try:
        ended = "shape", *load_frame(medium(folder, name), 0).shape
    except PictureFault as fault:
        ended = "fault", fault.reason
    faults = ("picture_unreadable", "picture_size", "picture_too_large")
    assert ended in {("shape", HEIGHT, WIDTH, 3), *(("fault", code) for code in faults)}


def test_a_missing_file_is_missing(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    assert reason(medium(tmp_path, "b.jpg")) == "picture_missing"
    assert reason(medium(tmp_path, "a.jpg/b.jpg")) == "picture_missing"
    assert reason(medium(tmp_path / "nowhere", "b.jpg")) == "picture_missing"


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "x/../../a.jpg",
        "x/..",
        "/etc/hostname",
        "\\..\\a.jpg",
        "..\\a.jpg",
        "C:\\a.jpg",
        "C:a.jpg",
        "",
        "a\0.jpg",
    ],
)
def test_a_name_that_climbs_out_of_the_root_is_not_read(tmp_path, name):
    save(tmp_path / "a.jpg", Image.fromarray(scene()))
    (tmp_path / "root" / "x").mkdir(parents=True)
    assert reason(medium(tmp_path / "root", name)) == "bad_path"


def test_a_name_that_no_file_can_have_is_a_fault(tmp_path):
    assert reason(medium(tmp_path, "\ud800.jpg")) == "bad_path"
    assert reason(medium(tmp_path, "a" * 5000)) == "picture_unreadable"
    assert reason(medium(tmp_path, "a\n\x1b[31mb" * 9)) == "picture_missing"


def test_a_link_that_the_user_laid_is_followed(tmp_path):
    save(tmp_path / "elsewhere" / "a.png", Image.fromarray(scene()))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "train2017").symlink_to(tmp_path / "elsewhere")
    assert (load_frame(medium(tmp_path / "root", "train2017/a.png"), 0) == scene()).all()


def test_folders_and_pipes_are_not_read(tmp_path):
    """Opening a pipe would wait for ever."""
    (tmp_path / "a.jpg").mkdir()
    os.mkfifo(tmp_path / "b.jpg")
    assert reason(medium(tmp_path, "a.jpg")) == "picture_unreadable"
    assert reason(medium(tmp_path, "b.jpg")) == "picture_unreadable"


def test_frames_are_shared_so_nobody_may_write_to_them(tmp_path):
    save(tmp_path / "a.png", Image.fromarray(scene()))
    save(tmp_path / "b.bmp", Image.fromarray(scene()))
    for name in ("a.png", "b.bmp"):
        with pytest.raises(ValueError, match="read-only"):
            load_frame(medium(tmp_path, name), 0)[0, 0] = 0


def test_faults_survive_a_process_boundary():
    fault = PictureFault("picture_size", "a is b")
    assert str(pickle.loads(pickle.dumps(fault))) == "picture_size: a is b"


def clip(*visibility: str, areas: tuple[int, ...] = (), fault: Fault | None = None) -> Media:
    """A video with one object for each string: `x` where the object is seen, `.` where it is not."""
    objects = tuple(
        MediaObject(
            key=str(n),
            object_id=str(n),
            category_id=1,
            category="cup",
            synonyms=(),
            counts=tuple("c" if c == "x" else None for c in row),
            boxes=tuple((0.0, 0.0, 1.0, 1.0) if c == "x" else None for c in row),
            areas=tuple((areas[i] if areas else 1) if c == "x" else None for i, c in enumerate(row)),
            fault=fault,
        )
        for n, row in enumerate(visibility)
    )
    names = tuple(f"{i}.jpg" for i in range(len(visibility[0])))
    return Media(
        dataset="lv-vis",
        split="val",
        media_id="1",
        kind="video",
        root="/",
        file_names=names,
        width=8,
        height=8,
        objects=objects,
    )


def test_uniform_frames_are_spread_from_first_to_last():
    media = clip("x" * 16)
    assert choose("uniform", media, media.objects[0], 4) == (0, 5, 10, 15)
    assert choose("uniform", media, None, 4) == (0, 5, 10, 15)
    assert choose("uniform", media, None, 1) == (7,)
    assert choose("uniform", clip("xx"), None, 4) == (0, 1)


def test_uniform_frames_that_miss_the_object_give_way_to_those_that_show_it():
    media = clip("..x.............")
    assert choose("uniform", media, media.objects[0], 4) == (2,)


def test_visible_frames_are_spread_over_those_that_show_the_object():
    media = clip("....xx..xxx.....")
    assert choose("visible", media, media.objects[0], 2) == (4, 10)
    assert choose("visible", media, media.objects[0], 3) == (4, 8, 10)
    assert choose("visible", media, media.objects[0], 9) == (4, 5, 8, 9, 10)


def test_the_largest_frames_come_in_the_order_of_time():
    media = clip("xxxx.", areas=(3, 9, 1, 7, 0))
    assert choose("largest", media, media.objects[0], 1) == (1,)
    assert choose("largest", media, media.objects[0], 2) == (1, 3)


def test_of_equally_large_frames_the_first_is_chosen():
    media = clip(".xxx")
    assert choose("largest", media, media.objects[0], 1) == (1,)


def test_without_an_object_all_objects_count():
    media = clip("x....", "...x.", areas=(2, 0, 0, 5, 0))
    assert choose("visible", media, None, 4) == (0, 3)
    assert choose("largest", media, None, 1) == (3,)


def test_an_object_that_is_never_visible_has_no_frames():
    media = clip("....")
    assert choose("visible", media, media.objects[0], 2) == ()
    assert choose("largest", media, media.objects[0], 2) == ()


@given(length=st.integers(1, 200), count=st.integers(1, 16))
def test_frames_are_never_repeated_nor_out_of_order(length, count):
    chosen = choose("uniform", clip("x" * length), None, count)
    assert len(chosen) == min(length, count)
    assert sorted(set(chosen)) == list(chosen)
    assert all(0 <= i < length for i in chosen)
