from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as coco

from capgen import rle
from capgen.dataset.plan import PlannedMedia, PlannedObject
from capgen.dataset.types import Media
from capgen.pipeline.sources.images.lvis import Lvis
from capgen.pipeline.sources.reading.decode import decode_media
from tests.pipeline.sources.files import SHARED, SQUARE

SIZE = (6, 8)


def image(*segmentations: object, size: tuple[int, int] = SIZE) -> Media:
    return _decoded("image", ("a.jpg",), segmentations, size)


def video(*segmentations: object, frames: int = 3) -> Media:
    return _decoded("video", tuple(f"{i}.jpg" for i in range(frames)), segmentations, SIZE)


def _decoded(kind: Any, names: tuple[str, ...], segmentations: tuple[object, ...], size: tuple[int, int]) -> Media:
    objects = tuple(
        PlannedObject(
            object_id=str(i), segmentation=msgspec.Raw(raw if isinstance(raw, bytes) else json.dumps(raw).encode())
        )
        for i, raw in enumerate(segmentations)
    )
    common = {"dataset": "d", "split": "s", "media_id": "m", "height": size[0], "width": size[1]}
    planned = PlannedMedia(kind=kind, file_names=names, objects=objects, **common)  # type: ignore[arg-type]
    return decode_media(planned, "")


def coded(counts: object, size: tuple[int, int] = SIZE) -> dict[str, object]:
    return {"size": list(size), "counts": counts}


def fault(media: Media, index: int = 0) -> str | None:
    found = media.objects[index].fault
    return found.reason if found else None


def bitmap(*pixels: tuple[int, int]) -> np.ndarray[Any, np.dtype[np.bool_]]:
    mask = np.zeros(SIZE, dtype=np.bool_)
    for row, column in pixels:
        mask[row, column] = True
    return mask


def test_a_square_has_its_pixels_its_box_and_its_area() -> None:
    item = image(SQUARE).objects[0]
    assert item.counts[0] is not None
    expected = np.zeros(SIZE, dtype=np.bool_)
    expected[2:6, 2:6] = True
    assert (rle.decode(item.counts[0], SIZE) == expected).all()
    assert (item.boxes, item.areas, item.key) == (((2.0, 2.0, 4.0, 4.0),), (16,), "d/s/m/0")


def test_the_parts_of_an_object_are_one_mask_and_neighbours_are_not_mixed_up() -> None:
    low, high = [0, 0, 2, 0, 2, 2, 0, 2], [4, 3, 6, 3, 6, 5, 4, 5]
    media = image([low, high], [low], SQUARE, [high])
    assert [item.areas for item in media.objects] == [(8,), (4,), (16,), (4,)]
    assert media.objects[0].boxes == ((0.0, 0.0, 6.0, 5.0),)


def test_a_polygon_over_the_border_is_clipped_and_one_outside_is_empty() -> None:
    media = image([[-5, -5, 3, -5, 3, 3, -5, 3]], [[20, 20, 30, 20, 30, 30]], [[-9, -9, -5, -9, -5, -5]])
    assert media.objects[0].boxes == ((0.0, 0.0, 3.0, 3.0),)
    assert [fault(media, i) for i in range(3)] == [None, "empty_mask", "empty_mask"]


def test_broken_polygons_are_dropped_and_an_object_of_nothing_else_fails() -> None:
    media = image([*SQUARE, [1, 2, 3], [1, 2, 3, 4], []], [[1, 2, 3, 4, 5]], [[]], [])
    assert media.objects[0].areas == (16,)
    assert [fault(media, i) for i in range(4)] == [None, "bad_mask", "bad_mask", "empty_mask"]


