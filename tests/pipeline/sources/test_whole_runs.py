"""Every source from its folder to a release that `verify` proves, with the engine that answers without a model."""

import numpy as np
import pyarrow.parquet as pq
import pytest

from capgen import rle
from capgen.pipeline.releasing.verify import verify
from capgen.resources import resource_names
from tests.pipeline.runs import echo_settings, session
from tests.pipeline.sources.files import palette, picture
from tests.pipeline.sources.test_recognise import WRITERS
from tests.test_video_frames import write_video


def rows(out):
    return [row for file in sorted((out / "candidates").glob("*.parquet")) for row in pq.read_table(file).to_pylist()]


def prepared(root, name):
    """The folder of a source, complete: some writers leave the pictures out."""
    WRITERS[name](root)
    if name == "lvis":
        for file in ("train2017/000000000001.jpg", "val2017/000000000002.jpg", "train2017/000000000003.jpg"):
            picture(root / file)
    if name == "lv-vis":
        for file in ("00000/00000.jpg", "00000/00001.jpg", "00001/00000.jpg", "00002/00000.jpg"):
            picture(root / "train" / "JPEGImages" / file)
    if name == "tracks":
        write_video(root / "clip.mp4", 4, size=(6, 8))
    return root


@pytest.mark.parametrize("name", WRITERS)
def test_every_source_ends_in_a_release_that_holds_each_object_once(tmp_path, name):
    root = prepared(tmp_path / "data", name)
    out, report = session(echo_settings(root, dataset=name), tmp_path / "out")
    ledger = verify(out)
    assert (ledger.ok, ledger.failed) == (True, {})
    assert ledger.planned == ledger.kept + sum(ledger.dropped.values()) > 0
    assert report.complaint is None
    for row in rows(out):
        assert len(row["segmentation"]) == len(row["bbox"]) == len(row["area"]) == len(row["frame_index"]) > 0
        assert all(box[2] > 0 and box[3] > 0 for box in row["bbox"])


def test_boxes_are_released_without_masks(tmp_path):
    out, _ = session(echo_settings(prepared(tmp_path / "data", "boxes"), dataset="boxes"), tmp_path / "out")
    (row,) = rows(out)
    assert (row["segmentation"], row["area"], row["bbox"]) == ([None], [None], [[1.0, 1.0, 4.0, 3.0]])
    media = pq.read_table(next((out / "data" / "media").glob("*.parquet"))).to_pylist()
    assert media[0]["objects"][0]["segmentation"] == [None]


def test_a_missing_video_file_fails_its_objects_and_no_others(tmp_path):
    root = prepared(tmp_path / "data", "sa-v")
    WRITERS["sa-v"](root / "more")
    (root / "more" / "sav_000001.mp4").unlink()
    for suffix in ("_manual.json",):
        (root / "more" / f"sav_000001{suffix}").rename(root / "more" / f"sav_000002{suffix}")
    out, _ = session(echo_settings(root, "run.max_failed=1", dataset="sa-v"), tmp_path / "out")
    assert verify(out).failed == {"picture_missing": 2}
    assert verify(out).kept == 2


def specked(root):
    """A picture whose object has a speck in the far corner."""
    ids = np.zeros((60, 80), np.uint8)
    ids[10:30, 10:30] = 1
    ids[58, 78] = 1
    picture(root / "images" / "a.jpg", (60, 80))
    palette(root / "masks" / "a.png", ids)
    return root


def test_specks_are_not_shown_where_that_is_wanted_and_the_release_keeps_the_mask_and_says_so(tmp_path):
    root = specked(tmp_path / "data")
    out, _ = session(echo_settings(root, "render.pieces=largest", dataset="masks"), tmp_path / "largest")
    (row,) = rows(out)
    assert (row["area"], row["bbox"]) == ([401], [[10.0, 10.0, 69.0, 49.0]])
    (shown,) = row["shown"]
    assert rle.area(shown["counts"], (60, 80)) == 400
    assert rle.box(shown["counts"], (60, 80)) == (10.0, 10.0, 20.0, 20.0)
    captions = pq.read_table(next((out / "data" / "captions").glob("*.parquet"))).to_pylist()
    assert captions[0]["shown"] == [shown]
    out, _ = session(echo_settings(root, dataset="masks"), tmp_path / "all")
    assert rows(out)[0]["shown"] == []
    assert rows(out)[0]["request_sha256"] != row["request_sha256"]


def test_a_mask_of_one_piece_is_shown_as_it_is(tmp_path):
    root = prepared(tmp_path / "data", "masks")
    out, _ = session(echo_settings(root, "render.pieces=largest", dataset="masks"), tmp_path / "out")
    assert {str(row["shown"]) for row in rows(out)} == {"[]"}


@pytest.mark.parametrize("prompt", resource_names("prompts", ".toml"))
def test_without_a_category_the_prompt_asks_what_the_object_is(tmp_path, prompt):
    from capgen.pipeline.planning.open_source import build_source
    from capgen.pipeline.rendering.prompt import load_prompt
    from capgen.pipeline.rendering.render import Renderer, render_media
    from capgen.pipeline.settings import RenderSettings
    from capgen.pipeline.sources.reading.decode import decode_media

    settings = echo_settings(prepared(tmp_path, "sa-1b"), dataset="sa-1b")
    (planned,) = build_source(settings).scan()
    renderer = Renderer(RenderSettings(), load_prompt(prompt, category=True))
    for view in render_media(decode_media(planned, tmp_path), renderer):
        text = " ".join(part for part in (view.system, *view.parts) if isinstance(part, str))
        assert "what it is" in text or "What is" in text
        assert "None" not in text
        assert view.category is None


def test_status_says_what_the_source_left_out(tmp_path):
    from capgen.pipeline.running.status import run_status

    out, _ = session(
        echo_settings(prepared(tmp_path / "data", "coco-panoptic"), dataset="coco-panoptic"), tmp_path / "out"
    )
    state = run_status(out)
    assert state.as_json()["left_out"] == {"crowd": 1, "stuff": 1}
    assert "left out when planning: 1 annotations (stuff)" in state.text()


def test_lists_and_names_that_are_no_annotation_file_are_not_exported_as_one(tmp_path):
    from capgen.pipeline.planning.annotation_files import annotation_files
    from tests.exporting.releases import exported

    root = prepared(tmp_path / "data", "masks")
    (root / "ImageSets" / "2017").mkdir(parents=True)
    (root / "ImageSets" / "2017" / "train.txt").write_text("bear\n")
    out, _ = session(echo_settings(root, dataset="masks"), tmp_path / "out")
    assert annotation_files(out) == {}
    lvis = prepared(tmp_path / "lvis", "lvis")
    planned, _ = session(echo_settings(lvis, dataset="lvis"), tmp_path / "lvis-out")
    assert annotation_files(planned) == {"train": lvis / "lvis_v1_train.json"}
    lists = {"train": root / "ImageSets" / "2017" / "train.txt"}
    lists["train"].write_text('{"sequences": []}')
    assert exported(out, tmp_path / "dest", "youtube-vis", annotations=lists).counts["captions"] == 2
    assert "sequences" not in (tmp_path / "dest" / "train" / "instances.json").read_text()
