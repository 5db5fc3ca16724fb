from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys

import pytest
import torch
from rich.console import Console

from capgen.cli.training import Seams
from capgen.errors import UserError
from capgen.maskcaptioner.training import checkpoint
from capgen.maskcaptioner.training.logs import ScalarLog, TrainingProgress, loss_figure, plot_losses, read_csv
from capgen.maskcaptioner.training.loop import Diverged
from capgen.text import duration
from tests.maskcaptioner.training.trainings import ROOT, STEPS, equal, learn, weights


@pytest.fixture(scope="session")  # in random order modules take turns; a training is made once
def undisturbed(home):
    """A training that nobody disturbs, with validation on the way."""
    out = home / "undisturbed"
    scored = []

    def score(truth, predictions):
        scored.append((truth.is_file(), predictions.is_file()))
        return {"CHOTA": 0.25}

    said = learn(home, out, "validation.every=4", "validation.split=train", "run.tensorboard=true", seams=Seams(score))
    assert scored == [(True, True)]
    return out, said


def test_a_training_whose_data_has_no_split_to_validate_on_says_how_to_choose_another(home, tmp_path):
    with pytest.raises(UserError) as refused:
        learn(home, tmp_path / "out", "validation.every=4", "validation.split=test")
    assert "called 'test', and the training validates on it" in refused.value.what
    assert "known: " in refused.value.remedy
    assert "--set validation.split=NAME, or none with --set validation.every=0" in refused.value.remedy


def child(home, out, body, **environment):
    script = f"""
import os, signal, threading, time
from pathlib import Path
from capgen.cli.training import train
home, out = Path({str(home)!r}), Path({str(out)!r})
{body}
train(str(home / "tiny.toml"), data=[home / "images", home / "videos"], out=out)
"""
    return [sys.executable, "-c", script], {**os.environ, "OMP_NUM_THREADS": "1", **environment}


def test_a_killed_and_resumed_training_ends_with_the_very_weights_of_an_undisturbed_one(home, undisturbed):
    out = home / "killed"
    body = """
def kill():
    while not (out / "checkpoints" / "step-00000003").is_dir():
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGKILL)
threading.Thread(target=kill, daemon=True).start()
"""
    command, environment = child(home, out, body)
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (out / "model").exists()
    torch.manual_seed(99)  # the state of this process must not matter
    assert "going on from" in learn(home, out)
    assert equal(weights(out), weights(undisturbed[0]))
    own, theirs = (checkpoint.load_state(checkpoint.latest(o), world=1)["optimizer"] for o in (out, undisturbed[0]))
    for number, entry in own["state"].items():
        assert all(torch.equal(value, theirs["state"][number][key]) for key, value in entry.items())
    rows = [read_csv(o / "logs" / "steps.csv") for o in (out, undisturbed[0])]
    assert [row["step"] for row in rows[0]] == [str(step) for step in range(1, STEPS + 1)]
    assert [row["loss"] for row in rows[0]] == [row["loss"] for row in rows[1]]


def test_what_was_learnt_is_logged_plotted_and_drawn(undisturbed):
    out, said = undisturbed
    rows = read_csv(out / "logs" / "steps.csv")
    assert [row["stage"] for row in rows] == ["images"] * 2 + ["clips"] * 4
    assert {"lr", "loss", "loss/dice", "loss/lm", "grad_norm", "clips_per_s", "waiting", "captions"} <= set(rows[-1])
    assert sum(float(rows[-1][name]) for name in rows[-1] if name.startswith("loss/")) == pytest.approx(
        float(rows[-1]["loss"]), rel=1e-3
    )
    assert read_csv(out / "logs" / "validation.csv") == [{"step": "4", "CHOTA": "0.25"}]
    assert list((out / "logs" / "tensorboard").rglob("events.*"))
    for picture in (out / "loss.png", out / "pictures" / "step-00000004" / "01.png"):
        assert picture.read_bytes().startswith(b"\x89PNG")
    assert "M parameters learn" in said
    assert "left" in said or f"step {STEPS}/{STEPS}" in said


def test_the_model_can_be_opened_and_a_finished_training_is_not_repeated(home, undisturbed):
    from capgen.maskcaptioner.inference.load import open_model

    out, _ = undisturbed
    before = weights(out)
    model = open_model(str(out / "model"), device="cpu")
    assert model.config.classes
    assert model.config.losses["lm"] == 1.0
    learn(home, out)
    assert equal(before, weights(out))


def test_a_frozen_module_keeps_its_weights(home, undisturbed):
    folders = sorted((undisturbed[0] / "checkpoints").glob("step-*"))
    states = [checkpoint.load_state(folder, world=1)["model"] for folder in folders]
    frozen = [
        name for name in states[0] if "pixel_level_module.encoder" in name and states[0][name].is_floating_point()
    ]
    assert frozen
    assert all(torch.equal(states[1][name], states[-1][name]) for name in frozen)
    assert any(not torch.equal(states[0][name], states[1][name]) for name in frozen)
    moving = [name for name in states[0] if name.startswith("object_head")]
    assert all(not torch.equal(states[1][name], states[-1][name]) for name in moving)


