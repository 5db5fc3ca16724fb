"""A run taken up again from an OUT that somebody else made: what it may decide, and which files it may read."""

import json
import os
import shutil

import pyarrow.parquet as pq
import pytest

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError, UserError
from capgen.images import PictureFault, path_under, picture_bytes
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.fingerprint import digest
from capgen.pipeline.planning.model_profiles import model_profiles
from capgen.pipeline.planning.preflight import check_model
from capgen.pipeline.running.own_runs import DeviceFlags, note_run
from capgen.pipeline.running.retry import recorded
from capgen.resources import resource
from tests.pipeline.runs import echo_settings, session


@pytest.fixture
def out(lvis_root, tmp_path):
    made, _ = session(echo_settings(lvis_root), tmp_path / "out")
    return made


def planted(out, change, *, fingerprint=False):
    """The plan with other settings; also with another fingerprint of its own."""
    plan = json.loads((out / "plan.json").read_text())
    change(plan)
    if fingerprint:
        plan["fingerprint"] = digest(plan["parts"])
    (out / "plan.json").write_text(json.dumps(plan))


def put(table, key, value):
    return lambda plan: plan["settings"][table].update({key: value})


PLANTED = {
    "engine.options.base_urls": put("engine", "options", {"base_urls": ["http://evil.example/v1"]}),
    "engine.options.api_key_env": put("engine", "options", {"api_key_env": "AWS_SECRET_ACCESS_KEY"}),
    "engine.options.folder": put("engine", "options", {"folder": "/home/victim"}),
    "engine.options.args": put("engine", "options", {"args": {"worker_cls": "evil.Worker"}}),
    "engine.name": put("engine", "name", "evil:Engine"),
    "source.type": put("source", "type", "evil:Source"),
    "checks.names": put("checks", "names", ["evil:Check"]),
    "checks.advisory": put("checks", "advisory", ["evil:Check"]),
    "model.trust_remote_code": put("model", "trust_remote_code", True),
    "card.template": put("card", "template", "/home/victim/.netrc"),
    "prompt.name": put("prompt", "name", "/home/victim/prompt.toml"),
    "prompt.marks": put("prompt", "marks", "box+evil:Mark"),
    "tries.remarks": put("tries", "remarks", "../../home/victim/remarks"),
    "tries.again": put("tries", "again", [{"prompt": "/home/victim/prompt.toml"}]),
    "distinct.again": put("distinct", "again", [{"highlight": "crop+evil:Mark"}]),
}


@pytest.mark.parametrize("key", PLANTED)
def test_what_reaches_beyond_out_must_be_given_again(out, key):
    planted(out, PLANTED[key])
    with pytest.raises(UserError, match="asks for") as refused:
        recorded(out, {})
    text = str(refused.value)
    assert f"{key}=" in text
    assert "--trust-out" in text
    assert ("--engine NAME" if key == "engine.name" else f"--set {key}=") in text
    assert len(text.splitlines()) == 1


def test_a_value_of_the_command_line_takes_the_place_of_the_planted_one(out):
    planted(out, PLANTED["engine.options.base_urls"])
    was = recorded(out, {}, ["engine.options.base_urls=http://127.0.0.1:1/v1"])
    assert was.settings.engine.options["base_urls"] == "http://127.0.0.1:1/v1"


def test_what_out_asks_for_is_taken_where_the_user_trusts_it(out):
    planted(out, PLANTED["engine.options.base_urls"])
    assert recorded(out, {}, trusted=True).settings.engine.options["base_urls"] == ["http://evil.example/v1"]


def test_an_option_of_an_engine_that_is_not_capgens_own_must_be_given_again(out):
    planted(out, lambda plan: plan["settings"]["engine"].update(name="other", options={"target": "evil.example"}))
    with pytest.raises(UserError, match=r"engine\.options\.target"):
        recorded(out, {"engine.name": "echo"})


