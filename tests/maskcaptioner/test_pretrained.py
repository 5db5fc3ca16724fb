"""The checkpoint in the package: it opens by name and is good at the world that it was made for."""

import json

import pytest
from typer.testing import CliRunner

from capgen.cli import main as cli
from capgen.maskcaptioner.inference.load import open_model, resolve
from capgen.sample.write import write_world
from experiments.maskcaptioner.measure import match_tracks, predict_all
from experiments.maskcaptioner.worlds import write_truth

SEED = 77
MOST_BYTES = 25 * 10**6


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Six videos that no training has seen."""
    folder = tmp_path_factory.mktemp("world") / "world"
    write_world(folder, images=1, videos=6, seed=SEED)
    return folder


def test_it_is_small_and_has_a_card():
    folder = resolve("sample")
    assert sum(file.stat().st_size for file in folder.iterdir()) < MOST_BYTES
    card = (folder / "README.md").read_text()
    assert "## Scores" in card
    assert "python -m experiments.maskcaptioner.package" in card


def test_it_finds_follows_and_describes_objects_that_it_has_never_seen(world, tmp_path):
    test = write_truth(world, tmp_path / "truth.json")
    predict_all(open_model("sample", "cpu"), test, tmp_path / "predictions.json")
    found = match_tracks(test, tmp_path / "predictions.json")
    assert found["true"] > 20
    assert found["recall"] > 0.6
    assert found["precision"] > 0.5
    assert found["colour"]["rate"] > 0.9
    assert found["category"]["rate"] > 0.6
    assert found["motion"]["rate"] > 0.4


def test_one_command_shows_it_on_a_sample_video(world, tmp_path):
    video = next(folder for folder in (world / "lv-vis").glob("*/JPEGImages/*") if folder.is_dir())
    done = CliRunner().invoke(cli.app, ["predict", str(video), "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "tracks.json").read_text())["annotations"]
    assert (tmp_path / "annotated.mp4").stat().st_size > 1000
    assert (tmp_path / "sheet.png").is_file()
