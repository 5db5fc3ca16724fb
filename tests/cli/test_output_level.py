"""``--quiet`` leaves errors and the result, ``--verbose`` adds every step."""

import logging

import pytest

from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.display import OutputLevel, StepLog, note, printing, progress_terminal
from capgen.errors import UserError
from capgen.pipeline.running.session import Devices

LONG = [
    *("run", "resume", "retry", "verify", "preview", "gallery", "export", "import", "push", "segment", "describe"),
    *("report", "ablate", "judge", "predict", "train", "sample", "plan", "eval tracks", "eval captions"),
    "eval benchmark",
]


def capgen(*words):
    providers = Providers(devices=lambda *_: Devices(ray=False))
    app([str(word) for word in words], standalone_mode=False, obj=providers)


@pytest.mark.parametrize("verb", LONG)
def test_every_verb_that_works_for_long_says_what_its_flags_print(verb, capsys):
    capgen(*verb.split(), "--help")
    said = " ".join(capsys.readouterr().out.split())
    assert "--quiet" in said
    assert "Print errors and" in said
    assert "--verbose" in said


def test_a_quiet_run_prints_its_result_alone_and_a_verbose_one_each_step(lvis_root, tmp_path, capsys, caplog):
    flags = ["--dataset", "lvis", "--root", lvis_root, "--engine", "echo", "--gpus", "0"]
    capgen("run", *flags, "--out", tmp_path / "quiet", "--quiet")
    said = capsys.readouterr()
    assert said.out == f'release: {tmp_path / "quiet"}  (datasets.load_dataset("{tmp_path / "quiet"}"))\n'
    assert said.err == ""
    assert (tmp_path / "quiet" / "report" / "report.html").is_file()
    with caplog.at_level(logging.INFO):
        capgen("run", *flags, "--out", tmp_path / "verbose", "-v")
    assert "15 planned" in capsys.readouterr().out
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("capgen")]
    for start in ("engine 1 is up", "shard 00000: ", "packing: ", "verifying: ", "done in "):
        assert any(line.startswith(start) for line in lines), start


def test_both_flags_together_are_refused(tmp_path):
    with pytest.raises(UserError, match="--quiet and --verbose contradict"):
        capgen("sample", tmp_path / "world", "--quiet", "--verbose")


def test_the_level_ends_with_the_verb(capsys, caplog):
    with printing(OutputLevel.QUIET):
        note("hidden")
        progress_terminal(stderr=False).print("hidden")
    note("shown")
    with caplog.at_level(logging.NOTSET), printing(OutputLevel.VERBOSE):
        steps = StepLog()
        steps("first")
        steps("within the same second")
    StepLog()("not asked for")
    assert capsys.readouterr().out == "shown\n"
    assert [record.getMessage() for record in caplog.records] == ["first"]
