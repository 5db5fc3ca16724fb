"""A push to a stand-in of the Hub: shown first, sent once, in one commit, and loaded again with datasets over HTTP."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.exporting.push import plan_push
from tests.exporting.hub import TOKEN, Hub, serve
from tests.exporting.releases import image_release
from tests.pipeline.releasing.test_embedded import packed
from tests.tiny_runs import dropped, plan_run, planned_image


@pytest.fixture
def hub():
    state = Hub()
    server = serve(state)
    yield state
    server.shutdown()


@pytest.fixture(scope="module")
def out(tmp_path_factory):
    return image_release(tmp_path_factory.mktemp("push"))


def run(hub: Hub, code: str | list, home: Path, **environment: str) -> subprocess.CompletedProcess:
    """A command (a list), or Python code, in a process that knows this Hub alone."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    known |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": TOKEN}
    known |= {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "HF_HUB_DISABLE_TELEMETRY": "1"} | environment
    arguments = ["-c", code] if isinstance(code, str) else ["-m", "capgen.cli", *map(str, code)]
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=120, check=False, env=known
    )


def test_what_would_be_sent_is_shown_and_nothing_is_sent(hub, out, tmp_path):
    done = run(hub, ["push", out, "me/captions"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert "data/captions/train-00000-of-00001.parquet" in done.stdout
    assert 'pretty_name: "Tiny captions"' in done.stdout
    assert "bytes in 6 files for me/captions" in done.stdout
    assert "nothing was sent" in done.stdout
    assert (hub.repos, hub.uploads) == ({}, [])


LOAD = """
import datasets, json, sys
found = {}
for embed in ("crops", "media"):
    for row in datasets.load_dataset(f"me/{embed}", split="train", streaming=True):
        found.setdefault(embed, []).append([row["key"], row["image"].mode, *row["image"].size])
for config in ("captions", "media"):
    for streaming in (False, True):
        parts = datasets.load_dataset("me/captions", config, streaming=streaming)
        rows = {split: [row.get("key", row["media_id"]) for row in parts[split]] for split in parts}
        found[f"{config} {streaming}"] = rows
print(json.dumps(found))
"""


def test_a_pushed_release_loads_over_http_in_every_config_streamed_too(hub, out, tmp_path):
    done = run(hub, ["push", out, "me/captions", "--yes", "--private"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.repos == {"me/captions": True}
    assert len(hub.commits) == 1
    tree = hub.trees["me/captions", "main"]
    assert sorted(tree) == sorted([".gitattributes", *(file.path for file in plan_push(out).files)])
    assert all(tree[file.path] == file.place.read_bytes() for file in plan_push(out).files)
    assert not {"plan.json", "candidates"} & {name.split("/")[0] for name in tree}
    for embed in ("crops", "media"):
        pictured = packed(tmp_path / embed, image_release, embed)
        files = {file.path: file.place.read_bytes() for file in plan_push(pictured).files}
        hub.repos[f"me/{embed}"], hub.trees[f"me/{embed}", "main"] = False, files
    loaded = run(hub, LOAD, tmp_path)
    assert loaded.returncode == 0, loaded.stderr[-2000:]
    found = json.loads(loaded.stdout)
    crops, frames = found.pop("crops"), found.pop("media")
    assert [row[0] for row in crops] == [row[0] for row in frames]
    assert [row[1:] for row in frames] == [["RGB", 64, 48]] * 4
    assert all(mode == "RGB" and min(size) >= 48 for _, mode, *size in crops)
    captions = {
        "train": [f"tiny/train/{key}" for key in ("1/11", "2/20", "2/21", "4/40")],
        "val": ["tiny/val/5/50", "tiny/val/5/51"],
    }
    media = {"train": ["1", "2", "3", "4"], "val": ["5"]}
    assert found == {
        "captions False": captions,
        "captions True": captions,
        "media False": media,
        "media True": media,
    }


def test_a_push_that_was_stopped_sends_the_rest_alone(hub, out, tmp_path):
    hub.fail_uploads = 2
    done = run(hub, ["push", out, "me/captions", "--yes"], tmp_path)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert hub.commits == []
    hub.fail_uploads = None
    assert run(hub, ["push", out, "me/captions", "--yes"], tmp_path).returncode == 0
    assert len(hub.uploads) == len(set(hub.uploads)) == 4
    assert len(hub.commits) == 1


def test_files_of_an_earlier_release_go_with_the_same_commit(hub, out, tmp_path):
    hub.repos["me/captions"] = False
    old = {"data/captions/old-00000-of-00001.parquet": b"old", "notes.md": b"mine", ".gitattributes": b""}
    hub.trees["me/captions", "main"] = old
    done = run(hub, ["push", out, "me/captions", "--yes", "--revision", "v2"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert hub.trees["me/captions", "main"] == old
    tree = hub.trees["me/captions", "v2"]
    assert "data/captions/old-00000-of-00001.parquet" not in tree
    assert tree["notes.md"] == b"mine"


REFUSED = """
import json, os, sys
from pathlib import Path
from capgen.errors import CapgenError
from capgen.exporting.push import plan_push, push_release
plan, found = plan_push(Path(sys.argv[1])), []
for token, repo, private in json.loads(sys.argv[2]):
    os.environ["HF_TOKEN"] = token
    try:
        found.append([0, push_release(plan, repo, private=private)])
    except CapgenError as error:
        found.append([error.exit_code, str(error)])
print(json.dumps(found))
"""


def refusals(hub: Hub, out: Path, home: Path, *cases: tuple, **environment: str) -> list:
    """The exit code and the line of each push (token, repository, private)."""
    code = f"import sys; sys.argv[1:] = {[str(out), json.dumps(cases)]!r}\n{REFUSED}"
    done = run(hub, code, home, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_what_the_hub_refuses_is_one_line_without_the_token(hub, out, tmp_path):
    hub.repos["me/captions"] = False
    hub.trees["me/captions", "main"] = {}
    cases = {
        ("", "me/captions", False): (2, "there is no token for the Hub; set HF_TOKEN"),
        ("hf_wrong", "me/captions", False): (1, "status 401: Invalid username or password"),
        (TOKEN, "me/captions", True): (2, "me/captions is public already"),
        (TOKEN, "me/cap/tions", False): (2, "is no name of a repository"),
    }
    for (code, line), (wanted, said) in zip(refusals(hub, out, tmp_path, *cases), cases.values(), strict=True):
        assert code == wanted, line
        assert said in line
        assert "\n" not in line
        assert TOKEN not in line
    assert hub.commits == []


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE forbids to reach the Hub"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached for me/captions"),
    ],
)
def test_a_hub_out_of_reach_is_one_line(hub, out, tmp_path, environment, said):
    ((code, line),) = refusals(hub, out, tmp_path, (TOKEN, "me/captions", False), **environment)
    assert code in (1, 2)
    assert said in line


def test_only_what_the_record_says_is_sent(tmp_path):
    out = image_release(tmp_path)
    (out / "data/captions/extra.parquet").write_bytes(b"extra")
    assert "data/captions/extra.parquet" not in {file.path for file in plan_push(out).files}
    (file,) = (out / "data/media").glob("val*")
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(LedgerError, match="is not the file that"):
        plan_push(out)


def test_a_card_that_leads_elsewhere_is_not_sent_and_an_edited_one_is_said(tmp_path):
    out = image_release(tmp_path)
    card = RunLayout(out).card
    assert not plan_push(out).edited
    card.write_text(card.read_text() + "\nMore words.\n")
    assert plan_push(out).edited
    card.write_text(card.read_text().replace("data/captions/train-*", "https://example.org/x"))
    with pytest.raises(UserError, match="has datasets load other files"):
        plan_push(out)
    with pytest.raises(MissingFile):
        plan_push(tmp_path / "nowhere")


def test_a_link_among_the_files_is_not_followed(tmp_path):
    plan_run(tmp_path / "out", [[planned_image("1")]]).commit(change=lambda row: dropped(row, "length")).pack()
    (tmp_path / "secret").write_text("secret")
    card = RunLayout(tmp_path / "out").card
    card.unlink()
    card.symlink_to(tmp_path / "secret")
    with pytest.raises(UserError, match="symbolic link"):
        plan_push(tmp_path / "out")


@pytest.mark.parametrize("config", ["captions", "extra"])
def test_a_file_that_the_record_names_elsewhere_in_out_is_not_sent(tmp_path, config):
    """Folders of other names may be links, since they are a user's own; files of other configs had no hash compared."""
    out = image_release(tmp_path)
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "key").write_text("secret")
    (out / "notes").symlink_to(tmp_path / "home")
    record = json.loads(RunLayout(out).release_json.read_text())
    stranger = {"path": "notes/key", "sha256": "0" * 64, "bytes": 6, "config": config}
    RunLayout(out).release_json.write_text(json.dumps(record | {"files": [*record["files"], stranger]}))
    with pytest.raises(LedgerError, match="names 'notes/key' as data, outside of data/"):
        plan_push(out)