def test_the_mask_is_pycocotools_own_on_977_real_objects(tmp_path: Path) -> None:
    source = SHARED / "lvis_val_100" / "lvis_val_100.json"
    if not source.is_file():
        pytest.skip("no ../shared")
    (tmp_path / "val2017").mkdir()
    checked = 0
    for planned in Lvis(tmp_path, str(source.resolve())).scan():
        for item, raw in zip(decode_media(planned, "").objects, planned.objects, strict=True):
            size = (planned.height, planned.width)
            one = coco.merge(coco.frPyObjects(json.loads(bytes(raw.segmentation)), *size))
            assert item.counts == (one["counts"].decode(),)
            assert item.areas == (int(coco.area(one)),)
            rows, columns = np.nonzero(coco.decode(one))
            tight = (columns.min(), rows.min(), np.ptp(columns) + 1, np.ptp(rows) + 1)
            assert item.boxes == (tuple(map(float, tight)),)
            checked += 1
    assert checked == 977


def test_frames_keep_their_place() -> None:
    media = video([None, SQUARE, None], [SQUARE, None, coded([10, 4, 34])], [None, coded([48]), []])
    assert [item.visible for item in media.objects] == [(1,), (0, 2), ()]
    assert media.objects[1].boxes == ((2.0, 2.0, 4.0, 4.0), None, (1.0, 0.0, 2.0, 6.0))
    assert media.objects[1].areas == (16, None, 4)
    assert [fault(media, i) for i in range(3)] == [None, None, "empty_mask"]


def test_a_segmentation_of_another_length_than_its_video_fails() -> None:
    media = video([SQUARE, SQUARE], [SQUARE] * 4, None, SQUARE[0])
    assert [fault(media, i) for i in range(4)] == ["bad_mask", "bad_mask", "empty_mask", "bad_mask"]
    assert "2 frames, its video 3" in (media.objects[0].fault.message if media.objects[0].fault else "")


def test_one_bad_frame_fails_the_track_and_no_other() -> None:
    media = video([SQUARE, coded("~~~"), None], [SQUARE, None, None])
    assert [fault(media, i) for i in range(2)] == ["bad_mask", None]
    assert media.objects[0].counts == (None, None, None)


BAD_RUNS: list[object] = [
    *([47], [49], [], [-1, 49], [50, -2], [2**40, 48 - 2**40], [1.5, 46.5], None, 7, {}),
    *("", "PPP", "0", "~", "é", "o" * 1000, "0000o", "\0"),
]
BAD_OBJECTS: list[object] = [
    *(
        coded([48], (8, 6)),
        {"counts": [48]},
        {"size": [6, 8]},
        {"size": [6], "counts": [48]},
        {"size": "6x8", "counts": [48]},
    ),
    *({}, 7, "x", True, [None], [coded([48])], [1, 2, 3, 4, 5, 6], [[[1, 2, 3, 4, 5, 6]]]),
    *([[None, 1, 2, 3, 4, 5]], [["1", 1, 2, 3, 4, 5]]),
]
BAD_TEXTS: list[object] = [
    *(b"[[1e999,0,1,1,2,2]]", b"[[1e300,0,1,1,2,2]]", b"[[NaN,0,1,1,2,2]]", b"[" * 9999, b"", b"]"),
    *(b'{"size":[6,8],"counts":"\xff"}', b'{"size":[6,8],"counts":[' + b"9" * 400 + b"]}"),
]


@pytest.mark.parametrize("bad", [*map(coded, BAD_RUNS), *BAD_OBJECTS, *BAD_TEXTS])
def test_a_malformed_segmentation_is_a_reason_and_its_neighbours_are_decoded(bad: object) -> None:
    media = image(SQUARE, bad, coded([10, 4, 34]))
    assert [fault(media, i) for i in range(3)] == [None, "bad_mask", None]
    assert [item.areas for item in media.objects] == [(16,), (None,), (4,)]
    message = media.objects[1].fault.message if media.objects[1].fault else ""
    assert message
    assert len(message) < 300


