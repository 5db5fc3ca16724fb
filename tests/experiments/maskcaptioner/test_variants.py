"""The variants, and trainings that are stopped."""

from __future__ import annotations

import time

import pytest

from capgen.maskcaptioner.settings import load_train_settings
from experiments.maskcaptioner import experiments, fit
from experiments.maskcaptioner.sizes import SIZES
from experiments.maskcaptioner.variants import MAIN, VARIANTS, assignments, in_order, steps_of


@pytest.mark.parametrize("name", [name for name, variant in VARIANTS.items() if not variant.evaluates])
@pytest.mark.parametrize("size", SIZES)
def test_every_variant_is_a_training_file_with_as_many_steps(name, size):
    chosen = SIZES[size]
    settings = load_train_settings("sample", {}, [*chosen.set_, *assignments(VARIANTS[name], chosen.steps, 3)])
    assert settings.steps == sum(steps_of(VARIANTS[name], chosen.steps)) > 0
    assert settings.run.seed == 3


def test_a_variant_brings_the_training_that_it_starts_from():
    assert in_order(("frozen", "best_clip")) == ["no_caption_loss", "frozen", MAIN, "best_clip"]
    assert in_order(("captioner",)) == [MAIN, "longer", "captioner"]


def test_without_time_nothing_is_started(tmp_path):
    done = fit.train(tmp_path / "run", (), (), 4, fit.Clock(time.monotonic()))
    assert (done.step, done.finished, done.model) == (0, False, None)
    assert not (tmp_path / "run").exists()


def test_a_training_with_an_error_says_so(tmp_path):
    with pytest.raises(fit.TrainingFailed):
        fit.train(tmp_path / "run", (tmp_path / "nothing",), (), 4, fit.Clock())


def test_the_last_checkpoint_is_an_unfinished_trainings_model(tmp_path):
    for step in (2, 4):
        (tmp_path / "checkpoints" / f"step-{step:08d}" / "model").mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-00000005.part").mkdir()
    assert not fit.progress(tmp_path, 8).finished
    assert fit.progress(tmp_path, 8).step == 4
    assert fit.progress(tmp_path, 8).model == tmp_path / "checkpoints" / "step-00000004" / "model"
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text("{}")
    assert fit.progress(tmp_path, 4).finished


def test_a_folder_has_one_process_at_a_time(tmp_path):
    with experiments._alone(tmp_path), pytest.raises(SystemExit, match="another process"):
        experiments._alone(tmp_path)
    experiments._alone(tmp_path).close()