def test_what_ones_own_record_says_too_is_no_question(lvis_root, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    prompt = tmp_path / "mine.toml"
    shutil.copy(resource("prompts", "shared-crop_v1", ".toml"), prompt)
    settings = echo_settings(lvis_root, f"prompt.name={prompt}")
    made, _ = session(settings, tmp_path / "out", planned=lambda job: note_run(job, DeviceFlags(), None))
    assert recorded(made, {}).settings.prompt.name == str(prompt)
    planted(made, put("prompt", "name", "/home/victim/prompt.toml"))
    with pytest.raises(UserError, match=r"prompt\.name"):
        recorded(made, {})


def test_a_key_given_in_the_place_of_its_variable_is_not_repeated(out):
    planted(out, put("engine", "options", {"base_urls": ["https://user:hunter2hunter2@evil.example/v1"]}))
    with pytest.raises(UserError) as refused:
        recorded(out, {})
    assert "hunter2" not in str(refused.value)


def test_a_run_of_ones_own_is_taken_up_without_a_question(out):
    assert recorded(out, {}).settings.engine.name == "echo"


def test_a_plan_gives_no_leave_to_follow_links(out):
    planted(out, put("source", "follow_links", True))
    assert recorded(out, {}).settings.source.follow_links is None
    assert recorded(out, {"source.follow_links": True}).settings.source.follow_links is True


def test_a_plan_whose_parts_were_changed_is_refused(out):
    planted(out, lambda plan: plan["parts"].update(engine="openai"))
    with pytest.raises(LedgerError, match="do not give its fingerprint"):
        recorded(out, {})


def test_a_plan_whose_settings_are_not_those_of_its_parts_is_refused(out):
    planted(out, put("sampling", "max_tokens", 7), fingerprint=True)
    with pytest.raises(UserError, match="max_tokens"):
        session(recorded(out, {}).settings, out, again=())


def image(root, number):
    return root / "train2017" / f"{number:012d}.jpg"


def test_links_pipes_and_devices_are_failed_objects_and_are_not_packed(lvis_root, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("a private key")
    elsewhere = tmp_path / "elsewhere.jpg"
    shutil.copy(image(lvis_root, 1), elsewhere)
    for number, lay in ((1, secret), (2, None), (3, "/dev/zero"), (4, elsewhere)):
        image(lvis_root, number).unlink(missing_ok=True)
        os.mkfifo(image(lvis_root, number)) if lay is None else image(lvis_root, number).symlink_to(lay)
    settings = echo_settings(lvis_root, "source.follow_links=false", "run.max_failed=1")
    out, _ = session(settings, tmp_path / "out", embed="media")
    rows = [row for file in RunLayout(out).all_candidates() for row in pq.read_table(file).to_pylist()]
    failed = {row["file_names"][0][-5:-4]: row["reasons"][0] for row in rows if row["status"] == "failed"}
    laid = {"1": "bad_path", "2": "picture_unreadable", "3": "bad_path", "4": "bad_path"}
    assert failed == {number: reason for number, reason in laid.items() if number in failed}
    assert len(failed) > 1
    packed = [picture for row in pq.read_table(out / "data" / "media").to_pylist() for picture in row["images"]]
    assert None in packed
    assert b"private" not in b"".join(picture["bytes"] for picture in packed if picture)


def test_nothing_but_a_picture_is_packed(tmp_path):
    (tmp_path / "a.jpg").write_text("a private key")
    with pytest.raises(PictureFault, match="picture_unreadable"):
        picture_bytes(tmp_path / "a.jpg")


def test_a_link_within_the_root_is_followed_one_out_of_it_is_not(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "a.jpg").write_bytes(b"")
    (root / "b.jpg").symlink_to("a.jpg")
    (root / "c.jpg").symlink_to("../c.jpg")
    (root / "folder").symlink_to(tmp_path)
    (root / "round").symlink_to("round")
    assert path_under(root, "b.jpg", root) == root / "b.jpg"
    for name in ("c.jpg", "folder/c.jpg"):
        assert path_under(root, name) == root / name
        with pytest.raises(PictureFault, match="--follow-links"):
            path_under(root, name, root)
    with pytest.raises(PictureFault):
        picture_bytes(path_under(root, "round", root))


def test_engine_arguments_of_a_shipped_profile_are_no_question(out):
    shipped = model_profiles()["smolvlm"].engines["vllm"]
    own = {"name": "vllm", "options": {"args": shipped["args"]}}
    planted(out, lambda plan: (plan["settings"].update(engine=own), put("model", "profile", "smolvlm")(plan)))
    assert recorded(out, {}).settings.engine.options["args"] == shipped["args"]


def test_a_model_folder_whose_weights_are_pickles_is_refused(lvis_root, tmp_path):
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text('{"model_type": "llava"}')
    (model / "pytorch_model.bin").write_bytes(b"")
    settings = load_settings("lvis", {"engine.name": "transformers", "model.id": str(model)})
    with pytest.raises(UserError, match=r"pickles \(pytorch_model\.bin\)"):
        check_model(settings)
    (model / "model.safetensors").write_bytes(b"")
    check_model(settings)
