"""A training's folder that somebody else made or changed: what is in it is taken, or one line says that it is none."""

import pytest
import torch

from capgen.errors import UserError
from capgen.maskcaptioner.settings import load_train_settings
from capgen.maskcaptioner.training import checkpoint


def saved(tmp_path):
    """A checkpoint of a model of one layer, and its optimizer."""
    model = torch.nn.Linear(2, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "position": {"step": 1, "world": 1}}
    torch.save(state, tmp_path / "state.pt")
    torch.save(checkpoint._rng(), tmp_path / "rng-0.pt")
    return model, optimizer, state


@pytest.mark.parametrize(
    "change",
    [
        {"model": None},
        {"model": {"weight": 1}},
        {"optimizer": {}},
        {"optimizer": None},
        {"position": {}},
        {"position": {"step": 1, "world": 1, "more": 1}},
    ],
)
def test_a_state_of_another_form_is_one_line(tmp_path, change):
    _, _, state = saved(tmp_path)
    assert checkpoint.load_state(tmp_path, world=1)["position"]["step"] == 1
    torch.save(state | change, tmp_path / "state.pt")
    with pytest.raises(UserError, match=r"state\.pt is no state of a training; delete"):
        checkpoint.load_state(tmp_path, world=1)


def test_averages_and_random_states_of_another_form_are_one_line(tmp_path):
    _, optimizer, state = saved(tmp_path)
    checkpoint.restore_optimizer(optimizer, state, tmp_path)
    checkpoint.restore_rng(tmp_path, 0)
    for groups in ([], [{"params": [0]}], [{}], None):
        with pytest.raises(UserError, match=r"state\.pt is no state of a training"):
            checkpoint.restore_optimizer(optimizer, {"optimizer": {"param_groups": groups, "state": {}}}, tmp_path)
    for change in ({"python": 1}, {"numpy": ()}, {"torch": torch.zeros(3)}, {"torch": None}):
        torch.save(checkpoint._rng() | change, tmp_path / "rng-0.pt")
        with pytest.raises(UserError, match=r"rng-0\.pt is no state of a training"):
            checkpoint.restore_rng(tmp_path, 0)


@pytest.mark.parametrize("text", ["[]", "1", "[" * 100_000, "null", "{}"])
def test_a_record_of_settings_that_is_none_is_one_line(tmp_path, text):
    (tmp_path / "settings.json").write_text(text)
    with pytest.raises(UserError) as said:
        checkpoint.begin(tmp_path, load_train_settings("sample", {}), {"objects": 1})
    assert "\n" not in str(said.value)
