from __future__ import annotations

import io
from itertools import islice

import cv2
import numpy as np
import pytest
from rich.console import Console

from capgen.cli.training import Seams, train
from capgen.errors import UnknownName
from capgen.evaluation.benchmarks.media import BenchmarkRows
from capgen.maskcaptioner.data.augment import TrainingCanvas
from capgen.maskcaptioner.data.loader import Feed, order_of
from capgen.maskcaptioner.data.pictures import FrameReader
from capgen.maskcaptioner.data.release_rows import DataPart, count
from capgen.maskcaptioner.data.training_clip import ClipMaker
from capgen.maskcaptioner.settings import AugmentSettings
from capgen.maskcaptioner.training.logs import read_csv
from tests.evaluation.benchmarks import test_vidstg as vidstg
from tests.evaluation.benchmarks import test_vln as vln
from tests.evaluation.benchmarks.test_bensmot import CAPTIONS, sequence
from tests.maskcaptioner.worlds import training_file


@pytest.fixture
def part(tmp_path):
    sequence(tmp_path)
    for path in tmp_path.rglob("*.jpg"):
        cv2.imwrite(str(path), np.full((60, 80, 3), 128, np.uint8))
    return DataPart(BenchmarkRows("bensmot", tmp_path, "test"))


def test_a_benchmarks_boxes_and_captions_become_clips_to_learn_from(part):
    census = count([part])
    assert census.media == {"video": 1}
    assert census.captions == census.objects == len(CAPTIONS.splitlines())
    order = order_of((part,), census, kind="video", factors={}, buffer=2, seed=(0,))
    maker = ClipMaker(AugmentSettings(scale=(1.0, 1.0), min_pixels=1), TrainingCanvas(60, 80), 2, (1, 1), FrameReader())
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


def vidstg_root(root):
    """One film; the dog is described from frame 10 on."""
    made = vidstg.release(root, [vidstg.record("7", 10, 19, "a dog runs.")], [vidstg.vidor("7")])
    vidstg.film(made / "vidor" / "videos" / "0001" / "7.mp4")
    return made


def vln_root(root):
    """One video of three frames, two of its three objects described."""
    expressions = {"0": vln.expression(0, 11), "1": vln.expression(1, 12)}
    made = vln.release(root, expressions, [vln.obj(11, 5), vln.obj(12, 30), vln.obj(13, 45)])
    for number in (30, 60, 90):
        path = made / "UVO" / "uvo_videos_sparse_frames_annotated_val" / "abc" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.full((48, 64, 3), number, np.uint8))
    return made


def test_an_object_described_in_a_part_of_the_video_keeps_its_caption(tmp_path):
    part = DataPart(BenchmarkRows("vidstg", vidstg_root(tmp_path), "val"))
    (row,) = part.rows()
    captions = {masklet.object_id: masklet.caption for masklet in part.medium(row()).masklets}
    assert sorted(filter(None, captions.values())) == ["a dog runs."]
    assert len(captions) == 2


@pytest.mark.parametrize(("name", "make"), [("vidstg", vidstg_root), ("vln", vln_root)])
def test_fine_tuning_reads_a_benchmark_through_the_command(tmp_path, name, make):
    root = tmp_path / "root"
    root.mkdir()
    settings = (
        f"data.benchmark={name}",
        "data.split=val",
        "stages.images.steps=0",
        "stages.clips.steps=2",
        "validation.every=0",
        "validation.final=false",
        *(("model.options.mask_head=false", "model.options.box_head=true") if name == "vidstg" else ()),
    )
    file, out = str(training_file(tmp_path)), tmp_path / "out"
    seams = Seams(benchmark=BenchmarkRows)
    train(file, data=[make(root)], out=out, assignments=settings, seams=seams, console=Console(file=io.StringIO()))
    rows = read_csv(out / "logs" / "steps.csv")
    part = "loss/giou" if name == "vidstg" else "loss/dice"
    assert [row["stage"] for row in rows] == ["clips"] * 2
    assert all(float(row[part]) > 0 for row in rows)
    assert any(float(row["captions"]) > 0 for row in rows)
