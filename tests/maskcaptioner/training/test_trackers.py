"""A training's numbers reach TensorBoard and Weights & Biases, by the flags that people know."""

import json
import struct
import sys

import pytest

from capgen.dataset.layout import TRAINING_ENTRIES, refuse_links
from capgen.errors import UnknownName, UserError
from capgen.maskcaptioner.settings import load_train_settings
from capgen.maskcaptioner.training.logs import ScalarLog
from capgen.maskcaptioner.training.trackers import chosen_trackers, open_trackers


def settings(*assignments):
    return load_train_settings("sample", {"run.tensorboard": False}, assignments)


@pytest.mark.parametrize(
    ("report_to", "tensorboard", "wandb", "chosen"),
    [
        (None, None, None, (None, None)),
        (None, False, True, (False, True)),
        (["wandb"], None, None, (False, True)),
        (["tensorboard,wandb"], None, None, (True, True)),
        (["tensorboard", "wandb"], None, False, (True, False)),
        (["all"], None, None, (True, True)),
        (["none"], None, None, (False, False)),
    ],
)
def test_flags_of_other_trainers_choose_the_trackers(report_to, tensorboard, wandb, chosen):
    found = chosen_trackers(report_to, tensorboard=tensorboard, wandb=wandb)
    assert (found["run.tensorboard"], found["run.wandb"]) == chosen


def test_what_report_to_does_not_know_is_refused():
    with pytest.raises(UnknownName, match="did you mean 'wandb'"):
        chosen_trackers(["wandv"], tensorboard=None, wandb=None)
    with pytest.raises(UserError, match="none stands alone"):
        chosen_trackers(["none,wandb"], tensorboard=None, wandb=None)


def tracked(out, assignment, step, steps):
    """Log a loss for each of some steps as a training does."""
    trackers = open_trackers(settings(assignment), out, step)
    journal = ScalarLog(out, "steps", step=step, trackers=trackers)
    for number in steps:
        journal.add({"step": number, "stage": "clips", "loss": 1 / number, "loss/lm": 0.5})
    ScalarLog(out, "validation", step=step, trackers=trackers).add({"step": steps[-1], "CHOTA": 0.25})
    for tracker in trackers:
        tracker.close()


def test_tensorboard_reads_what_was_logged_and_what_came_after_a_checkpoint_once(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tracked(tmp_path, "run.tensorboard=true", 0, [1, 2, 3])
    tracked(tmp_path, "run.tensorboard=true", 2, [3, 4])
    events = EventAccumulator(str(tmp_path / "logs" / "tensorboard" / "steps")).Reload()
    assert sorted(events.Tags()["scalars"]) == ["loss", "loss/lm"]
    assert [(one.step, round(one.value, 6)) for one in events.Scalars("loss")] == [
        (1, 1.0),
        (2, 0.5),
        (3, 0.333333),
        (4, 0.25),
    ]
    scores = EventAccumulator(str(tmp_path / "logs" / "tensorboard" / "validation")).Reload()
    assert {one.value for one in scores.Scalars("CHOTA")} == {0.25}


def test_a_tracker_that_is_not_installed_is_named_with_its_remedy(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"needs the package wandb; pip install 'capgen\[wandb\]'"):
        open_trackers(settings("run.wandb=true"), tmp_path, 0)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UserError, match="needs the package tensorboard"):
        open_trackers(settings("run.tensorboard=true"), tmp_path, 0)


def logged(data):
    """The records of a log in LevelDB's format: blocks of 32 KiB with pieces of records; source: its log_format.md."""
    assert data.startswith(b":W&B")
    place, record = 7, b""
    while place + 7 <= len(data):
        if 2**15 - place % 2**15 < 7:
            place += 2**15 - place % 2**15
            continue
        length, kind = struct.unpack("<HB", data[place + 4 : place + 7])
        record += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole record, or its last piece
            yield record
            record = b""


def test_wandb_keeps_a_run_offline_under_the_id_that_the_training_has(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb")
    from wandb.proto.wandb_internal_pb2 import Record

    monkeypatch.setenv("WANDB_MODE", "offline")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "wandb.json").write_text('{"id": "begun1st"}')
    tracked(tmp_path, "run.wandb=true", 0, [1, 2, 2, 3])
    refuse_links(tmp_path, TRAINING_ENTRIES)  # as the training does that goes on
    wandb.teardown()  # its own process writes the file's end
    (file,) = (tmp_path / "wandb").glob("offline-run-*/run-*.wandb")
    runs, rows = [], []
    for data in logged(file.read_bytes()):
        record = Record.FromString(data)
        if record.WhichOneof("record_type") == "run":
            runs.append((record.run.run_id, record.run.project, record.run.display_name))
        if record.WhichOneof("record_type") == "history":
            items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
            rows.append({key: json.loads(value) for key, value in items.items() if not key.startswith("_")})
    assert runs == [("begun1st", "capgen", settings().name)]
    losses = [(row["step"], round(row["steps/loss"], 6)) for row in rows if "steps/loss" in row]
    assert losses == [(1, 1.0), (2, 0.5), (2, 0.5), (3, 0.333333)]
    assert [row["validation/CHOTA"] for row in rows if "validation/CHOTA" in row] == [0.25]
