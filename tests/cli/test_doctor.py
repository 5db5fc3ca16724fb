"""``capgen doctor`` names what would stop a run, each with its remedy."""

import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.running.nodes import doctor
from capgen.pipeline.running.nodes.check_result import DoctorRequest
from capgen.pipeline.running.nodes.doctor import check_all
from capgen.pipeline.running.nodes.video_check import check_videos
from tests.maskcaptioner.films import write_video

_NOBODY = 65534


def results(tmp_path, out=None, **flags):
    given = {"engine.name": "echo", "model.id": "none"} | {name.replace("_", "."): at for name, at in flags.items()}
    found = list(check_all(DoctorRequest(load_settings("lvis", given), out, 0)))
    return {one.check: one for one in found}


def test_a_machine_that_is_fit_has_no_fault(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    found = results(tmp_path, tmp_path / "out", source_root=tmp_path)
    assert {one.check: one.remedy for one in found.values() if one.state == "fault"} == {}
    assert {"Python", "libraries", "engine", "room", "open files", "OUT", "pictures", "model"} <= set(found)
    assert list(tmp_path.iterdir()) == [], "nothing is kept"


def test_each_fault_has_its_remedy(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    (tmp_path / "out").write_text("a file")
    found = results(tmp_path, tmp_path / "out" / "run", source_root=tmp_path / "none")
    for check, told in (("OUT", "is no folder"), ("pictures", "is no folder")):
        assert (found[check].state, told in found[check].found) == ("fault", True)
        assert "--" in found[check].remedy


def test_a_model_folder_without_weights_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("capgen.pipeline.running.nodes.doctor.ENGINE_LIBRARIES", {})
    (tmp_path / "config.json").write_text("{}")
    found = results(tmp_path, model_id=str(tmp_path), engine_name="transformers")["model"]
    assert found.state == "fault"
    assert "no weights" in found.found


@contextmanager
def as_an_ordinary_user():
    """Root may write everywhere: while this lasts, it is nobody."""
    root = os.getuid() == 0
    if root:
        os.setresuid(_NOBODY, _NOBODY, 0)
    try:
        yield
    finally:
        if root:
            os.setresuid(0, 0, 0)


@pytest.mark.parametrize("mode", [0o555, 0o700])
def test_a_folder_that_cannot_be_written_is_named(mode):
    settings = load_settings("lvis", {"engine.name": "echo", "model.id": "none"})
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder, "place")
        place.mkdir()
        place.chmod(mode if os.getuid() == 0 else 0o500)
        Path(folder).chmod(0o755)
        with as_an_ordinary_user():
            (found,) = doctor._out(DoctorRequest(settings, place / "run" / "out", 0))
    assert (found.state, found.found) == ("fault", f"{place} cannot be written by user {found.found.split()[-1]}")


def test_a_cluster_that_does_not_answer_is_one_line_and_exit_1(tmp_path):
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:9"}
    words = ("doctor", "--engine", "echo", "--model", "none", "--out", tmp_path / "out", "--json")
    command = [sys.executable, "-m", "capgen.cli", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=environment)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    (fault,) = [one for one in told["checks"] if one["state"] == "fault"]
    assert "no Ray cluster answers there" in fault["found"]
    assert "start the cluster" in fault["remedy"]
    assert not told["ok"]
    assert not (tmp_path / "out").exists()


def videos(root):
    settings = load_settings("lv-vis", {"engine.name": "echo", "model.id": "none", "source.root": root})
    (found,) = check_videos(DoctorRequest(settings, None, 0))
    return found


def test_videos_are_decoded_before_a_run_needs_them(tmp_path, monkeypatch):
    assert (videos(tmp_path).state, "h264" in videos(tmp_path).found) == ("ok", True)
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips" / "a.mp4").write_bytes(b"no video")
    assert videos(tmp_path).state == "fault"
    assert "a.mp4 is not a video that can be read" in videos(tmp_path).found
    write_video(tmp_path / "clips" / "b.mp4", 2)
    assert (videos(tmp_path).state, videos(tmp_path).found.split()[-1]) == ("ok", "b.mp4")
    monkeypatch.setitem(sys.modules, "av", None)
    assert (videos(tmp_path).state, videos(tmp_path).remedy) == ("fault", "pip install av")
    assert videos(tmp_path / "none").state == "note", "frames that are pictures need no PyAV"


@pytest.mark.parametrize(("model", "state"), [("org/name", "fault"), (".", "note")])
def test_a_clock_that_the_hub_would_refuse_is_named(monkeypatch, model, state):
    monkeypatch.setattr(time, "time", lambda: 0.0)
    settings = load_settings("lvis", {"engine.name": "vllm", "model.id": model})
    (found,) = doctor._clock(DoctorRequest(settings, None, 0))
    assert (found.state, "1970-01-01" in found.found, "NTP" in found.remedy) == (state, True, True)
    monkeypatch.undo()
    assert list(doctor._clock(DoctorRequest(settings, None, 0))) == []