@pytest.mark.timeout(20)
def test_an_outline_without_end_is_refused_before_it_fills_the_memory() -> None:
    there_and_back = [[0.0, 0.0, 20_000.0, 20_000.0] * 50_000]
    small = [[0.0, 0.0, 9.0, 0.0, 9.0, 9.0] * 50_001]
    media = image(there_and_back, [[-1e8, 0, 1e8, 0, 0, 1e8]], small, size=(20_000, 20_000))
    assert [fault(media, i) for i in range(3)] == ["bad_mask", "bad_mask", None]


def test_a_reason_of_the_plan_stays_and_nothing_is_decoded() -> None:
    item = PlannedObject(object_id="1", segmentation=msgspec.Raw(b"]["), reason="unknown_media", message="of image 7")
    planned = PlannedMedia(
        dataset="d",
        split="s",
        media_id="7",
        kind="image",
        file_names=(),
        width=0,
        height=0,
        objects=(item,),
    )
    found = decode_media(planned, "").objects[0]
    assert found.fault is not None
    assert (found.fault.reason, found.fault.message, found.counts) == ("unknown_media", "of image 7", ())


def test_runs_of_no_pixels_do_not_loosen_the_box() -> None:
    plain = bitmap((3, 1), (4, 1), (0, 2))
    runs = [9, 0, 0, 1, 0, 1, 1, 1, 0, 0, 35]
    item = image(coded(runs)).objects[0]
    assert item.counts == (rle.encode(plain),)
    assert item.boxes == ((1.0, 0.0, 2.0, 5.0),)
    compressed = _compress(runs)
    assert compressed != item.counts[0]
    assert image(coded(compressed)).objects[0].counts == item.counts


def _compress(runs: list[int]) -> str:
    """Run lengths as text, without joining empty runs, by the format's definition."""
    text = ""
    for i, run in enumerate(runs):
        value = run - runs[i - 2] if i > 2 else run
        while True:
            low, value = value & 31, value >> 5
            done = value == (-1 if low & 16 else 0)
            text += chr(48 + (low if done else low | 32))
            if done:
                break
    return text


@given(st.lists(st.booleans(), min_size=48, max_size=48))
def test_valid_run_lengths_pass_through_unchanged(pixels: list[bool]) -> None:
    mask = np.asarray(pixels).reshape(SIZE)
    counts = rle.encode(mask)
    item = image(coded(counts)).objects[0]
    if not mask.any():
        assert item.fault is not None
        return
    assert (item.counts, item.areas, item.boxes) == ((counts,), (int(mask.sum()),), (rle.box(counts, SIZE),))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=12))
def test_text_and_list_of_the_same_runs_are_the_same_mask(runs: list[int]) -> None:
    left = 48 - sum(runs)
    listed, texted = image(coded([*runs, left])).objects[0], image(coded(_compress([*runs, left]))).objects[0]
    assert listed.counts == texted.counts
    if left < 0:
        assert (listed.fault and listed.fault.reason) == (texted.fault and texted.fault.reason) == "bad_mask"


@settings(max_examples=500)
@given(
    st.text(st.characters(min_codepoint=46, max_codepoint=113), max_size=12),
    st.sampled_from([SIZE, (1, 1), (3000, 3000)]),
)
def test_no_text_gets_a_wrong_mask_past_the_check(text: str, size: tuple[int, int]) -> None:
    item = image(coded(text, size), size=size).objects[0]
    if item.counts[0] is None:
        assert item.fault is not None
        return
    mask = coco.decode({"size": list(size), "counts": text.encode()})
    assert int(mask.sum()) == item.areas[0]
    assert (rle.decode(item.counts[0], size) == mask).all()


def test_a_video_with_more_masks_than_a_byte_counts_is_decoded() -> None:
    """Thirty frames with ten objects: pycocotools 2.0.11 counts at most 255 masks at a time."""
    segmentation = [coded([8, 2, 38])] * 30
    media = video(*[segmentation] * 10, frames=30)
    assert [o.fault for o in media.objects] == [None] * 10
    assert {area for o in media.objects for area in o.areas} == {2}
