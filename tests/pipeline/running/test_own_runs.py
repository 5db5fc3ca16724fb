"""``capgen resume OUT`` takes settings and devices from this user's record of the run, never from a stranger's OUT."""

import json
import shutil
from dataclasses import replace

import pytest

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.dataset.plan import ModelName
from capgen.errors import UserError
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.running.own_runs import DeviceFlags, note_run, own_run
from capgen.pipeline.running.session import Devices
from tests.conftest import write_lvis
from tests.pipeline.runs import echo_settings


@pytest.fixture
def capgen(tmp_path, monkeypatch):
    """The command line in this process, without Ray, in a folder and with a state folder of its own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    seen = []

    def devices(*flags):
        seen.append(flags)
        return Devices(ray=False)

    def call(*arguments):
        return app([str(one) for one in arguments], standalone_mode=False, obj=replace(Providers(), devices=devices))

    call.devices = seen
    return call


def begun(capgen, tmp_path):
    write_lvis(tmp_path / "lvis")
    engine = ("--engine", "echo", "--set", "run.shard_objects=3", "--workers", 3)
    capgen("run", "--dataset", "lvis", "--root", "lvis", "--split", "train", *engine, "--limit", 5, "--out", "out")
    return tmp_path / "out"


def planned(out):
    return sum(entry["objects"] for entry in json.loads((out / "plan.json").read_text())["shards"])


def test_resume_needs_nothing_but_out_wherever_it_is_called_whatever_out_says(capgen, tmp_path, monkeypatch):
    out = begun(capgen, tmp_path)
    (out / "candidates" / "00001.json").unlink()  # as a kill leaves it
    plan = json.loads((out / "plan.json").read_text())
    plan["settings"]["engine"] = {"name": "openai", "options": {"base_urls": ["http://evil.example/v1"]}}
    plan["root"] = plan["settings"]["source"]["root"] = "/home/victim"
    (out / "plan.json").write_text(json.dumps(plan))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    capgen("resume", out, "--limit", 9)
    assert (out / "candidates" / "00001.json").is_file()
    assert planned(out) == 9
    assert capgen.devices == [(None, 1, 3)] * 2
    assert own_run(out).settings["engine"]["name"] == "echo"
    with pytest.raises(UserError, match="a plan only grows"):
        capgen("resume", out, "--limit", 8)


def test_a_run_from_elsewhere_or_another_in_its_place_is_not_known(capgen, lvis_root, tmp_path):
    out = tmp_path / "out"
    job, _ = prepare(echo_settings(lvis_root), out, gpus=0, model=ModelName("echo"))
    note_run(job, DeviceFlags(), None)
    assert own_run(out) is not None
    shutil.copytree(out, tmp_path / "strange")
    with pytest.raises(UserError, match="no record that you started"):
        capgen("resume", tmp_path / "strange")
    plan = json.loads((out / "plan.json").read_text())
    (out / "plan.json").write_text(json.dumps(plan | {"fingerprint": "0" * 64}))
    with pytest.raises(UserError, match="no record that you started"):
        capgen("resume", out)


def test_a_state_folder_that_cannot_be_written_is_a_warning(capgen, lvis_root, tmp_path, caplog):
    job, _ = prepare(echo_settings(lvis_root), tmp_path / "out", gpus=0, model=ModelName("echo"))
    (tmp_path / "state").write_text("")
    note_run(job, DeviceFlags(), None)
    assert "capgen resume will not know this run" in caplog.text
