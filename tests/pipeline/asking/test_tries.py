"""Second tries: what is asked again, what is released, and that kills change no byte."""

import itertools
import time

import pytest

from capgen.dataset.reader import read_rows
from capgen.dataset.shards import candidates_path
from capgen.pipeline.asking.tries import JudgedAnswer, Tries, best, next_try
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.settings import TryAgain
from capgen.pipeline.view import Settled
from tests.pipeline.drivers import kill_all, start, wait_until_settled
from tests.pipeline.runs import echo_settings, manifests, released, session

MOODY = "engine.name=tests.pipeline.engines.moody:Moody"
STEPS = 'tries.again=[{temperature=0.3}, {temperature=0.7, seed=9, tell=false, highlight="crop+contour"}]'
ORDER = ("passes", "no_advice", "logprob_min")


def moody(root, *assignments, steps=STEPS, **options):
    given = [f"engine.options.{name}={value!r}" for name, value in options.items()]
    return echo_settings(root, MOODY, steps, "checks.advisory=[]", *given, *assignments)


def rows_of(out):
    return {row.key: row for index in range(len(manifests(out))) for row in read_rows(candidates_path(out, index))}


def answer(text, *codes, advice=(), sure=None, fault=None):
    settled = Settled(key="k", request="r", text=text, fault=fault, logprob_min=sure)
    return JudgedAnswer(settled, tuple((code, code) for code in codes), tuple((code, code) for code in advice))


def test_a_refused_caption_is_asked_again_and_the_better_answer_is_released(lvis_root, tmp_path):
    out, _ = session(moody(lvis_root, refuses="1"), tmp_path / "out")
    assert verify(out).ok
    rows = rows_of(out)
    assert {row.status for row in rows.values()} == {"kept"}
    again = rows["lvis/train/1/101"]
    assert (again.tries, again.seed, again.attempts) == (2, 1, 2)
    refused, taken = again.answers
    assert (refused.reasons, refused.released, refused.told) == (("refusal",), False, None)
    assert (taken.caption, taken.released, taken.temperature) == (again.caption, True, 0.3)
    assert "can't help" in taken.told
    assert "describe what can be seen" in taken.told
    first = rows["lvis/train/1/100"]
    assert (first.tries, first.answers) == (1, ())


def test_an_object_that_is_always_refused_has_all_its_answers_and_stays_dropped(lvis_root, tmp_path):
    out, _ = session(moody(lvis_root, stubborn="2"), tmp_path / "out")
    row = rows_of(out)["lvis/train/2/202"]
    assert (row.status, row.reasons, row.tries) == ("dropped", ("refusal",), 3)
    assert [one.highlight for one in row.answers] == ["crop+box", "crop+box", "crop+contour"]
    assert [one.seed for one in row.answers] == [0, 1, 9]
    assert [one.released for one in row.answers] == [False, True, False], "the surer of answers that are refused alike"
    assert row.answers[2].told is None
    assert len({one.request_sha256 for one in row.answers}) == 3
    assert sum(manifest["extra"]["further_answers"] for manifest in manifests(out)) == 10


def test_only_the_named_reasons_are_asked_again(lvis_root, tmp_path):
    out, _ = session(moody(lvis_root, "tries.reasons=['length']", refuses="1"), tmp_path / "out")
    assert {row.tries for row in rows_of(out).values()} == {1}


@pytest.mark.parametrize("dies_after", [2, 3, 5, 8])
def test_an_engine_that_dies_again_and_again_changes_no_byte(lvis_root, tmp_path, dies_after):
    options = {"refuses": "1", "stubborn": "2", "twins": "02", "differs": "2"}
    more = ("run.attempts=60", "distinct.enabled=true")
    calm, _ = session(moody(lvis_root, *more, **options), tmp_path / "calm")
    torn, _ = session(moody(lvis_root, *more, dies_after=dies_after, **options), tmp_path / "torn")
    assert released(torn) == released(calm)


