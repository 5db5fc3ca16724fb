"""Plug-ins by name: built with checked options, and what other packages register can harm only who asks for it."""

import dataclasses
import sys
from pathlib import Path

import pytest

from capgen.errors import UnknownName, UserError
from capgen.evaluation.benchmarks import BENCHMARKS
from capgen.pipeline.checks import CHECKS
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.rendering.highlights import HIGHLIGHTS
from capgen.pipeline.sources import SOURCES
from capgen.registry import Registry

ALL = (SOURCES, HIGHLIGHTS, ENGINES, CHECKS, BENCHMARKS)


def install(folder: Path, package: str, entry_points: str) -> Path:
    """What an installer leaves of a package, without its modules."""
    info = folder / f"{package}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)
    return folder


@pytest.mark.parametrize("registry", ALL, ids=lambda registry: registry.kind)
def test_every_plug_in_of_ours_is_a_frozen_dataclass(registry):
    assert list(registry)
    for name in registry.own:
        kind = registry.load(name)
        assert dataclasses.is_dataclass(kind)
        assert kind.__dataclass_params__.frozen


@pytest.mark.parametrize(
    ("registry", "name", "options", "said"),
    [
        (ENGINES, "ecko", {}, "no engine is called 'ecko' (did you mean 'echo'?"),
        (
            ENGINES,
            "echo",
            {"latncy_s": 1},
            "here.latncy_s: the engine 'echo' has no such option (did you mean 'latency_s'",
        ),
        (ENGINES, "echo", {"latency_s": "slow"}, "here.latency_s = 'slow': Input should be a valid number"),
        (ENGINES, "echo", {"error_rate": 2}, "here: error_rate must lie in 0..1"),
        (SOURCES, "lvis", {}, "here.root: Field required"),
        (ENGINES, "pathlib:Path", {}, "the engine 'pathlib:Path' is not a dataclass"),
        (ENGINES, "nowhere:Engine", {}, "no engine is called 'nowhere:Engine'"),
        (ENGINES, "capgen.pipeline.engines.echo:Ecko", {}, "no engine is called"),
    ],
)
def test_a_mistake_in_options_is_one_line_that_names_the_place(registry, name, options, said):
    with pytest.raises(UserError) as caught:
        registry.build(name, options, "here")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_plug_in_of_another_package_is_found_by_its_name(tmp_path, monkeypatch):
    install(tmp_path, "brings-one", "[capgen.engines]\nlouder = brought:Louder\n")
    (tmp_path / "brought.py").write_text(
        "from dataclasses import dataclass\n\n\n@dataclass(frozen=True)\nclass Louder:\n    times: int = 2\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "brought", raising=False)
    assert "louder" in ENGINES
    assert ENGINES.options("louder") == ("times",)
    assert ENGINES.build("louder", {"times": 3}, "engine.options").times == 3


def test_a_name_of_two_packages_is_refused_with_both_named(tmp_path, monkeypatch):
    install(tmp_path / "a", "first", "[capgen.engines]\nsame = a:A\necho = a:A\n")
    install(tmp_path / "b", "second", "[capgen.engines]\nsame = b:B\n")
    monkeypatch.syspath_prepend(tmp_path / "a")
    monkeypatch.syspath_prepend(tmp_path / "b")
    with pytest.raises(
        UserError, match=r"'same' is registered by (first 1.0 and by second|second 1.0 and by first) 1.0"
    ):
        ENGINES.load("same")
    with pytest.raises(UserError, match=r"'echo' is registered by capgen and by first 1.0"):
        ENGINES.load("echo")
    assert ENGINES.load("vllm").__name__ == "Vllm"


@pytest.mark.parametrize("module", ["raise RuntimeError('half\\ninstalled')", "import no_such_library", "x = ("])
def test_a_package_that_cannot_be_imported_is_named_when_it_is_asked_for(tmp_path, monkeypatch, module):
    install(tmp_path, "broken", "[capgen.engines]\nbad = broken_module:Bad\n")
    (tmp_path / "broken_module.py").write_text(module)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_module", raising=False)
    assert "bad" in ENGINES
    with pytest.raises(UserError, match=r"the engine 'bad' of broken 1.0 cannot be imported") as caught:
        ENGINES.load("bad")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", [b"[capgen.engines]\nno equals sign\n", b"\xff\xfe capgen.", b"[capgen.engines]\n= nothing\n", b"capgen."]
)
def test_a_damaged_list_of_entry_points_registers_nothing(tmp_path, monkeypatch, text):
    install(tmp_path, "damaged", "")
    (tmp_path / "damaged-1.0.dist-info" / "entry_points.txt").write_bytes(text)
    monkeypatch.syspath_prepend(tmp_path)
    assert set(ENGINES) - {""} == set(ENGINES.own)


def test_a_field_that_cannot_be_checked_is_one_line():
    with pytest.raises(UserError, match="the thing 'odd' cannot be built"):
        Registry("thing", "capgen.things", {"odd": f"{__name__}:Odd"}).build("odd", {}, "here")


@dataclasses.dataclass(frozen=True)
class Odd:
    field: "NoSuchType"  # noqa: F821


def test_an_unknown_name_lists_those_of_other_packages_too(tmp_path, monkeypatch):
    install(tmp_path, "brings", "[capgen.checks]\npolite = p:Polite\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UnknownName, match="did you mean 'polite'"):
        CHECKS.load("polit")
