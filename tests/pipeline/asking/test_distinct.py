"""Captions that do not tell objects of one category apart are asked for again, and marked where that does not help."""

import time

import pytest

from capgen.dataset.reader import media_batches, media_of, released_captions
from capgen.errors import UserError
from capgen.pipeline.asking.distinct.captions import Candidate, state_of
from capgen.pipeline.asking.tries import JudgedAnswer, Tries
from capgen.pipeline.releasing.verify import verify
from capgen.pipeline.view import Settled
from capgen.text import word_bag
from tests.pipeline.asking.test_tries import moody, rows_of
from tests.pipeline.engines.moody import RunEnds
from tests.pipeline.runs import echo_settings, manifests, released, session


def judged(text, *codes):
    return JudgedAnswer(Settled(key="k", request="r", text=text), tuple((code, code) for code in codes))


def candidate(key, caption, *further, category="cup"):
    return Candidate(key, category, caption, Tries(judged(caption), [], dict(enumerate(further))))


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("A red cup on a table.", "a red cup, on the table", True),
        ("A red cup on a table.", "On a table is a red cup.", True),
        ("A red cup on a table.", "A red cup under a table.", False),
        ("A red cup left of a jug.", "A red cup right of a jug.", False),
        ("A red cup.", "Two red cups.", False),
    ],
)
def test_captions_are_alike_by_their_words(one, other, alike):
    assert (word_bag(one) == word_bag(other)) is alike


def test_a_caption_that_fits_its_neighbour_too_is_a_reason_to_ask():
    state = state_of([candidate("a", "A red cup."), candidate("b", "A red cup with a chip.")], 1)
    assert state.due == (0, ("a",))


def test_other_categories_and_captions_that_differ_are_left_alone():
    others = [candidate("a", "A red cup."), candidate("b", "A blue cup."), candidate("c", "A red cup.", category="jug")]
    state = state_of(others, 1)
    assert (state.due, state.alike) == (None, {})


def test_an_answer_that_differs_is_taken_and_one_that_does_not_is_not():
    twins = [
        candidate("a", "A red cup.", judged("A red cup with a chip.")),
        candidate("b", "A red cup.", judged("A red cup!")),
    ]
    state = state_of(twins, 1)
    assert state.captions == {"a": "A red cup with a chip.", "b": "A red cup."}
    assert (state.due, state.alike) == (None, {})


def test_an_answer_that_a_check_refuses_is_not_taken_and_the_twins_are_marked():
    twins = [candidate("a", "A red cup.", judged("A cup in the red box.", "marker_leak")), candidate("b", "A red cup.")]
    assert state_of(twins, 1).due == (0, ("b",))
    twins[1].tries.distinct[0] = judged("A red cup.")
    assert state_of(twins, 1).alike == {"a": "b", "b": "a"}


def test_two_answers_that_are_the_same_again_are_not_both_taken():
    new = judged("A red cup with a chip.")
    state = state_of([candidate("a", "A red cup.", new), candidate("b", "A red cup.", new)], 1)
    assert state.captions == {"a": new.caption, "b": "A red cup."}


def test_a_second_step_asks_only_those_that_are_still_alike():
    three = [candidate(key, "A red cup.", judged("A red cup there." if key == "a" else "A red cup.")) for key in "abc"]
    assert state_of(three, 2).due == (1, ("b", "c"))


def test_the_row_of_an_earlier_commit_counts_as_a_neighbour_but_is_not_asked():
    state = state_of([Candidate("a", "cup", "A red cup."), candidate("b", "A red cup.")], 1)
    assert state.due == (0, ("b",))


