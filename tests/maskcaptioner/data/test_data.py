from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from capgen import rle
from capgen.dataset.reader import read_plan
from capgen.errors import MissingFile, UnknownName, UserError
from capgen.maskcaptioner.data.augment import Geometry, TrainingCanvas
from capgen.maskcaptioner.data.collate import collate
from capgen.maskcaptioner.data.loader import Feed, batches, order_of
from capgen.maskcaptioner.data.pictures import FrameReader, bitmaps, read_frames
from capgen.maskcaptioner.data.release_rows import Census, check_captions, count, open_releases
from capgen.maskcaptioner.data.sizing import normalised
from capgen.maskcaptioner.data.training_clip import ClipMaker, cut
from capgen.maskcaptioner.settings import AugmentSettings
from tests.maskcaptioner.worlds import make_releases

AUGMENT = AugmentSettings(scale=(0.6, 1.5))
CANVAS = TrainingCanvas(64, 96)


@pytest.fixture(scope="module")
def releases(tmp_path_factory):
    return make_releases(tmp_path_factory.mktemp("releases"))


@pytest.fixture(scope="module")
def parts(releases):
    return open_releases(releases, "train")


@pytest.fixture(scope="module")
def census(parts):
    return count(parts)


def feed(parts, census, kind="any", reader=None, frames=2, batch=2):
    order = order_of(parts, census, kind=kind, factors={}, buffer=4, seed=(0, 0))
    maker = ClipMaker(AUGMENT, CANVAS, frames, (1, 3), reader or FrameReader())
    classes = {name: row for row, name in enumerate(census.names)}
    return Feed(order, maker, classes, batch, 32)


def media(parts, part):
    return [parts[part].medium(row()) for row in parts[part].rows()]


def same(a, b):
    return (
        a.keys == b.keys
        and torch.equal(a.pixels_BTHWC, b.pixels_BTHWC)
        and all(
            torch.equal(x.masks_NTHW, y.masks_NTHW) and x.captions == y.captions
            for x, y in zip(a.targets, b.targets, strict=True)
        )
    )


def test_every_object_of_the_release_is_counted_with_its_caption(parts, census):
    objects = [one for part in (0, 1) for medium in media(parts, part) for one in medium.masklets]
    assert census.objects == len(objects) > 10
    assert census.captions == sum(one.caption is not None for one in objects)
    assert set(census.names) == {one.category for one in objects}
    assert census.media["image"] > 1
    assert census.media["video"] > 1


def test_embedded_pictures_and_pictures_by_name_are_both_found(parts):
    embedded, named = media(parts, 0)[0], media(parts, 1)[0]
    assert isinstance(embedded.files[0], bytes)
    assert isinstance(named.files[0], str)
    for medium in (embedded, named):
        (picture,) = read_frames(medium, [0], (1, 1))
        assert picture.shape[2] == 3
        (whole,) = read_frames(medium, [0], (medium.height, medium.width))
        assert whole.shape == (medium.height, medium.width, 3)