def test_a_checkpoint_of_another_configuration_says_what_differs(home, undisturbed):
    with pytest.raises(UserError, match=r"stages\.clips\.lr is 0\.0001 there, 0\.0002 here.*another --out"):
        learn(home, undisturbed[0], "stages.clips.lr=2e-4")
    with pytest.raises(UserError, match=r"data\.captions is \d+ there, \d+ here"):
        learn(home, undisturbed[0], releases=("images", "videos", "videos"))
    learn(home, undisturbed[0], "run.log_every=2", "data.threads=2", "validation.media=3")


def test_weights_of_another_model_are_refused(home, undisturbed, tmp_path):
    state = checkpoint.load_state(checkpoint.latest(undisturbed[0]), world=1)
    with pytest.raises(UserError, match="2 weights differ, first weight, absent there"):
        checkpoint.restore_weights(torch.nn.Linear(2, 2), {"model": {}}, tmp_path)
    assert state["position"] == {"step": STEPS, "world": 1}
    with pytest.raises(UserError, match="written by 1 processes, this is 2"):
        checkpoint.load_state(checkpoint.latest(undisturbed[0]), world=2)


def test_a_loss_that_is_no_number_stops_the_training_with_step_part_and_remedy(home, undisturbed):
    out = home / "diverged"
    shutil.copytree(undisturbed[0], out)
    for folder in sorted((out / "checkpoints").glob("step-*"))[3:]:
        shutil.rmtree(folder)
    path = checkpoint.latest(out) / "state.pt"
    state = torch.load(path, weights_only=True)
    name = next(name for name in state["model"] if name.startswith("object_head"))
    state["model"][name].fill_(float("nan"))
    torch.save(state, path)
    with pytest.raises(
        Diverged, match=r"step 4 \(clips\): .*obj.* is not finite; lower --set stages\.clips\.lr"
    ) as info:
        learn(home, out)
    assert "step-00000003" in str(info.value)
    assert "\n" not in str(info.value)


def test_captions_are_asked_for_only_where_they_are_learnt(home, tmp_path):
    limits = ("data.captions_min=10000",)
    with pytest.raises(UserError, match="have a caption"):
        learn(home, tmp_path / "a", *limits)
    steps = ("stages.images.steps=0", "stages.clips.steps=1", "stages.clips.captions=false")
    learn(home, tmp_path / "b", *limits, *steps)
    assert "loss/lm" not in read_csv(tmp_path / "b" / "logs" / "steps.csv")[0]


def test_bf16_and_a_frozen_segmenter_train(home, tmp_path):
    steps = ("stages.images.steps=0", "stages.clips.steps=1", "run.precision=bf16")
    learn(home, tmp_path / "a", *steps, 'stages.clips.train=["caption_head"]', "stages.clips.freeze=[]")
    assert float(read_csv(tmp_path / "a" / "logs" / "steps.csv")[0]["grad_norm"]) > 0


def test_a_journal_forgets_what_came_after_the_checkpoint(tmp_path):
    journal = ScalarLog(tmp_path, "steps", step=0)
    for step in range(1, 5):
        journal.add({"step": step, "loss": 1.0 / step})
    with journal.path.open("a") as file:
        file.write("5,0.")
    journal = ScalarLog(tmp_path, "steps", step=2)
    journal.add({"step": 3, "loss": 0.5, "loss/lm": 0.1})
    assert [(row["step"], row["loss"]) for row in read_csv(journal.path)] == [("1", "1"), ("2", "0.5"), ("3", "0.5")]
    assert read_csv(journal.path)[2]["loss/lm"] == "0.1"
    plot_losses(journal.rows, [{"step": "2", "CHOTA": "0.4"}], tmp_path / "loss.png", "a title")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot_of_losses_has_plain_numbers_on_its_axis_and_marks_the_stages():
    steps = [
        {"step": str(n), "stage": "images" if n < 50 else "clips", "loss": f"{40 / n**0.5}", "loss/lm": "3.1"}
        for n in range(1, 100)
    ]
    losses, scores = loss_figure(steps, [{"step": "60", "CHOTA": "0.4"}], "costs $5").axes
    low, high = losses.get_ylim()
    labels = [text.get_text() for text in losses.get_yticklabels() if low <= text.get_position()[1] <= high]
    assert {"5", "10", "20"} <= set(labels)
    assert not [text for text in losses.get_yticklabels(minor=True) if text.get_text()]
    for axis in (losses, scores):
        marks = {text.get_text(): text.xy[0] for text in axis.texts}
        assert marks == {"images": 1, "clips": 50}


def test_progress_tells_rate_and_time_left():
    show = TrainingProgress(Console(file=io.StringIO()), 1000)
    show.step(100, "clips", 3.0)
    began, _ = show._begun
    assert (
        show.sentence(200, "clips", 2.5, began + 50.0) == "step 200/1,000 (clips), loss 2.5, 2 steps/s, 6 min 40 s left"
    )
    assert duration(7800) == "2 h 10 min"
