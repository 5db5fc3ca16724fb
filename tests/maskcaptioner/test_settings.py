from __future__ import annotations

import pytest

from capgen.errors import UnknownName, UserError
from capgen.maskcaptioner.settings import load_train_settings
from capgen.resources import resource_dir
from tests.maskcaptioner.worlds import training_file

SHIPPED = sorted(path.stem for path in (resource_dir("pipelines") / "train").glob("*.toml"))


def test_the_papers_stages_are_shipped():
    assert SHIPPED == ["bensmot", "lv-viscap", "lviscap", "sample", "vidstg", "vln"]


@pytest.mark.parametrize("name", SHIPPED)
def test_every_shipped_file_loads_by_name_and_by_path(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    settings = load_train_settings(name, {})
    assert settings.name == name
    assert load_train_settings(f"pipelines/train/{name}.toml", {}) == settings


def test_set_overrides_the_file_and_flags(tmp_path):
    file = str(training_file(tmp_path))
    settings = load_train_settings(file, {"data.releases": ["a"]}, ["stages.clips.lr=2e-5", "stages.images.steps=0"])
    assert settings.stages["clips"].lr == 2e-5
    assert list(settings.active) == ["clips"]
    assert str(settings.data.releases[0]) == "a"


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("stages.clips.lrate=1", "unknown key 'stages.clips.lrate'"),
        ("stages.clips.lr=-1", "stages.clips.lr"),
        ("augment.scale=[2.0, 1.0]", "scale has its larger bound first"),
        ("run.precision=fp16", "run.precision"),
    ],
)
def test_a_wrong_setting_is_named(assignment, message, tmp_path):
    with pytest.raises(UserError, match=message.replace("[", r"\[")):
        load_train_settings(str(training_file(tmp_path)), {}, [assignment])


def test_a_stage_that_the_file_does_not_have_is_no_new_one(tmp_path):
    with pytest.raises(UnknownName, match=r"no stage is called 'image' [(]did you mean 'images'"):
        load_train_settings(str(training_file(tmp_path)), {}, ["stages.image.steps=0"])


def test_no_steps_and_no_file_are_refused(tmp_path):
    with pytest.raises(UserError, match="no stage has steps"):
        load_train_settings(str(training_file(tmp_path)), {}, ["stages.images.steps=0", "stages.clips.steps=0"])
    with pytest.raises(UnknownName, match="did you mean 'sample'"):
        load_train_settings("sampel", {})
