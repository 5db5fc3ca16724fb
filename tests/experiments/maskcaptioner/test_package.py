"""What is packaged opens as the model that was trained, and says what it is worth."""

from __future__ import annotations

import hashlib
import json

import pytest

from capgen.errors import UserError
from capgen.maskcaptioner.settings import load_train_settings
from experiments.maskcaptioner import package as packaging
from tests.experiments.maskcaptioner.test_page import results, run
from tests.maskcaptioner.random_model import save_random


@pytest.fixture
def trained(tmp_path):
    folder = tmp_path / "runs" / "main-seed0"
    save_random(folder / "model")
    settings = json.loads(load_train_settings("sample", {}).model_dump_json())
    data = {"media": {"image": 3, "video": 2}, "objects": 9, "captions": 8}
    (folder / "settings.json").write_text(json.dumps({"settings": settings, "data": data}))
    return folder


def test_the_copy_is_the_model_with_its_scores_on_the_card(trained, tmp_path):
    scores = run(0.61, 0.5)
    told = results(main=[scores]) | {"note": "It was cold."}
    folder = packaging.package(trained, tmp_path / "sample", scores, told, "the command")
    assert (folder / "model.safetensors").read_bytes() == (trained / "model" / "model.safetensors").read_bytes()
    assert (folder / "model.safetensors").stat().st_mode & 0o044
    card = (folder / "README.md").read_text()
    assert "DetA 0.610 (wanted 0.60, met)" in card
    assert "AssA 0.700 (wanted 0.80, not met)" in card
    assert "the command" in card
    assert "It was cold." in card
    assert "8 captions were written by `capgen run`" in card
    assert not (tmp_path / "sample.part").exists()


def test_the_card_tells_the_training_that_it_goes_on_from(trained, tmp_path):
    scores = run(0.61, 0.5)
    before = [(trained, 300.0), (trained, 300.0)]
    folder = packaging.package(trained, tmp_path / "sample", scores, results(main=[scores]), "the command", before)
    card = (folder / "README.md").read_text()
    assert card.count("steps of 4 clips") == 3
    assert "11 minutes" in card


def test_too_large_weights_are_halved_and_come_back_in_single_precision(trained, tmp_path, monkeypatch):
    size = (trained / "model" / "model.safetensors").stat().st_size
    monkeypatch.setattr(packaging, "MOST_BYTES", int(size * 0.6))
    scores = run(0.61, 0.5)
    folder = packaging.package(trained, tmp_path / "sample", scores, results(main=[scores]), "the command")
    assert (folder / "model.safetensors").stat().st_size < 0.6 * size
    assert "float16" in (folder / "README.md").read_text()
    monkeypatch.setattr(packaging, "MOST_BYTES", int(size * 0.3))
    with pytest.raises(UserError, match="too large"):
        packaging.package(trained, tmp_path / "other", scores, results(main=[scores]), "the command")
    assert not (tmp_path / "other").exists()


def test_an_unfinished_training_is_not_packaged(tmp_path):
    with pytest.raises(UserError, match="no finished model"):
        packaging.package(tmp_path, tmp_path / "sample", run(0.6, 0.5), results(), "the command")


def test_later_measurements_of_the_weights_are_on_the_card_once(trained, tmp_path, monkeypatch):
    scores = run(0.61, 0.5)
    folder = packaging.package(trained, tmp_path / "sample", scores, results(main=[scores]), "the command")
    plain = (folder / "README.md").read_text()
    digest = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    notes = tmp_path / "remeasured.json"
    notes.write_text(json.dumps({digest: ["It was measured again."], "0" * 64: ["Another model."]}))
    monkeypatch.setattr(packaging, "_REMEASURED", notes)
    for _ in range(2):
        card = packaging.refresh_card(folder).read_text()
        assert card.count("## Measured again\n- It was measured again.\n") == 1
        assert "Another model" not in card
    again = packaging.package(trained, tmp_path / "sample", scores, results(main=[scores]), "the command")
    assert (again / "README.md").read_text() == card
    notes.write_text("{}")
    assert packaging.refresh_card(again).read_text() == plain


def test_new_scores_of_the_same_weights_replace_those_on_the_card(trained, tmp_path):
    old, new = run(0.61, 0.5), run(0.72, 0.6)
    folder = packaging.package(trained, tmp_path / "old", old, results(main=[old]), "the command")
    other = packaging.package(trained, tmp_path / "new", new, results(main=[new]), "the command")
    card = packaging.refresh_card(folder, new).read_text()
    assert card == (other / "README.md").read_text()


def test_the_packaged_card_has_what_was_measured_of_its_weights():
    card = (packaging.PRETRAINED / "README.md").read_text()
    said = packaging._remeasured(packaging.PRETRAINED / "model.safetensors")
    assert said
    assert said in card
