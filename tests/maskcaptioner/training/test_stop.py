"""What ends a training early: Ctrl-C, SIGTERM, another training, data or files that will not do."""

from __future__ import annotations

import os
import shutil
import signal
import time

import pytest
import torch

from capgen.dataset.lock import exclusive
from capgen.errors import UserError
from capgen.maskcaptioner.training import checkpoint
from capgen.maskcaptioner.training.logs import read_csv
from tests.maskcaptioner.training.trainings import learn, verb, wait_for

LONG = ("stages.images.steps=0", "stages.clips.steps=4000", "run.checkpoint_every=4000")


def stopped(process, out, number):
    """Send a signal to all processes of a training, as a terminal does; the step that it saved."""
    os.killpg(process.pid, number)
    said = process.communicate(timeout=120)[1]
    assert process.returncode == 130, said
    folder = checkpoint.latest(out)
    step = int(folder.name[5:])
    assert 0 < step < 4000
    assert "capgen: stopping after this step and a checkpoint; once more ends at once" in said
    ending = f"capgen: stopped; step {step} of 4,000 is saved in {folder}: run the same command again to resume"
    assert ending in said.splitlines()[-3:], "Python may add what its killed workers left behind"
    assert "Traceback" not in said
    assert "[transformers]" not in said, "it warns of model types that are ours"
    return step, said


def test_ctrl_c_saves_the_step_that_it_comes_in_and_the_training_goes_on_from_there(start, home, tmp_path):
    out = tmp_path / "out"
    words = verb(home, out, *LONG, "data.workers=2")
    process = start("-m", "capgen.cli", *words)
    wait_for(out / "logs" / "steps.csv", process)
    step, _ = stopped(process, out, signal.SIGINT)
    again = start("-m", "capgen.cli", *words)
    end = time.monotonic() + 120
    while read_csv(out / "logs" / "steps.csv")[-1]["step"] == str(step) and time.monotonic() < end:
        time.sleep(0.05)
    further, said = stopped(again, out, signal.SIGINT)
    assert f"going on from {checkpoint.folder_of(out, step)}" in said
    assert further > step


def test_sigterm_saves_it_too(start, home, tmp_path):
    process = start("-m", "capgen.cli", *verb(home, tmp_path, *LONG))
    wait_for(tmp_path / "logs" / "steps.csv", process)
    stopped(process, tmp_path, signal.SIGTERM)


def test_a_second_signal_ends_it_at_once_and_the_launchers_sigterm_after_ctrl_c_is_no_second(start, home, tmp_path):
    out = tmp_path / "out"
    slow = ("stages.images.steps=0", "stages.clips.steps=40", "stages.clips.accumulate=2000", "data.prefetch=1")
    process = start("-m", "capgen.cli", *verb(home, out, *slow))
    wait_for(out / "settings.json", process)
    wait_for(out / "logs", process)
    time.sleep(2)
    os.kill(process.pid, signal.SIGINT)
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(1)
    assert process.poll() is None, "it is in its step"
    os.kill(process.pid, signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert process.returncode == 130
    assert said.splitlines()[-1] == "capgen: stopped at once; run the same command again to resume"
    assert checkpoint.latest(out) is None


def test_the_second_training_in_one_folder_is_told_who_holds_it(home, tmp_path):
    with exclusive(tmp_path / "out"), pytest.raises(UserError, match=rf"in use by process {os.getpid()} on "):
        learn(home, tmp_path / "out")


def test_a_stage_that_finds_nothing_in_the_data_is_refused_before_the_first_step(home, tmp_path):
    with pytest.raises(UserError, match=r"stage clips learns from videos, and the data has no video .*stages\.clips"):
        learn(home, tmp_path / "out", releases=("images",))
    assert not (tmp_path / "out" / "settings.json").exists()


def test_one_changed_byte_of_the_weights_is_found_before_they_are_taken(tmp_path):
    path = tmp_path / "step-1" / "state.pt"
    path.parent.mkdir()
    state = {"model": {"w": torch.ones(100)}, "optimizer": {"param_groups": []}, "position": {"step": 1, "world": 1}}
    torch.save(state, path)
    assert checkpoint.load_state(path.parent, world=1)["position"]["step"] == 1
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(4).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    with pytest.raises(UserError, match=rf"{path} is damaged; delete {path.parent}"):
        checkpoint.load_state(path.parent, world=1)


NO_STATES = [[], {}, {"position": {"world": 1}}, {"position": {"world": 1, "step": -1}, "model": {}, "optimizer": {}}]


@pytest.mark.parametrize("state", [*NO_STATES, {"position": {"world": 1, "step": 1}, "model": [], "optimizer": {}}])
def test_a_file_of_torch_that_is_no_checkpoint_is_named(tmp_path, state):
    torch.save(state, tmp_path / "state.pt")
    torch.save(state, tmp_path / "rng-0.pt")
    with pytest.raises(UserError, match=r"state\.pt is no state of a training; delete"):
        checkpoint.load_state(tmp_path, world=1)
    with pytest.raises(UserError, match=r"rng-0\.pt is no state of a training; delete"):
        checkpoint.restore_rng(tmp_path, 0)


DAMAGED = [(b"", "is empty"), (b"PK\x03\x04 half of it", "is damaged"), (None, "is missing")]


@pytest.mark.parametrize("name", ["state.pt", "rng-0.pt"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_enough(home, tmp_path, name):
    out = tmp_path / "out"
    short = ("stages.images.steps=0", "stages.clips.steps=3")
    learn(home, out, *short)
    shutil.rmtree(checkpoint.latest(out))  # now it is a training that was ended after step 2
    last = checkpoint.latest(out)
    shutil.rmtree(out / "model")
    for content, what in DAMAGED:
        (last / name).unlink(missing_ok=True)
        if content is not None:
            (last / name).write_bytes(content)
        refused = rf"{last / name} {what}; delete {last} to go on from the checkpoint before"
        with pytest.raises(UserError, match=refused):
            learn(home, out, *short)
    shutil.rmtree(last)
    learn(home, out, *short)
    assert (out / "model" / "model.safetensors").is_file()


def test_an_empty_checkpoint_is_no_ctrl_c(start, home, tmp_path):
    out = tmp_path / "out"
    (checkpoint.folder_of(out, 1)).mkdir(parents=True)
    (checkpoint.folder_of(out, 1) / "state.pt").touch()
    process = start("-m", "capgen.cli", *verb(home, out))
    said = process.communicate(timeout=240)[1]
    assert process.returncode == 2
    assert f"capgen: {checkpoint.folder_of(out, 1)}/state.pt is empty" in said
