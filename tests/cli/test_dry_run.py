"""``capgen run --dry-run`` starts nothing; the shell completes verbs and flags."""

import os
import subprocess
import sys

from capgen.cli.main import app


def test_a_dry_run_plans_prices_and_previews_and_leaves_no_out(lvis_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    flags = ["--root", str(lvis_root), "--split", "train", "--engine", "echo", "--gpus", "8", "--price", "2"]
    app(["run", "--dataset", "lvis", *flags, "--out", "out", "--dry-run"], standalone_mode=False)
    said = capsys.readouterr().out
    assert "requests:  15" in said
    assert "assumed:" in said
    assert [path.name for path in tmp_path.iterdir() if path.name != "lvis"] == ["preview.html"]


def test_bash_completes_verbs():
    env = os.environ | {"_CAPGEN_COMPLETE": "complete_bash", "COMP_WORDS": "capgen res", "COMP_CWORD": "1"}
    code = "import sys; sys.argv = ['capgen']; from capgen.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
    )
    assert done.stdout.split() == ["resume"], done.stderr
