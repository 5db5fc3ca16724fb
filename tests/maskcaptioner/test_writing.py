"""What predict and train write is there whole or not at all, for one process at a time, and as readable as asked."""

import os
import stat

import pytest
import torch
from transformers import logging as hub

from capgen.dataset.files import DiskTrouble
from capgen.dataset.layout import PREDICTION_ENTRIES, TRAINING_ENTRIES
from capgen.dataset.lock import exclusive
from capgen.errors import UserError
from capgen.maskcaptioner.inference.frames import open_frames
from capgen.maskcaptioner.inference.load import open_model
from capgen.maskcaptioner.predict import predict
from capgen.maskcaptioner.training import checkpoint
from tests.full_disks import full_at
from tests.maskcaptioner.films import Knowing, track, write_video
from tests.maskcaptioner.random_model import save_random


@pytest.fixture
def video(tmp_path):
    return open_frames(write_video(tmp_path / "in.mp4", 12, fps=8))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return open_model(str(save_random(tmp_path_factory.mktemp("model") / "model")))


def run(source, out):
    return predict(source, Knowing(track()), out, clip_frames=5, info={})


def contents(out):
    return sorted(path.name for path in out.glob("*") if path.name != ".lock")


@pytest.mark.parametrize(
    ("size", "there"),
    [(1_000, []), (6_000, ["tracks.json"])],
)
def test_on_a_full_disk_each_file_of_a_prediction_is_whole_or_absent(video, tmp_path, size, there):
    out = tmp_path / "out"
    with full_at(size), pytest.raises(DiskTrouble, match=f"{out} cannot be written: File too large; make room there"):
        run(video, out)
    assert contents(out) == there
    _, files = run(video, out)
    whole = {path.name: path.read_bytes() for path in (files.tracks, files.annotated, files.sheet)}
    assert contents(out) == sorted(whole)
    with full_at(1_000), pytest.raises(DiskTrouble):
        run(video, out)
    assert {name: (out / name).read_bytes() for name in whole} == whole, "what was there is there still"


def test_what_a_killed_prediction_left_is_gone_after_the_next(video, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "tracks.json.0a1b2c3d.part").write_text('{"info"')
    run(video, out)
    assert contents(out) == ["annotated.mp4", "sheet.png", "tracks.json"]


def test_two_predictions_into_one_folder_are_refused(video, tmp_path):
    with exclusive(tmp_path / "out"), pytest.raises(UserError, match=f"in use by process {os.getpid()} on"):
        run(video, tmp_path / "out")


@pytest.mark.parametrize("name", sorted(PREDICTION_ENTRIES.files))
def test_a_link_in_its_folder_leads_no_prediction_elsewhere(video, tmp_path, name):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(victim)
    with pytest.raises(UserError, match="nothing is written through links"):
        run(video, tmp_path / "out")
    assert victim.read_text() == "precious"


@pytest.mark.parametrize("name", [*sorted(TRAINING_ENTRIES.files | TRAINING_ENTRIES.folders), "logs/steps.csv"])
def test_a_link_in_its_folder_leads_no_training_elsewhere(tmp_path, name):
    (tmp_path / "victim").mkdir()
    link = tmp_path / "out" / name
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "victim")
    with (
        pytest.raises(UserError, match="nothing is written through links"),
        exclusive(tmp_path / "out", TRAINING_ENTRIES),
    ):
        pass


def save(out, model, step=1):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    position = checkpoint.Position(step, 1)
    return checkpoint.save(out, model, optimizer, position, rank=0, keep=1, wait=lambda: None)


@pytest.mark.parametrize("size", [100, 20_000, 2_000_000])
def test_on_a_full_disk_a_checkpoint_is_whole_or_absent(model, tmp_path, size):
    save(tmp_path, model)
    before = checkpoint.latest(tmp_path)
    with full_at(size), pytest.raises(DiskTrouble, match="cannot be written: File too large; make room there"):
        save(tmp_path, model, step=2)
    assert checkpoint.latest(tmp_path) == before, "the one before is kept until the next is whole"
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [before.name]
    assert save(tmp_path, model, step=2) == checkpoint.latest(tmp_path)


def test_the_trained_model_takes_the_place_of_the_one_before_in_one_piece(model, tmp_path):
    hub.disable_progress_bar()
    checkpoint.save_model(tmp_path, model)
    before = {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()}
    with full_at(100_000), pytest.raises(DiskTrouble, match=f"{tmp_path} cannot be written"):
        checkpoint.save_model(tmp_path, model)
    assert contents(tmp_path) == ["model"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "model").iterdir()} == before
    (tmp_path / "model").rename(tmp_path / "model.old.part")  # as a kill between two steps leaves it
    (tmp_path / "model.part").mkdir()
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "steps.csv.0a1b2c3d.part").touch()
    checkpoint.remove_unfinished(tmp_path)
    (tmp_path / "logs").rmdir()
    assert contents(tmp_path) == ["model"]
    checkpoint.save_model(tmp_path, model)
    assert contents(tmp_path) == ["model"]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_files_are_readable_as_the_umask_says(model, video, tmp_path, umask):
    before = os.umask(umask)
    try:
        (tmp_path / "train").mkdir()
        checkpoint.save_model(tmp_path / "train", model)
        save(tmp_path / "train", model)
        run(video, tmp_path / "out")
    finally:
        os.umask(before)
    made = [path for name in ("train", "out") for path in (tmp_path / name).rglob("*") if path.is_file()]
    assert len(made) > 8
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made if path.name != ".lock"}
    assert set(modes.values()) == {0o666 & ~umask}, modes
