"""Pictures in the default config: marked close-ups or frames, as `datasets` shows them; a frame is stored once."""

from __future__ import annotations

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest

from capgen.dataset.layout import RunLayout
from capgen.errors import MissingFile
from capgen.images import read_picture
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.running.retry import recorded
from tests.exporting.releases import film_release, image_release, spoil
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import CARD, plan_run, planned_image


def packed(tmp_path, make, embed):
    """A release of `make`, packed again with pictures."""
    from capgen.dataset.reader import read_plan
    from capgen.pipeline.releasing.pack import pack

    out = make(tmp_path)
    pack(out, read_plan(out), CARD, embed=embed, root=tmp_path / "pictures")
    return out


def load(out, tmp_path, config="captions", **more):
    return datasets.load_dataset(str(out), config, cache_dir=str(tmp_path / "cache"), **more)


@pytest.mark.parametrize("streaming", [False, True])
def test_a_close_up_of_each_object_is_in_the_default_config(tmp_path, streaming):
    out = packed(tmp_path, image_release, "crops")
    rows = list(load(out, tmp_path, split="train", streaming=streaming))
    assert [row["key"] for row in rows] == [f"tiny/train/{key}" for key in ("1/11", "2/20", "2/21", "4/40")]
    for row in rows:
        assert row["image"].size >= (48, 48)
    assert "close-up of the object" in RunLayout(out).card.read_text("utf-8")
    assert "images" not in pq.read_schema(next((out / "data/media").glob("train*"))).names
    assert len(list(load(out, tmp_path, "media", split="train", streaming=streaming))) == 4


def test_frames_are_in_both_configs_and_stored_once_a_row_group(tmp_path):
    out = packed(tmp_path, image_release, "media")
    rows = load(out, tmp_path, split="train")
    assert isinstance(rows.features["image"], datasets.Image)
    first = (tmp_path / "pictures/train2017/2.jpg").read_bytes()
    stored = rows.cast_column("image", datasets.Image(decode=False))
    assert [row["image"]["bytes"] == first for row in stored] == [False, True, True, False]
    (file,) = (out / "data/captions").glob("train*")
    held = pq.read_metadata(file).row_group(0)
    (column,) = (i for i in range(held.num_columns) if held.column(i).path_in_schema == "image.bytes")
    sizes = {path: (tmp_path / f"pictures/train2017/{path}.jpg").stat().st_size for path in (1, 2, 4)}
    assert held.column(column).total_uncompressed_size < sum(sizes.values()) + 500
    assert [len(row["images"]) for row in load(out, tmp_path, "media", split="train")] == [1, 1, 1, 1]


@pytest.mark.parametrize("embed", ["crops", "media"])
def test_the_frame_that_shows_most_of_an_object_of_a_video_file_is_taken(tmp_path, embed):
    out = packed(tmp_path, film_release, embed)
    (row,) = load(out, tmp_path, split="train").cast_column("image", datasets.Image(decode=False))
    pixels = read_picture(row["image"]["bytes"])
    assert abs(float(np.median(pixels)) - 120) < 6  # frame 2, on which the mask is larger than on frame 4


def test_missing_pictures_are_null_and_a_release_without_any_is_none(tmp_path):
    run = plan_run(tmp_path / "out", [[planned_image("1"), planned_image("2")]], str(tmp_path)).commit(change=spoil)
    with pytest.raises(MissingFile, match="every picture"):
        run.pack(embed="crops")
    from tests.exporting.releases import write_picture

    write_picture(tmp_path / "2.jpg")
    release = run.pack(embed="crops")
    assert release.missing_pictures == 1
    rows = load(tmp_path / "out", tmp_path, split="train")
    assert [row["image"] is None for row in rows] == [True, False, False]


def test_a_run_with_close_ups_is_proved_and_a_retry_keeps_them(tmp_path, lvis_root):
    out, _ = session(echo_settings(lvis_root), tmp_path / "out", embed="crops")
    assert verify(out).ok
    assert recorded(out, {}, ()).embed == "crops"
