"""LV-VISCap: the released track file as it is, and the names of its frames."""

from __future__ import annotations

import json

import pytest

from capgen.errors import MissingFile, UnknownName, UserError
from capgen.evaluation.benchmarks.lvviscap import LvVisCap
from capgen.evaluation.benchmarks.run import BenchmarkChoice, run_benchmark
from capgen.evaluation.evaluate import Options
from tests.evaluation.evalcases import SHARED, blob

MINI = SHARED / "data" / "lv-vis_mini"


def release(root, name="lvviscap_val_instances.json"):
    root.mkdir(exist_ok=True)
    names = ["00003\\00000.jpg", "x/y/00003/00005.jpg"]
    document = {
        "videos": [{"id": 0, "height": 48, "width": 64, "length": 2, "file_names": names}],
        "annotations": [
            {"id": 1, "video_id": 0, "category_id": 1, "iscrowd": 0, "caption": "a red dog runs",
             "segmentations": [blob(5, 5, 10, 10), None], "areas": [100, None], "bbox": [[5, 5, 10, 10], None]}
        ],
        "categories": [{"id": 1, "name": "dog", "partition": 0}, {"id": 2, "name": "emu", "partition": 2}],
    }  # fmt: skip
    (root / name).write_text(json.dumps(document))
    (root / "val" / "JPEGImages").mkdir(parents=True)
    return root


@pytest.mark.parametrize("name", ["lvviscap_val_instances.json", "val_instances_.json", "val_instances.json"])
def test_the_file_is_found_under_each_of_its_names(tmp_path, name):
    assert LvVisCap(release(tmp_path, name)).truth(tmp_path).name == name


def test_windows_paths_and_folders_above_are_cut_from_frame_names(tmp_path):
    (clip,) = LvVisCap(release(tmp_path)).clips()
    assert clip.file_names == ("00003/00000.jpg", "00003/00005.jpg")
    assert (clip.name, clip.image_ids) == ("00003", (1, 2))


@pytest.mark.skipif(not MINI.is_dir(), reason="the real clips are not beside the project")
def test_frames_of_the_real_clips_are_read():
    shapes = [next(iter(clip.frames())).shape for clip in LvVisCap(MINI, split="train").clips()]
    assert shapes == [(480, 854, 3), (480, 854, 3)]


def test_sizes_are_compared(tmp_path):
    facts = {fact.name: fact for fact in LvVisCap(release(tmp_path)).describe()}
    assert (facts["videos"].found, facts["videos"].published, facts["videos"].verdict) == (1, 837, "differs")
    assert (facts["captioned tracks"].found, facts["base categories"].found, facts["novel categories"].found) == (
        1,
        1,
        1,
    )


def test_a_perfect_prediction_end_to_end(tmp_path):
    root = release(tmp_path)
    own = json.loads((root / "lvviscap_val_instances.json").read_text())["annotations"][0]
    pred = tmp_path / "results.json"
    row = {key: own[key] for key in ("video_id", "category_id", "segmentations", "caption")}
    pred.write_text(json.dumps([{**row, "score": 0.9}]))
    options = Options(protocols=("official", "clean"), metrics=("cider",))
    result = run_benchmark(BenchmarkChoice("lv-viscap", root), options, tmp_path, predictions=pred)
    for scores in result.scores:
        assert scores.values["DetA"] == 1.0
        assert scores.values["AP_base"] == pytest.approx(1.0)
    assert result.scores[1].values["CHOTA"] == pytest.approx(1.0)


def test_what_is_missing_or_unknown_is_named(tmp_path):
    with pytest.raises(MissingFile, match=r"the captions come with github\.com"):
        LvVisCap(tmp_path).truth(tmp_path)
    with pytest.raises(UnknownName, match=r"no benchmark is called 'lvviscap' .did you mean 'lv-viscap'"):
        BenchmarkChoice("lvviscap", tmp_path).reader("clean")
    with pytest.raises(UserError, match="--set overlap: the benchmark 'lv-viscap' has no such option"):
        BenchmarkChoice("lv-viscap", tmp_path, options={"overlap": "first"}).reader("clean")
    with pytest.raises(UserError, match="pass --pred"):
        run_benchmark(BenchmarkChoice("lv-viscap", release(tmp_path)), Options(), tmp_path)
    with pytest.raises(UserError, match="--model: nobody has said how a model is opened"):
        run_benchmark(BenchmarkChoice("lv-viscap", tmp_path), Options(), tmp_path, model=tmp_path)
