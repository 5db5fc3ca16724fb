"""The examples of CONTRIBUTING.md are a package with a plug-in of each kind: installed and run as they stand there."""

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import cv2
import numpy as np
import pyarrow.parquet as pq
import pytest

from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.model_profiles import ModelProfile

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^```\w+\n# (\S+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def write_examples(folder: Path) -> list[str]:
    """Every code block that starts with a file name, as that file."""
    blocks = BLOCK.findall((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    for name, text in blocks:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return [name for name, _ in blocks]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the examples' files, their package installed in ``site``, and data for them."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("plugins")
    names = write_examples(folder)
    assert len(names) == len(set(names)) == 10
    (folder / "my_plugins" / "__init__.py").touch()
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(folder / "site"), str(folder)], check=True, timeout=300)
    data = folder / "data"
    data.mkdir()
    for number in range(3):
        cv2.imwrite(str(data / f"{number}.png"), np.full((60, 80, 3), 200, np.uint8))
    rows = [f"{number}.png,80,60,10,10,30,20,{category}" for number, category in enumerate(("cup", "spoon", "cup"))]
    (data / "objects.csv").write_text("\n".join(rows) + "\n")
    return folder


def capgen(place: Path, *arguments, module: str = "tests.pipeline.inprocess"):
    """The command line in the examples' folder, with their package on the path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(place / "site"), str(ROOT)))}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=place, env=environment)


def check_run(place, out):
    rows = [row for file in (out / "candidates").glob("*.parquet") for row in pq.read_table(file).to_pylist()]
    assert [(row["category"], row["status"], row["reasons"]) for row in sorted(rows, key=lambda row: row["key"])] == [
        ("cup", "kept", []),
        ("spoon", "dropped", ["forbidden"]),
        ("cup", "kept", []),
    ]
    assert {row["caption"] for row in rows if row["status"] == "kept"} == {"A thing on a white table. It is a cup."}
    assert {(row["model"], row["engine"], row["highlight"]) for row in rows} == {("constant", "constant", "crop+dim")}


def test_a_source_highlight_engine_and_check_of_another_package_run(place):
    done = capgen(place, "run", "--pipeline", "my_pipeline.toml", "--root", "data", "--out", "out")
    assert done.returncode == 0, done.stderr
    check_run(place, place / "out")
    assert capgen(place, "verify", "out").returncode == 0


@pytest.mark.ray
def test_they_run_in_workers_of_ray_too(place):
    flags = ("--pipeline", "my_pipeline.toml", "--root", "data", "--out", "out-ray", "--gpus", "0")
    done = capgen(place, "run", *flags, module="capgen.cli")
    assert done.returncode == 0, done.stderr
    check_run(place, place / "out-ray")


def test_a_benchmark_of_another_package_is_scored(place):
    root = place / "bench"
    root.mkdir()
    image = {"id": 1, "video_id": 1, "file_name": "1.png", "height": 60, "width": 80}
    one = {"image_id": 1, "category_id": 1, "track_id": 1, "bbox": [10, 10, 30, 20], "caption": "A cup."}
    truth = {"images": [image], "annotations": [{"id": 1, **one}], "categories": [{"id": 1, "name": "object"}]}
    (root / "val.gt").write_text(json.dumps(truth))
    (place / "pred.json").write_text(json.dumps([{**one, "score": 0.9}]))
    shared = ("eval", "benchmark", "ready", "--root", root, "--set", "suffix=.gt", "--json")
    done = capgen(place, *shared, "--pred", "pred.json", "--metrics", "none", "--protocol", "clean")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["DetA"] == 1.0
    told = json.loads(capgen(place, *shared, "--describe").stdout)
    assert (told[0]["found"], told[0]["verdict"]) == (1, "ok")


def test_help_and_errors_name_them_beside_ours(place):
    said = " ".join(capgen(place, "run", "--help").stdout.split())
    assert "echo, constant." in said
    assert "bensmot, ready." in " ".join(capgen(place, "eval", "benchmark", "--help").stdout.split())
    flags = ("run", "--pipeline", "my_pipeline.toml", "--root", "data", "--out", "other")
    for flag, expected in (
        (("--engine", "constnt"), "no engine is called 'constnt' (did you mean 'constant'?)"),
        (("--set", "engine.options.sentense=A"), "has no such option (did you mean 'sentence'?)"),
        (
            ("--set", "checks.options.forbidden.words=3"),
            "forbidden.words = 3: Input should be a valid tuple",
        ),
        (("--set", "source.tabel=x"), "source.tabel: the source 'csv' has no such option (did you mean 'table'?)"),
    ):
        done = capgen(place, *flags, *flag)
        assert (done.returncode, done.stderr.count("\n")) == (2, 1), done.stderr
        assert expected in done.stderr


def test_a_package_that_cannot_be_imported_harms_only_who_names_it(place):
    info = place / "site" / "broken-2.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 2.0\n")
    (info / "entry_points.txt").write_text("[capgen.engines]\nhalf = half_written:Half\n")
    (place / "site" / "half_written.py").write_text("import time\n\ntime.sleep(60)\n")
    assert "constant, half." in " ".join(capgen(place, "run", "--help").stdout.split())
    (place / "site" / "half_written.py").write_text("import a_library_that_is_not_there\n")
    done = capgen(place, "run", "--pipeline", "my_pipeline.toml", "--root", "data", "--out", "half", "--engine", "half")
    assert done.returncode == 2
    assert "the engine 'half' of broken 2.0 cannot be imported (ModuleNotFoundError" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_profile_of_a_family_is_one_that_capgen_reads(place):
    text = (place / "my-family.toml").read_text(encoding="utf-8")
    profile = ModelProfile.model_validate({"name": "my-family", **tomllib.loads(text)})
    assert profile.visual.count(56, 84) == 6
    assert profile.tables("vllm")["render"]["patch"] == 28


def test_the_file_in_a_models_folder_lies_between_the_profile_and_the_flags(place):
    settings = load_settings("lvis", {"model.id": str(place / "my_model")}, ["render.clean_pixels=4096"])
    assert settings.model.profile == "qwen2.5-vl"
    assert (settings.render.patch, settings.render.clean_pixels, settings.render.marked_pixels) == (28, 4096, 100352)
