"""Several processes, as ``accelerate launch`` starts them: on a CPU, with gloo."""

from __future__ import annotations

import os
import shutil
import signal

import pytest
import torch
from torch import distributed, multiprocessing

from capgen.maskcaptioner.model.config import LOSSES
from capgen.maskcaptioner.model.segmentation.losses import ClipLoss
from capgen.maskcaptioner.model.segmentation.matcher import LayerOutputs
from capgen.maskcaptioner.training import checkpoint
from capgen.maskcaptioner.training.logs import read_csv
from tests.maskcaptioner.tinymodel import target
from tests.maskcaptioner.training.trainings import STEPS, equal, learn, verb, wait_for, weights

SAME = (
    # the points of the mask losses are drawn anew in each process; their share is the last test's
    "model.options.box_head=true",
    "model.options.losses={ points = 64, bce = 0, dice = 0 }",
    # batch norms that learn count their own process's pictures
    'stages.images.freeze=["segmenter.mask2former.pixel_level_module.encoder"]',
    "stages.clips.accumulate=1",
)
HALF = ("stages.images.batch=2", "stages.clips.batch=1")


def launch(start, *words):
    """The verb in two processes."""
    flags = ("--multi_gpu", "--num_processes=2", "--num_machines=1", "--main_process_port=0")
    flags += ("--mixed_precision=no", "--dynamo_backend=no")
    return start("-m", "accelerate.commands.launch", *flags, "-m", "capgen.cli", *words, ACCELERATE_USE_CPU="true")


def finished(process):
    result, said = process.communicate(timeout=400)
    assert process.returncode == 0, said[-3000:]
    assert result.count("model: ") == 1, "each process told the result"
    return said


def state(out, step, world):
    return checkpoint.load_state(checkpoint.folder_of(out, step), world=world)["model"]


def vector(weights):
    return torch.cat([weights[name].flatten().float() for name in sorted(weights)])


def test_two_processes_with_half_the_batch_each_learn_what_one_learns_and_resume_to_the_bit(start, home, tmp_path):
    one, two, resumed = (tmp_path / name for name in ("one", "two", "resumed"))
    learn(home, one, *SAME, "stages.images.batch=4", "stages.clips.batch=2")
    finished(launch(start, *verb(home, two, *SAME, *HALF)))

    losses = [[float(row["loss"]) for row in read_csv(out / "logs" / "steps.csv")] for out in (one, two)]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    first, ours, theirs = (vector(state(*which)) for which in ((one, 1, 1), (one, STEPS, 1), (two, STEPS, 2)))
    # 0.5 % here: AdamW divides by the size of a gradient, so that the rounding of the smallest ones is not small
    assert (theirs - ours).norm() < 0.02 * (ours - first).norm()

    shutil.copytree(two, resumed)
    shutil.rmtree(resumed / "model")
    for step in range(4, STEPS + 1):
        shutil.rmtree(checkpoint.folder_of(resumed, step))
    assert "going on from" in finished(launch(start, *verb(home, resumed, *SAME, *HALF)))
    assert (checkpoint.latest(resumed) / "rng-1.pt").is_file()
    assert equal(weights(resumed), weights(two))


def test_ctrl_c_reaches_all_processes_and_they_save_one_step(start, home, tmp_path):
    process = launch(start, *verb(home, tmp_path, "stages.clips.steps=4000", "run.checkpoint_every=4000"))
    wait_for(tmp_path / "logs" / "steps.csv", process)
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=120)[1]
    folder = checkpoint.latest(tmp_path)
    assert f"is saved in {folder}" in said
    assert {file.name for file in folder.iterdir()} == {"model", "state.pt", "rng-0.pt", "rng-1.pt"}


def losses(objects):
    """Of clips with so many objects each; masks are the same everywhere, wherever they are read."""
    targets = [
        target(captions=("",) * n, masks_NTHW=torch.ones(n, 2, 64, 96, dtype=torch.bool), class_ids_N=torch.arange(n))
        for n in objects
    ]
    spread = torch.linspace(-1, 1, 5)
    queries = (1, len(objects), 5)
    predictions = LayerOutputs(
        spread[:, None, None, None].expand(*queries, 2, 16, 24).contiguous(),
        torch.full((*queries, 2, 4), 0.4),
        spread[:, None].expand(*queries, 6).contiguous(),
        torch.stack((spread, -spread), -1).expand(*queries, 2).contiguous(),
    )
    found, _ = ClipLoss({**LOSSES, "points": 8})(predictions, targets, (64, 96))
    return found


def part_of_losses(rank, folder):
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    own = losses([(1,), (3,)][rank])
    torch.save({name: loss.detach() for name, loss in own.items()}, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_an_object_weighs_the_same_in_whichever_process_it_is(tmp_path):
    multiprocessing.spawn(part_of_losses, (tmp_path,), nprocs=2)
    halves = [torch.load(tmp_path / f"{rank}.pt") for rank in range(2)]
    whole = losses((1, 3))
    assert set(whole) == {"obj", "bce", "dice", "l1", "giou", "cls"}
    for name, loss in whole.items():
        torch.testing.assert_close((halves[0][name] + halves[1][name]) / 2, loss, atol=1e-6, rtol=1e-5)
