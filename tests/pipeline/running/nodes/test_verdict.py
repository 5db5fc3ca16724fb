"""What is wrong with a machine is said with its remedy: by real answers of this machine, changed in one place each."""

import msgspec
import pytest

from capgen.dataset.layout import RunLayout
from capgen.pipeline.running.nodes.facts import facts_of
from capgen.pipeline.running.nodes.needs import GIB, NodeNeeds
from capgen.pipeline.running.nodes.verdict import DriverFacts, clock_trouble, troubles
from tests.pipeline.runs import echo_settings


@pytest.fixture
def needs(tmp_path, lvis_root):
    """Of a run whose OUT has the driver's token, and one picture is looked for."""
    out = tmp_path / "out"
    (out / RunLayout.nodes_part).mkdir(parents=True)
    picture = "train2017/000000000001.jpg"
    files = {picture: (lvis_root / picture).stat().st_size}
    needs = NodeNeeds(echo_settings(lvis_root), out, 0, files)
    (out / needs.token_name).write_text(needs.token)
    return needs


def said(facts, needs, **more):
    return [
        (one.kind, str(one)) for one in troubles(facts, needs, DriverFacts.of(facts_of(needs.question("d"))), **more)
    ]


def test_this_machine_is_fit_and_writes_into_out_what_is_expected_of_it(needs):
    facts = facts_of(needs.question("node-1"))
    assert said(facts, needs) == []
    assert (needs.out / needs.answer_name("node-1")).read_text() == needs.expected("node-1")
    assert msgspec.json.decode(msgspec.json.encode(facts)) == facts, "answers are plain data"


def test_a_machine_without_out_without_pictures_or_with_others_is_told_what_to_mount(needs, tmp_path):
    elsewhere = NodeNeeds(needs.settings, tmp_path / "not mounted", 0, needs.files, needs.token)
    assert "it has no folder" in said(facts_of(elsewhere.question("n")), elsewhere)[0][1]
    (tmp_path / "other").mkdir()
    other = NodeNeeds(needs.settings, tmp_path / "other", 0, needs.files, needs.token)
    assert "is another folder there than on the driver" in said(facts_of(other.question("n")), other)[0][1]
    lacking = NodeNeeds(needs.settings, needs.out, 0, {"train2017/none.jpg": 7}, needs.token)
    ((kind, text),) = said(facts_of(lacking.question("n")), lacking)
    assert kind == "pictures"
    assert "none.jpg is missing there; mount the same file system" in text


@pytest.mark.parametrize(
    ("change", "kind", "text"),
    [
        ({"capgen": {"version": None}}, "capgen", "capgen is not installed there; pip install 'capgen=="),
        ({"capgen": {"version": "0.0.1", "folder": "/x"}}, "capgen", "capgen 0.0.1 in /x, the driver has"),
        ({"python": "3.9.2"}, "python", "Python 3.9.2, the driver has"),
        ({"memory": 2**20}, "memory", "0.0 GiB of memory are free, and an engine takes at least"),
        ({"scratch": {"folder": "/tmp", "free": 0}}, "scratch", "/tmp has 0 MiB left"),
        ({"shm": 0}, "shm", "/dev/shm has 0 MiB left"),
        ({"out": {"error": "OSError: stale"}}, "out", "cannot be used there: OSError: stale"),
        ({"out": {"state": "unwritable", "user": 7, "why": "denied"}}, "out", "by user 7 (denied)"),
    ],
)
def test_each_lack_is_one_statement(needs, change, kind, text):
    ((found, told),) = said(facts_of(needs.question("n")) | change, needs)
    assert (found, text in told) == (kind, True), told
    assert "\n" not in told


def test_other_code_of_the_same_version_and_another_library_are_seen(needs):
    facts = facts_of(needs.question("n"))
    other = facts | {"capgen": facts["capgen"] | {"code": "0" * 64}}
    assert "has other code than the driver's" in said(other, needs)[0][1]
    older = facts | {"versions": facts["versions"] | {"numpy": "1.0"}}
    assert "numpy is 1.0, the driver's" in said(older, needs)[0][1]


def test_gpus_that_something_else_holds_are_named(needs):
    settings = echo_settings(needs.settings.source.root, "engine.name=vllm")
    wanted = NodeNeeds(settings, needs.out, 1, needs.files, needs.token)
    gpus = [{"index": "0", "name": "x", "total": 81920, "free": 1024, "driver": "1"}]
    facts = facts_of(needs.question("n")) | {"gpus": gpus, "memory": 64 * GIB}
    assert "GPU 0 has 1.0 of 80.0 GiB free, and an engine takes 92%" in said(facts, wanted, free_gpus=1)[-1][1]
    facts["gpus"] = [gpus[0] | {"free": 81000}]
    assert [kind for kind, _ in said(facts, wanted, free_gpus=1) if kind == "gpu"] == []


def test_clocks_may_differ_by_minutes():
    assert clock_trouble(20) is None
    assert "behind" in str(clock_trouble(900))
    assert "ahead of" in str(clock_trouble(-900))


def test_this_machine_itself_is_not_asked_about_out_pictures_and_model(needs):
    question = needs.question("here") | dict.fromkeys(("out", "root", "model"))
    assert said(facts_of(question), needs) == []
