"""``capgen run --dry-run`` starts nothing; the shell completes verbs and flags."""

import re

import pytest

from capgen.cli import main as main_module
from capgen.cli.main import app


def test_a_dry_run_plans_prices_and_previews_and_leaves_no_out(lvis_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--root", str(lvis_root), "--split", "train", "--engine", "echo", "--gpus", "8", "--price", "2"]
    app(["run", "--dataset", "lvis", *flags, "--out", "out", "--dry-run"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "requests:  15" in said
    assert "assumed:" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "lvis"] == ["preview.html"]


BASH = {"_CAPGEN_COMPLETE": "complete_bash"}
ZSH = {"_CAPGEN_COMPLETE": "complete_zsh"}
FISH = {"_CAPGEN_COMPLETE": "complete_fish", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}


@pytest.mark.parametrize(
    ("shell", "typed", "offered"),
    [
        (BASH, "capgen res", ["resume"]),
        (ZSH, "capgen preview --see", ["--seed"]),
        (FISH, "capgen run --dataset vip", ["vipseg"]),
    ],
)
def test_shells_complete_verbs_flags_and_names(shell, typed, offered, monkeypatch, capsys):
    words = typed.split()
    told = {"COMP_WORDS": typed, "COMP_CWORD": str(len(words) - 1), "_TYPER_COMPLETE_ARGS": typed}
    for name, value in (shell | told).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        app([], prog_name="capgen", standalone_mode=False)
    said = capsys.readouterr().out
    assert [word for word in re.findall(r"[-\w]+", said) if word.startswith(words[-1])] == offered, said


def test_zsh_completes_at_the_first_tab_of_a_session():
    from typer._completion_shared import get_completion_script

    main_module._complete_on_the_first_tab()
    script = get_completion_script(prog_name="capgen", complete_var="_CAPGEN_COMPLETE", shell="zsh")
    assert script.splitlines()[-1] == '[ -z "${CURRENT:-}" ] || _capgen_completion "$@"'