def test_a_jpeg_is_decoded_smaller_where_that_is_enough(parts):
    medium = media(parts, 1)[0]
    (small,) = read_frames(medium, [0], (medium.height // 4, medium.width // 4))
    assert small.shape[0] <= medium.height // 2
    assert small.shape[0] >= medium.height // 4


def test_missing_things_are_named_in_one_line(releases, parts, tmp_path):
    with pytest.raises(MissingFile, match="nowhere"):
        open_releases([tmp_path / "nowhere"], "train")
    with pytest.raises(MissingFile, match="give the address of a bucket or of the Hub with --data"):
        open_releases([Path("hf://datasets/me/run")], "train")
    with pytest.raises(MissingFile, match="capgen run"):
        count(open_releases([tmp_path], "train"))
    with pytest.raises(UnknownName, match="known: train"):
        count(open_releases(releases, "tran"))
    with pytest.raises(UserError, match="--data"):
        open_releases([], "train")
    lost = replace(media(parts, 1)[0], root=str(tmp_path))
    with pytest.raises(MissingFile, match=r"data\.pictures"):
        read_frames(lost, [0], (8, 8))


def test_a_dataset_that_was_moved_is_found_and_a_wrong_folder_is_refused(releases, tmp_path):
    planned = read_plan(releases[1]).root
    moved = shutil.copytree(planned, tmp_path / "moved")
    parts = open_releases([releases[1]], "train", pictures={releases[1]: moved})
    medium = media(parts, 0)[0]
    assert Path(medium.root).is_relative_to(moved)
    assert read_frames(medium, [0], (1, 1))[0].shape[2] == 3
    with pytest.raises(UserError, match=f"{tmp_path} does not hold .*they were in {planned}"):
        open_releases([releases[1]], "train", pictures={releases[1]: tmp_path})


def test_a_picture_of_another_size_is_refused(parts):
    medium = media(parts, 1)[0]
    with pytest.raises(UserError, match="the annotations say"):
        read_frames(replace(medium, width=medium.width + 1), [0], (8, 8))


def test_damaged_run_lengths_of_a_release_are_named_before_they_are_decoded(parts):
    medium = media(parts, 1)[0]
    first, *rest = medium.masklets
    bad = replace(first, counts=dict.fromkeys(first.counts, "oooooooooooo0"))
    with pytest.raises(UserError, match=r"is damaged: its run lengths"):
        bitmaps(replace(medium, masklets=(bad, *rest)), next(iter(first.counts)))


def test_data_without_objects_or_captions_is_refused():
    empty = type("Empty", (), {"rows": staticmethod(lambda light=False: iter(()))})()
    with pytest.raises(UserError, match="no objects"):
        count([empty])
    census = Census(objects=5, captions=0)
    with pytest.raises(UserError, match=r"0 of 5 objects.*captions_min=0"):
        check_captions(census, 1)
    check_captions(census, 0)


def test_a_clip_without_change_is_what_the_release_says(parts):
    medium = next(m for m in media(parts, 1) if len(m.masklets) > 1)
    size = medium.height, medium.width
    geometry = Geometry(size, size, 0, 0, size, flip=False)
    clip = cut(medium, (0, 1), geometry, FrameReader()(medium, (0, 1), size, size), AUGMENT)
    seen = [
        one for one in medium.masklets if any(rle.area(one.counts[t], size) >= 16 for t in (0, 1) if t in one.counts)
    ]
    assert clip.captions == tuple(one.caption for one in seen)
    for n, one in enumerate(seen):
        for t in (0, 1):
            truth = rle.decode(one.counts[t], size) if t in one.counts else np.zeros(size, bool)
            if truth.sum() >= 16 or not truth.any():
                assert np.array_equal(clip.masks_NTHW[n, t], truth)


def test_an_object_that_is_mostly_cut_off_keeps_its_mask_and_loses_its_caption(parts):
    medium = media(parts, 1)[0]
    size = medium.height, medium.width
    x, _, w, _ = medium.masklets[0].boxes[0]
    geometry = Geometry(size, size, 0, 0, (size[0], int(x + w * 0.3)), flip=False)
    clip = cut(medium, (0,), geometry, FrameReader()(medium, (0,), size, size), AUGMENT)
    number = [one.object_id for one in medium.masklets].index(medium.masklets[0].object_id)
    assert number == 0
    assert clip.masks_NTHW[0].any()
    assert clip.captions[0] is None


def test_boxes_are_learnt_where_there_are_no_masks(parts):
    medium = media(parts, 1)[0]
    bare = replace(medium, masklets=tuple(replace(one, counts={}) for one in medium.masklets))
    clip = feed(parts, count(parts)).maker(bare, (1,))
    assert clip.masks_NTHW is None
    assert (clip.boxes_NT4[clip.visible_NT][:, 2:] > 0).all()


def test_the_cache_gives_the_same_masks_and_nearly_the_same_pixels(parts, census, tmp_path):
    plain, cached = feed(parts, census), feed(parts, census, reader=FrameReader(tmp_path))
    draws = list(islice(plain.draws(), 4))
    for batch in draws:
        first, again = cached.build(batch), cached.build(batch)
        assert same(first, again)
        without = plain.build(batch)
        assert without.objects == first.objects
        assert (without.pixels_BTHWC.float() - first.pixels_BTHWC.float()).abs().mean() < 6
    for number, file in enumerate(tmp_path.rglob("*.npy")):
        damaged = (b"", b"PK\x03\x04", file.read_bytes()[:-9], b"\x93NUMPY\x01\x00\xff\xff")
        file.write_bytes(damaged[number % 4])
    assert same(cached.build(batch), first), "a file that is damaged is made anew"


def test_batches_are_the_same_from_any_start_and_for_any_number_of_workers(parts, census):
    whole = feed(parts, census)
    plan = [[draw.seed for draw in batch] for batch in islice(whole.draws(), 12)]
    for workers in (1, 2, 3):
        shares = [whole.draws(5, (w + 5) % workers, workers) for w in range(workers)]
        found = [[draw.seed for draw in next(shares[i % workers])] for i in range(7)]
        assert found == plan[5:12]
    ranks = [replace(whole, rank=rank, world=2).draws() for rank in (0, 1)]
    assert [[draw.seed for draw in next(ranks[i % 2])] for i in range(12)] == plan


def test_threads_and_processes_deliver_the_same_batches(parts, census):
    one = feed(parts, census)
    expected = [one.build(draws) for draws in islice(one.draws(), 1, 4)]
    for workers in (0, 2):
        stream = batches(one, start=1, workers=workers, threads=2, prefetch=2)
        found = list(islice(stream, 3))
        stream.close()
        assert all(same(a, b) for a, b in zip(expected, found, strict=True))


def test_an_epoch_sees_every_medium_once_and_parts_are_mixed(parts, census):
    draws = list(islice(iter(feed(parts, census).order), sum(census.media.values())))
    keys = [parts[draw.part].medium(draw.row()).key for draw in draws]
    assert len(set(keys)) == len(keys)
    only = feed(parts, census, kind="video").order
    assert {draw.part for draw in islice(iter(only), 10)} == {1}


def test_a_stage_without_its_kind_of_media_is_refused(releases):
    parts = open_releases(releases[:1], "train")
    with pytest.raises(UserError, match=r"no video.*steps=0"):
        batches(feed(parts, count(parts), kind="video"), start=0, workers=0, threads=1, prefetch=1)


def test_padding_is_zero_and_masks_lie_on_the_picture(parts, census):
    maker = feed(parts, census).maker
    clips = [maker(media(parts, 1)[0], (seed,)) for seed in range(4)]
    batch = collate(clips, {}, 32)
    assert batch.pixels_BTHWC.shape[2] % 32 == batch.pixels_BTHWC.shape[3] % 32 == 0
    pixels = normalised(batch.pixels_BTHWC, batch.valid, [0.5] * 3, [0.25] * 3)
    for picture, target, clip, (h, w) in zip(pixels, batch.targets, clips, batch.valid, strict=True):
        assert picture.shape[1] == 3
        assert not picture[..., h:, :].any()
        assert not picture[..., w:].any()
        assert torch.allclose(
            picture[:, :, :h, :w] * 0.25 + 0.5, torch.from_numpy(clip.pixels_THWC).permute(0, 3, 1, 2) / 255
        )
        assert target.masks_NTHW.shape[2:] == (h, w)
        assert target.class_ids_N.tolist() == [-1] * len(target)
        for n, t in target.visible_NT.nonzero().tolist():
            cx, _, bw, _ = (target.boxes_NT4[n, t] * torch.tensor([pixels.shape[4], pixels.shape[3]] * 2)).tolist()
            columns = target.masks_NTHW[n, t].any(0).nonzero().flatten()
            assert (columns[0].item(), columns[-1].item() + 1) == pytest.approx((cx - bw / 2, cx + bw / 2), abs=1e-3)
    with pytest.raises(UserError, match="empty"):
        collate([], {}, 32)
