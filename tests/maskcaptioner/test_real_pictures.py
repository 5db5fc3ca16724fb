"""Real photographs and clips: released, learnt from for a step of each kind, and predicted."""

import io
import json

import pytest
from rich.console import Console
from typer.testing import CliRunner

from capgen.cli import main as cli
from capgen.cli.training import train
from capgen.maskcaptioner.training.logs import read_csv
from tests.maskcaptioner.worlds import training_file
from tests.pipeline.runs import echo_settings, session

STEPS = ("stages.images.steps=1", "stages.clips.steps=1", "validation.final=false", "validation.every=0")


@pytest.fixture(scope="module")
def trained(shared, tmp_path_factory):
    """OUT of a tiny model's training on photographs and clips, one step each."""
    folder, releases = tmp_path_factory.mktemp("real"), []
    for name, dataset in (("lvis_mini", "lvis"), ("lv-vis_mini", "lv-vis")):
        if not (shared / "data" / name).is_dir():
            pytest.skip(f"no {name} here")
        releases.append(folder / name)
        session(echo_settings(shared / "data" / name, dataset=dataset), releases[-1])
    console = Console(file=io.StringIO())
    roots = [shared / "data" / release.name for release in releases]
    train(
        str(training_file(folder)), data=releases, out=folder / "out", roots=roots, assignments=STEPS, console=console
    )
    return folder / "out"


def test_a_step_on_photographs_and_one_on_clips_are_learnt(trained):
    rows = read_csv(trained / "logs" / "steps.csv")
    assert [row["stage"] for row in rows] == ["images", "clips"]
    assert all(float(row["loss/dice"]) > 0 and float(row["captions"]) > 0 for row in rows)


@pytest.mark.parametrize("source", ["lvis_mini/val2017/000000397133.jpg", "lv-vis_mini/train/JPEGImages/00001"])
def test_what_was_trained_on_photographs_predicts_them(trained, shared, tmp_path, source):
    flags = ("--model", trained / "model", "--out", tmp_path, "--threshold", 0.01, "--max-tracks", 3)
    done = CliRunner().invoke(cli.app, ["predict", *map(str, (shared / "data" / source, *flags))])
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "tracks.json").read_text())
    assert 1 <= len(found["annotations"]) <= 3
    assert (tmp_path / "sheet.png").is_file()
