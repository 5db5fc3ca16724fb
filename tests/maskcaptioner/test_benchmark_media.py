from __future__ import annotations

from itertools import islice

import cv2
import numpy as np
import pytest

from capgen.errors import UnknownName
from capgen.evaluation.benchmarks.media import BenchmarkRows
from capgen.maskcaptioner.augment import Canvas
from capgen.maskcaptioner.feed import Feed, order_of
from capgen.maskcaptioner.pictures import Reader
from capgen.maskcaptioner.release import Part, count
from capgen.maskcaptioner.settings import AugmentSettings
from capgen.maskcaptioner.trainclip import ClipMaker
from tests.evaluation.benchmarks.test_bensmot import CAPTIONS, sequence


@pytest.fixture
def part(tmp_path):
    sequence(tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        cv2.imwrite(str(path), np.full((60, 80, 3), 128, np.uint8))
    return Part(BenchmarkRows("bensmot", tmp_path, "test"))


def test_a_benchmarks_boxes_and_captions_become_clips_to_learn_from(part):
    census = count([part])
    assert census.media == {"video": 1}
    assert census.captions == census.objects == len(CAPTIONS.splitlines())
    order = order_of((part,), census, kind="video", factors={}, buffer=2, seed=(0,))
    maker = ClipMaker(AugmentSettings(scale=(1.0, 1.0), min_pixels=1), Canvas(60, 80), 2, (1, 1), Reader())
    batch = Feed(order, maker, {}, 1, 32).build(next(Feed(order, maker, {}, 1, 32).draws()))
    (target,) = batch.targets
    assert target.masks_NTHW is None
    assert len(target)
    assert batch.pixels_BTHWC.shape[2:4] == (64, 96)
    assert (batch.pixels_BTHWC[0, :, :60, :80].float() - 128).abs().max() < 4


def test_boxes_lie_where_the_benchmark_has_them(part):
    (row,) = part.rows()
    medium = part.medium(row())
    assert (medium.height, medium.width) == (60, 80)
    (clip,) = islice((item.clip for item in part.rows()), 1)
    for one in clip.annotations:
        (masklet,) = (m for m in medium.masklets if m.object_id == str(one["track_id"]))
        assert masklet.boxes[clip.image_ids.index(one["image_id"])] == tuple(one["bbox"])
        assert masklet.caption == one["caption"]


def test_an_unknown_benchmark_is_named(tmp_path):
    with pytest.raises(UnknownName, match="bensmot"):
        list(BenchmarkRows("bensmott", tmp_path, "train")())