def test_a_caption_that_is_more_probable_for_a_neighbour_is_scored_asked_and_marked():
    twins = [candidate("a", "A red cup."), candidate("b", "A blue cup."), candidate("c", "A jug.", category="jug")]
    scores = {}
    state = state_of(twins, 1, scores)
    assert (state.unscored, state.due) == ((("a", "A red cup."), ("b", "A blue cup.")), None)
    scores |= {("a", "A red cup."): "b", ("b", "A blue cup."): None}
    assert state_of(twins, 1, scores).due == (0, ("a",))
    twins[0].tries.distinct[0] = judged("A green cup.")
    assert state_of(twins, 1, scores).unscored == (("a", "A green cup."),)
    told = state_of(twins, 1, scores | {("a", "A green cup."): "b"})
    assert (told.captions["a"], told.preferred, told.alike) == ("A red cup.", {"a": "b"}, {})
    told = state_of(twins, 1, scores | {("a", "A green cup."): None})
    assert (told.captions["a"], told.preferred, told.unscored) == ("A green cup.", {}, ())
    assert state_of(twins, 0, scores).preferred == {"a": "b"}
    assert state_of(twins, 1).due is None, "without scores the words alone decide"


def run(root, out, *assignments, **options):
    return session(moody(root, "distinct.enabled=true", *assignments, steps="tries.again=[]", **options), out)[0]


def test_twins_are_asked_with_their_neighbours_captions_and_places(lvis_root, tmp_path):
    out = run(lvis_root, tmp_path / "out", twins="02", differs="2")
    rows = rows_of(out)
    assert {row.status for row in rows.values()} == {"kept"}
    changed = rows["lvis/train/1/102"]
    assert changed.caption == "A cup with the number 102 on it."
    told = changed.answers[1].told
    assert '"A small cup on a table."' in told
    assert "left " in told
    assert told.count("- ") == 1
    assert rows["lvis/train/1/100"].caption == "A small cup on a table."
    assert rows["lvis/train/1/101"].tries == 1


def test_captions_that_stay_the_same_are_in_the_media_but_not_among_the_captions(lvis_root, tmp_path):
    out = run(lvis_root, tmp_path / "out", twins="02")
    ledger = verify(out)
    assert (ledger.ok, ledger.kept, ledger.dropped) == (True, 5, {"not_distinct": 10})
    assert "says the same as the caption of lvis/train/1/102" in rows_of(out)["lvis/train/1/100"].message
    assert not any(key.endswith(("0", "2")) for key, _ in released_captions(out))
    batch = next(iter(media_batches(out, "train", rows=9)))
    first = media_of(batch, 0).objects
    assert [one.caption for one in first] == [
        "A small cup on a table.",
        "A tea pot with the number 101 on it.",
        "A small cup on a table.",
    ]
    assert [one.dropped for one in first] == ["not_distinct", None, "not_distinct"]


def test_captions_that_fit_their_neighbours_better_are_asked_again_and_marked_where_that_does_not_help(
    lvis_root, tmp_path
):
    out = run(lvis_root, tmp_path / "out", "distinct.fit=true", mistakes="0", differs="")
    ledger = verify(out)
    assert (ledger.ok, ledger.dropped) == (True, {"not_distinct": 5})
    row = rows_of(out)["lvis/train/1/100"]
    assert row.message == "is more probable for the pictures of lvis/train/1/102"
    assert row.tries == 2
    (fit,) = row.fits
    assert (fit.caption, fit.contrast, fit.prefers) == (row.caption, pytest.approx(-3.9), "lvis/train/1/102")
    counts = [manifest["extra"] for manifest in manifests(out)]
    assert sum(one["fits"] for one in counts) == 10, "cups alone have neighbours; a new answer says the same"
    assert sum(one["fits_of_neighbours"] for one in counts) == 5
    assert sum(one["fit_prompt_tokens"] for one in counts) == 200
    mended = run(lvis_root, tmp_path / "mended", "distinct.fit=true", mistakes="0", differs="0")
    assert verify(mended).dropped == {}
    row = rows_of(mended)["lvis/train/1/100"]
    assert row.caption == "A cup with the number 100 on it."
    assert [(fit.caption == row.caption, fit.prefers is None) for fit in row.fits] == [(False, False), (True, True)]
    assert rows_of(mended)["lvis/train/1/101"].fits == (), "nothing of its category is beside it"
    words_alone = run(lvis_root, tmp_path / "words", mistakes="0", differs="")
    assert verify(words_alone).dropped == {}