def test_a_run_that_is_killed_between_the_tries_goes_on_and_changes_no_byte(lvis_root, tmp_path):
    options = {"refuses": "01", "stubborn": "2", "latency_s": 0.05}
    extra = [part for name, value in options.items() for part in ("--set", f"engine.options.{name}={value!r}")]
    extra += ["--set", STEPS, "--set", "checks.advisory=[]", "--gpus", "0", "--set", "run.shard_objects=15"]
    out = tmp_path / "killed"
    for settled in (2, 9):
        process = start(lvis_root, out, *extra, engine=MOODY.partition("=")[2], program="tests.pipeline.inprocess")
        try:
            wait_until_settled(out, settled, process)
            time.sleep(0.04)
        finally:
            kill_all(process)
    assert not (out / "release.json").exists()
    whole = moody(lvis_root, "run.shard_objects=15", **options)
    calm, _ = session(whole, tmp_path / "calm15")
    ended, _ = session(whole, out)
    assert released(ended) == released(calm)


def test_a_further_request_that_ends_engines_costs_its_own_try_alone(lvis_root, tmp_path):
    poison = "lvis/train/1/101 again-0"
    out, _ = session(moody(lvis_root, "run.attempts=2", refuses="1", poison=poison), tmp_path / "out")
    rows = rows_of(out)
    assert {row.status for row in rows.values()} == {"kept"}
    hurt = rows["lvis/train/1/101"]
    assert [one.reasons for one in hurt.answers] == [("refusal",), ("engine_killed",), ()]


def test_retry_leaves_rows_that_were_asked_again_as_they_are(lvis_root, tmp_path):
    settings = moody(lvis_root, refuses="1", stubborn="2")
    out, _ = session(settings, tmp_path / "out")
    before = rows_of(out)
    session(settings, out, again=("refusal",))
    assert rows_of(out) == before


def test_captions_that_somebody_finds_wrong_are_asked_again_and_replaced_where_another_is_given(lvis_root, tmp_path):
    settings = moody(lvis_root, revises="0")
    out, _ = session(settings, tmp_path / "out")
    before = rows_of(out)
    wrong = frozenset({"lvis/train/1/100", "lvis/train/1/101", "lvis/train/9/900"})
    _, report = session(settings, out, again=(), refused=wrong)
    assert report.retried["judged_wrong"] == {"rounds": 1, "asked": 2, "changed": 1, "kept": 2}
    after = rows_of(out)
    changed = after["lvis/train/1/100"]
    assert (changed.caption, changed.tries) == ("A shiny cup that somebody has polished.", 2)
    assert changed.answers[0].advice == ("judged_wrong",)
    assert "cannot be used" in changed.answers[1].told
    again = after["lvis/train/1/101"]
    assert (again.caption, again.tries) == (before["lvis/train/1/101"].caption, 3), "every step said the same"
    assert {key: row for key, row in after.items() if key not in wrong} == {
        key: row for key, row in before.items() if key not in wrong
    }
    assert verify(out).ok


def test_the_best_answer_passes_then_has_no_advice_then_is_surest_then_is_the_earliest():
    refused, advised = answer("a", "empty", sure=-0.1), answer("b", advice=["wrong_category"], sure=-0.1)
    unsure, sure, later = answer("c", sure=-2.0), answer("d", sure=-0.5), answer("e", sure=-0.5)
    for order in itertools.permutations([refused, advised, unsure, sure]):
        assert best(order, ORDER) is sure
    assert best([sure, later], ORDER) is sure
    assert best([later, sure], ORDER) is later
    assert best([refused, advised], ORDER) is advised
    assert best([unsure, answer("f")], ORDER) is unsure
    assert best([answer("", fault="engine_failed"), refused], ORDER) is refused
    assert best([unsure, sure, later], ("last",)) is later


def test_a_step_is_due_until_an_answer_is_good_enough_or_no_step_is_left():
    steps = (TryAgain(), TryAgain())
    assert next_try(Tries(answer("a")), steps, ()) is None
    assert next_try(Tries(answer("a", "empty")), steps, ()) == 0
    assert next_try(Tries(answer("a", advice=["wrong_category"])), steps, ()) == 0
    assert next_try(Tries(answer("a", advice=["wrong_category"])), steps, ("empty",)) is None
    assert next_try(Tries(answer("a", "empty"), [answer("b", "empty")]), steps, ()) == 1
    assert next_try(Tries(answer("a", "empty"), [answer("b")]), steps, ()) is None
    assert next_try(Tries(answer("a", "empty"), [answer("b", "empty")] * 2), steps, ()) is None
    assert next_try(Tries(answer("", fault="engine_failed")), steps, ()) is None
