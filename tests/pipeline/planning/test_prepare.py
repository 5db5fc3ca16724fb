"""What a plan remembers, what may change before anything is asked, and how a limit grows."""

import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_plan, read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import UserError
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.open_source import file_hashes
from capgen.pipeline.planning.prepare import card_info, prepare
from capgen.pipeline.releasing.verify import verify
from tests.pipeline.runs import echo_settings, released, session


def planned(out, root, *assignments):
    return prepare(echo_settings(root, *assignments), out, gpus=0, model=ModelName("none"))


def all_rows(out):
    return {row.key: row for entry in read_plan(out).shards for row in read_rows(candidates_path(out, entry.index))}


def limited(root, limit, *assignments):
    return echo_settings(root, *assignments, f"source.limit={limit}")


def test_settings_under_which_nothing_was_asked_are_forgotten(lvis_root, tmp_path):
    """A model that the server does not know must not be remembered."""
    first, _ = planned(tmp_path / "out", lvis_root, "model.id=qwenn")
    second, _ = planned(tmp_path / "out", lvis_root, "model.id=qwen")
    assert first.fingerprint != second.fingerprint
    assert read_plan(tmp_path / "out").fingerprint == second.fingerprint
    assert read_plan(tmp_path / "out").settings["model"]["id"] == "qwen"


def test_once_something_was_asked_other_settings_are_refused_in_one_short_line(lvis_root, tmp_path):
    planned(tmp_path / "out", lvis_root)
    journal = RunLayout(tmp_path / "out").journal_dir(0)
    journal.mkdir(parents=True)
    (journal / "0001-0123abcd.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"sampling\.max_tokens is 96 there and 7 here; .*--out") as error:
        planned(tmp_path / "out", lvis_root, "sampling.max_tokens=7")
    assert len(str(error.value)) < 300 + len(str(tmp_path))


@pytest.mark.parametrize(("small", "large"), [(4, 11), (5, 15), (6, None), (3, 4), (12, 400)])
def test_a_raised_limit_adds_objects_and_asks_for_nothing_twice(lvis_root, tmp_path, small, large):
    whole = released(session(echo_settings(lvis_root), tmp_path / "whole")[0])
    out, first = session(limited(lvis_root, small), tmp_path / "out")
    before = all_rows(out)
    settings = limited(lvis_root, large) if large else echo_settings(lvis_root)
    _, report = session(settings, out)
    assert (first.asked, report.asked) == (small, min(large or 15, 15) - small)
    assert verify(out).ok
    after = all_rows(out)
    assert {key: after[key] for key in before} == before
    if large is None or large > 15:  # 15 leaves out the last image, which has no objects
        rows = {name: data for name, data in released(out).items() if name.endswith(".parquet")}
        assert rows == {name: whole[name] for name in rows}, "as if there had never been a limit"


def test_a_limit_is_raised_in_the_middle_of_a_run(lvis_root, tmp_path):
    out, _ = session(limited(lvis_root, 8), tmp_path / "out")
    RunLayout(out).manifest(0).unlink()
    _, report = session(limited(lvis_root, 12), out)
    assert (report.planned, report.kept) == (12, 12)
    assert verify(out).ok


def test_a_larger_limit_that_adds_nothing_leaves_a_release_whose_ledger_closes(lvis_root, tmp_path):
    session(limited(lvis_root, 20), tmp_path / "out")
    out, report = session(limited(lvis_root, 40), tmp_path / "out")  # plan.json has another content of the same size
    assert (report.asked, verify(out).ok) == (0, True)


def test_a_raised_limit_is_remembered(lvis_root, tmp_path):
    planned(tmp_path / "out", lvis_root, "source.limit=4")
    planned(tmp_path / "out", lvis_root, "source.limit=9")
    record = read_plan(tmp_path / "out")
    assert (record.limit, record.settings["source"]["limit"], record.table.objects) == (9, 9, 9)
    layout = RunLayout(tmp_path / "out")
    assert {file.name for file in layout.plan_dir.iterdir()} == {entry.file for entry in record.shards}
    assert not layout.plan_part.exists()


def test_a_limit_below_the_planned_one_is_refused(lvis_root, tmp_path):
    planned(tmp_path / "out", lvis_root, "source.limit=9")
    with pytest.raises(UserError, match=r"--limit 4: .*a limit of 9.*leave --limit out"):
        planned(tmp_path / "out", lvis_root, "source.limit=4")
    planned(tmp_path / "all", lvis_root)
    with pytest.raises(UserError, match=r"--limit 4: .*no limit"):
        planned(tmp_path / "all", lvis_root, "source.limit=4")


def test_annotation_files_of_one_name_are_told_apart_by_their_folders(tmp_path):
    files = [tmp_path / split / "instances.json" for split in ("train", "valid")]
    for file in files:
        file.parent.mkdir()
        file.write_text(file.parent.name)
    alone = tmp_path / "other.json"
    alone.write_text("{}")
    hashes = file_hashes([*files, alone], tmp_path)
    assert list(hashes) == ["train/instances.json", "valid/instances.json", "other.json"]
    assert len(set(hashes.values())) == 3


@pytest.mark.parametrize(
    ("engine", "model", "licence"),
    [
        ("vllm", "Qwen/Qwen3-VL-8B-Instruct", "Apache-2.0"),
        ("openai", "google/gemma-3-27b-it", "Gemma Terms of Use"),
        ("vllm", "somebody/unheard-of", "not known here"),
        ("echo", "Qwen/Qwen3-VL-8B-Instruct", None),
    ],
)
def test_a_card_has_the_terms_of_the_model_that_writes_the_captions(engine, model, licence):
    terms = card_info(load_settings("lvis", {"engine.name": engine, "model.id": model})).model_terms
    assert (terms and terms[0]) == licence
