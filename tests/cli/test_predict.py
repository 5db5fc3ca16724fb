"""``capgen predict`` and ``capgen eval benchmark --model`` with a small random model, in one process for speed."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from capgen.cli import main as cli
from capgen.cli import maskcaptioner as cli_model
from capgen.errors import UserError
from capgen.evaluation.benchmarks.base import Clip
from capgen.evaluation.benchmarks.frames import FrameFolder
from capgen.maskcaptioner.inference import load as checkpoints
from capgen.maskcaptioner.inference.load import open_model, resolve, unfit
from tests.maskcaptioner.films import HEIGHT, WIDTH, write_video
from tests.maskcaptioner.random_model import save_random


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_random(tmp_path_factory.mktemp("model") / "model")


def capgen(*arguments):
    return CliRunner().invoke(cli.app, [str(argument) for argument in arguments])


def test_a_trained_model_predicts_a_video_and_says_the_same_again(model, tmp_path):
    video = write_video(tmp_path / "in.mp4", 7)
    texts = []
    for name in ("a", "b"):
        flags = ("--model", model, "--out", tmp_path / name, "--threshold", 0.05, "--max-tracks", 3, "--json")
        done = capgen("predict", video, *flags)
        assert done.exit_code == 0, done.output
        texts.append((tmp_path / name / "tracks.json").read_text())
        made = json.loads(done.stdout)
        assert (made["frames"], made["height"], made["width"]) == (7, HEIGHT, WIDTH)
        assert 1 <= len(made["tracks"]) <= 3
    tracks, again = map(json.loads, texts)
    # two models in memory: scores may differ in the last digits, and a mask in single pixels (CONTRIBUTING, floats)
    for one, other in zip(tracks["annotations"], again["annotations"], strict=True):
        assert (one["id"], one["category"], one["caption"]) == (other["id"], other["category"], other["caption"])
        assert one["score"] == pytest.approx(other["score"], abs=1e-4)
        assert one["areas"] == pytest.approx(other["areas"], rel=0.01)
    assert tracks["info"]["threshold"] == 0.05
    assert {shape["size"][0] for one in tracks["annotations"] for shape in one["segmentations"] if shape} == {HEIGHT}


def test_a_folder_of_training_is_the_model_that_it_ended_with(model):
    assert resolve(str(model.parent)) == model


def test_real_frames_and_a_photograph_are_predicted(model, shared, tmp_path):
    clip = shared / "data/lv-vis_mini/train/JPEGImages/00001"
    photographs = sorted((shared / "data/lvis_mini/val2017").glob("*.jpg"))
    if not clip.is_dir() or not photographs:
        pytest.skip("no pictures here")
    for source, made in ((clip, "annotated.mp4"), (photographs[0], "annotated.png")):
        out = tmp_path / source.stem
        flags = ("--model", model, "--out", out, "--threshold", 0.05, "--max-tracks", 3)
        done = capgen("predict", source, *flags)
        assert done.exit_code == 0, done.output
        assert (out / made).stat().st_size > 1000
        assert (out / "sheet.png").is_file()


def benchmark_clip(tmp_path, size):
    from PIL import Image

    from tests.maskcaptioner.films import frame

    for index in range(4):
        Image.fromarray(frame(index)).save(tmp_path / f"{index}.png")
    source = FrameFolder(tmp_path, {number: f"{number}.png" for number in range(4)})
    ids, names = (10, 11, 12), ("0.png", "1.png", "3.png")
    return Clip(1, "clip", size, ids, (0, 1, 3), names, (), source)


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (0, 0)])
def test_a_benchmark_gets_predictions_on_its_own_frames(model, tmp_path, size):
    predictor = cli_model.BenchmarkPredictor(open_model(str(model), "cpu"), {"threshold": 0.05})
    rows = list(predictor(benchmark_clip(tmp_path, size)))
    assert {row["image_id"] for row in rows} == {10, 11, 12}
    assert all(("segmentation" in row) == (size != (0, 0)) and len(row["bbox"]) == 4 for row in rows)
    json.dumps(rows)


def damaged(model, folder, how):
    folder.mkdir()
    for file in model.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    weights = folder / "model.safetensors"
    if how == "cut":
        weights.write_bytes(weights.read_bytes()[:5000])
    elif how == "none":
        weights.unlink()
    elif how == "other":
        config["model_type"] = "bert"
    elif how == "larger":
        config["segmenter"]["num_queries"] = 7
    elif how == "deeper":
        config["segmenter"]["encoder_layers"] = 2
    elif how == "text":
        (folder / "config.json").write_text("{")
        return folder
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("cut", "cannot be opened"),
        ("none", "model.safetensors"),
        ("other", "is a bert, not a maskcaptioner"),
        ("larger", "has other sizes of"),
        ("deeper", "lacks"),
        ("text", "is not a model's configuration"),
    ],
)
def test_a_model_that_is_not_whole_is_one_line(model, tmp_path, how, said):
    with pytest.raises(UserError) as caught:
        open_model(str(damaged(model, tmp_path / "m", how)), "cpu")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("nothing.mp4",), "missing nothing.mp4"),
        (("VIDEO", "--model", "nowhere"), "--model nowhere: there is no such folder"),
        (("VIDEO", "--model", "."), "has no config.json"),
        (("VIDEO", "--threshold", "2"), "--threshold 2"),
        (("VIDEO", "--max-tracks", "0"), "--max-tracks 0"),
        (("VIDEO", "--every", "0"), "--every 0"),
        (("VIDEO", "--model", "MODEL", "--device", "tpu9"), "--device tpu9"),
    ],
)
def test_a_mistake_is_said_before_anything_is_written(model, tmp_path, monkeypatch, flags, said):
    monkeypatch.chdir(tmp_path)
    names = {"VIDEO": write_video(tmp_path / "in.mp4", 2), "MODEL": model}
    done = capgen("predict", *(names.get(flag, flag) for flag in flags), "--out", tmp_path / "out")
    assert isinstance(done.exception, UserError)
    assert said in str(done.exception)
    assert not (tmp_path / "out").exists()


def test_the_packaged_model_is_there_or_its_absence_is_said():
    if (Path(checkpoints.__file__).parents[1] / "pretrained/sample/config.json").is_file():
        assert resolve("sample").parts[-2:] == ("pretrained", "sample")
        return
    with pytest.raises(UserError, match=r"no checkpoint 'sample'; train it with `capgen train"):
        resolve("sample")


def test_the_packaged_model_warns_of_what_it_was_never_trained_on(tmp_path):
    video = write_video(tmp_path / "in.mp4", 4)
    done = capgen("predict", video, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "note: the packaged model knows the drawn objects of `capgen sample` and nothing else" in done.output
    assert "means nothing" in json.loads((tmp_path / "out" / "tracks.json").read_text())["info"]["note"]
    (tmp_path / "facts.json").touch()  # as at the top of a sample world
    assert unfit(resolve("sample"), video) is None


def test_other_models_are_not_warned_of(model, tmp_path):
    assert unfit(resolve(str(model)), tmp_path / "in.mp4") is None