@pytest.mark.parametrize("dies_after", [2, 5, 9])
def test_an_engine_that_dies_while_it_scores_changes_no_byte(lvis_root, tmp_path, dies_after):
    more = ("distinct.fit=true", "run.attempts=60")
    calm = run(lvis_root, tmp_path / "calm", *more, mistakes="0", differs="")
    torn = run(lvis_root, tmp_path / "torn", *more, mistakes="0", differs="", dies_after=dies_after)
    assert released(torn) == released(calm)
    names = ("fits", "fits_unknown", "fits_of_neighbours")
    told = [[[one["extra"][name] for name in names] for one in manifests(out)] for out in (torn, calm)]
    assert told[0] == told[1]


def torn_to_the_end(settings, out, **wanted):
    """Run again and again, each time ended early and with the last line torn, as by a kill; how often."""
    times = 0
    while True:
        try:
            session(settings, out, **wanted)
        except RunEnds:
            times, wanted = times + 1, {}
            for lines in [*out.glob("journal/*/*-*.jsonl")][-1:]:
                lines.write_bytes(lines.read_bytes()[:-9])
        else:
            return times


def test_runs_and_retries_that_were_killed_while_they_scored_end_with_the_same_bytes(lvis_root, tmp_path):
    def settings(differs, **more):
        given = ("distinct.enabled=true", "distinct.fit=true")
        return moody(lvis_root, *given, steps="tries.again=[]", mistakes="0", differs=differs, **more)

    calm, torn, again = tmp_path / "calm", tmp_path / "torn", {"again": ("not_distinct",)}
    session(settings(""), calm)
    assert torn_to_the_end(settings("", stops_after=9), torn) > 1
    assert released(torn) == released(calm)
    before = rows_of(calm)
    session(settings("0"), calm, **again)
    assert torn_to_the_end(settings("0", stops_after=9), torn, **again) > 0
    assert released(torn) == released(calm)
    after = rows_of(calm)
    asked = {key for key, row in before.items() if row.reasons}
    assert (len(asked), {key for key in after if after[key] != before[key]}) == (5, asked)
    assert all((after[key].status, len(after[key].fits), after[key].tries) == ("kept", 2, 2) for key in asked)
    assert sum(len(row.fits) for row in after.values()) == 5 * 2 + 5, "the others keep theirs"


def test_a_score_that_ends_the_engine_fails_alone(lvis_root, tmp_path):
    options = {"mistakes": "0", "differs": "", "poison": "lvis/train/2/200 fit"}
    out = run(lvis_root, tmp_path / "out", "distinct.fit=true", "run.attempts=2", **options)
    assert verify(out).dropped == {"not_distinct": 4}, "one has no score, and so no neighbour that it fits better"
    assert sum(manifest["extra"]["fits_unknown"] for manifest in manifests(out)) == 2


def test_probabilities_are_asked_of_engines_that_have_them(lvis_root, tmp_path):
    settings = echo_settings(lvis_root, "distinct.enabled=true", "distinct.fit=true", "distinct.again=[]")
    with pytest.raises(UserError, match=r"engine echo tells no log-probabilities.*distinct.fit=false"):
        session(settings, tmp_path / "out")


@pytest.mark.parametrize(("keep", "kept", "shown"), [("both", 15, True), ("none", 5, False)])
def test_the_pipeline_file_says_where_such_captions_go(lvis_root, tmp_path, keep, kept, shown):
    out = run(lvis_root, tmp_path / "out", f"distinct.keep='{keep}'", "dedup.enabled=false", twins="02")
    assert verify(out).kept == kept
    first = media_of(next(iter(media_batches(out, "train", rows=9))), 0).objects[0]
    assert (first.caption is not None) is shown
    advice = {row.advice for row in rows_of(out).values() if row.key.endswith("0")}
    assert advice == ({("not_distinct",)} if keep == "both" else {()})


def test_a_crowd_of_thousands_is_compared_at_once():
    crowd = [candidate(f"{number}", f"A red cup with the number {number} on it.") for number in range(3000)]
    begun = time.process_time()
    assert state_of(crowd, 2).due is None
    crowd[7] = candidate("7", "A red cup.")
    assert state_of(crowd, 2).due == (0, ("7",))
    assert time.process_time() - begun < 5
