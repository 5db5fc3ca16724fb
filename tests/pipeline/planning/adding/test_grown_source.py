"""A run whose dataset has grown goes on with what is new, and with nothing else."""

import json
import shutil
from functools import partial

import pytest

from capgen.dataset.layout import RunLayout
from capgen.dataset.plan import ModelName
from capgen.dataset.reader import read_media, read_plan, read_rows
from capgen.dataset.shards import candidates_path
from capgen.errors import LedgerError, UserError
from capgen.pipeline.planning.annotation_files import annotation_files
from capgen.pipeline.planning.prepare import prepare
from capgen.pipeline.releasing.verify import verify
from tests.conftest import write_lvis
from tests.pipeline.runs import asked_once, released, session


def dataset(root, *images, change=lambda body: None, **form):
    """Annotations of some of seven images, three objects each but for the last."""
    body = json.loads((root / "whole.json").read_text())
    body["images"] = [one for one in body["images"] if one["id"] in images]
    body["annotations"] = [one for one in body["annotations"] if one["image_id"] in images]
    change(body)
    (root / "lvis_v1_train.json").write_text(json.dumps(body, **form))
    return root


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run over images 1 and 2, made once."""
    folder = tmp_path_factory.mktemp("grown")
    root = write_lvis(folder / "lvis", images=7)
    (root / "lvis_v1_train.json").rename(root / "whole.json")
    session(asked_once(dataset(root, 1, 2)), folder / "out")
    return folder


@pytest.fixture
def grow(made, tmp_path):
    """A copy of its dataset; called with ids, it holds these images alone."""
    shutil.copytree(made / "lvis", tmp_path / "lvis")
    return partial(dataset, tmp_path / "lvis")


@pytest.fixture
def out(made, tmp_path):
    """A copy of the run."""
    return shutil.copytree(made / "out", tmp_path / "out")


def all_rows(out):
    return {row.key: row for entry in read_plan(out).shards for row in read_rows(candidates_path(out, entry.index))}


def planned_names(out):
    return [media.media_id for entry in read_plan(out).shards for media in read_media(out, entry)]


def planned(out, root, *assignments):
    return prepare(asked_once(root, *assignments), out, gpus=0, model=ModelName("none"))


def test_a_finished_run_goes_on_with_new_images_alone(grow, tmp_path):
    out, first = session(asked_once(grow(1, 3, 5)), tmp_path / "out")
    before, files, plan = all_rows(out), released(out), read_plan(out)
    root = grow(1, 2, 3, 4, 5, 7, indent=2)
    _, report = session(asked_once(root), out)
    assert (first.asked, report.asked, report.planned) == (9, 6, 15)
    now = read_plan(out)
    assert (now.fingerprint, now.parts) == (plan.fingerprint, plan.parts)
    assert now.shards[: len(plan.shards)] == plan.shards
    assert planned_names(out) == ["1", "3", "5", "2", "4", "7"]
    candidates = {name: data for name, data in files.items() if name.startswith("candidates")}
    assert candidates == {name: released(out)[name] for name in candidates}
    whole, _ = session(asked_once(root), tmp_path / "whole")
    assert all_rows(out) == all_rows(whole)
    assert {key: all_rows(out)[key] for key in before} == before
    assert verify(out).ok
    planned(out, root)
    assert read_plan(out) == now
    assert annotation_files(out) == {"train": root / "lvis_v1_train.json"}


def test_what_is_new_is_counted_once(grow, out):
    assert "of them 6 objects of 2 media that are new" in planned(out, grow(1, 2, 3, 4))[1].text()
    assert "new" not in planned(out, grow(1, 2, 3, 4))[1].text()


def _another_mask(body):
    body["annotations"][3]["segmentation"][0][0] += 1


def _another_size(body):
    body["images"][1]["width"] = 65


def _another_category(body):
    body["annotations"][3]["category_id"] = 2


def _one_object_less(body):
    del body["annotations"][3]


def _one_object_more(body):
    body["annotations"].append(body["annotations"][3] | {"id": 999})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_another_mask, r"changed: lvis/train/2 \(object 200 has another mask\)"),
        (_another_size, r"changed: lvis/train/2 \(width was 64 and is 65\)"),
        (_another_category, r"changed: lvis/train/2 \(object 200 has another category"),
        (_one_object_less, r"changed: lvis/train/2 \(object 200 is gone\)"),
        (_one_object_more, r"changed: lvis/train/2 \(object 999 is new\)"),
    ],
)
def test_what_has_changed_is_refused_by_name(grow, out, change, said):
    before = {file: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    with pytest.raises(UserError, match=said):
        planned(out, grow(1, 2, 3, change=change))
    assert {file: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_what_is_gone_is_refused_by_name(grow, out):
    with pytest.raises(UserError, match=r"gone from the dataset: lvis/train/2; put back"):
        planned(out, grow(1, 3, 4))
    root = grow(1, 2, 3)
    (root / "train2017" / f"{2:012d}.jpg").unlink()
    with pytest.raises(UserError, match=r"gone from the pictures: train2017/0*2.jpg of lvis/train/2; put back"):
        planned(out, root)


def test_a_picture_with_other_pixels_is_refused_by_name(grow, out):
    root = grow(1, 2)
    first, second = (root / "train2017" / f"{number:012d}.jpg" for number in (1, 2))
    first.write_bytes(first.read_bytes())  # copied anew: as it was
    second.write_bytes((root / "train2017" / f"{3:012d}.jpg").read_bytes())
    with pytest.raises(UserError, match=r"changed: lvis/train/2 \(its picture has other pixels\); put back"):
        planned(out, grow(1, 2, 3))


def test_a_picture_that_never_was_there_does_not_forbid_to_go_on(grow, tmp_path):
    root = grow(1, 2)
    (root / "train2017" / f"{2:012d}.jpg").unlink()
    out, _ = session(asked_once(root, "run.max_failed=1"), tmp_path / "out")
    assert session(asked_once(grow(1, 2, 3), "run.max_failed=1"), out)[1].asked == 3


def test_a_kill_while_media_are_added_leaves_a_run_that_goes_on(grow, out):
    layout, root = RunLayout(out), grow(1, 2, 3, 4)
    layout.plan_file("00001.jsonl").write_text("{}\n")  # written before the record, which the kill came before
    planned(out, root)  # the kill came before anything was asked
    assert {file.name for file in layout.plan_dir.iterdir()} == {entry.file for entry in read_plan(out).shards}
    assert not verify(out).ok
    assert session(asked_once(root), out)[1].asked == 6
    assert verify(out).ok


def test_a_limit_grows_with_the_dataset(grow, tmp_path):
    out, _ = session(asked_once(grow(2, 4), "source.limit=4"), tmp_path / "out")
    before = all_rows(out)
    _, second = session(asked_once(grow(1, 2, 4), "source.limit=6"), out)
    assert (second.asked, planned_names(out)) == (2, ["2", "4", "1"])
    _, third = session(asked_once(grow(1, 2, 3, 4), "source.limit=7"), out)
    _, last = session(asked_once(grow(1, 2, 3, 4)), out)
    assert (third.asked, last.asked, last.planned) == (1, 5, 12)
    assert {key: all_rows(out)[key] for key in before} == before
    assert verify(out).ok


def test_a_split_that_has_come_is_added(grow, out):
    root = grow(1, 2, 3)
    shutil.copy(root / "lvis_v1_train.json", root / "lvis_v1_val.json")
    _, report = session(asked_once(root), out)
    assert (report.asked, [entry.split for entry in read_plan(out).shards]) == (12, ["train", "train", "val", "val"])
    assert verify(out).ok
    assert annotation_files(out).keys() == {"train", "val"}


def test_retry_asks_for_nothing_new_and_fork_begins_beside(grow, out):
    root = grow(1, 2, 3)
    with pytest.raises(UserError, match=r"lvis_v1_train.json has changed; `capgen resume .*` first, then retry"):
        session(asked_once(root), out, again=())
    beside, report = session(asked_once(root), out, fork=True)
    assert beside != out
    assert report.asked == 9


def test_a_damaged_plan_is_not_added_to(grow, out):
    file = RunLayout(out).plan_file("00000.jsonl")
    file.write_bytes(file.read_bytes().replace(b'"width":64', b'"width":65'))
    with pytest.raises(LedgerError, match=r"00000.jsonl differs from its record"):
        planned(out, grow(1, 2, 3))
