"""A report says what is in the run's files, the same as the data card, and nothing from data becomes markup."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.card import table
from capgen.dataset.layout import RunLayout
from capgen.dataset.lock import exclusive
from capgen.dataset.reader import read_plan
from capgen.dataset.shards import write_candidates
from capgen.errors import LedgerError, MissingFile, UserError
from capgen.pipeline.releasing.pack import pack
from capgen.pipeline.releasing.reviews import Review, append_reviews
from capgen.report.collect import ReportRequest, run_figures
from capgen.report.write import write_report
from tests.pipeline.runs import echo_settings, session
from tests.tiny_runs import CARD, FINGERPRINT, dropped, failed, plan_run, planned_image, rows_of, said, three_shards

HOSTILE = "<script>alert(1)</script> | `x` [a](javascript:alert(1)) \x1b[31m ![](http://evil/p.png)"


def spoil(row):
    """One object dropped, one failed, two that say the same in one picture; one with a neighbour's sentence."""
    if row.object_id == "10":
        return dropped(row, "length", "refusal")
    if row.object_id == "41":
        return failed(row, "engine_failed")
    return msgspec.structs.replace(row, logprob_min=-0.1 if row.object_id == "11" else -1.0)


@pytest.fixture
def out(tmp_path):
    three_shards(tmp_path / "out").commit(change=spoil).pack()
    return tmp_path / "out"


def test_report_and_card_cannot_disagree(out):
    figures, card = run_figures(out), (out / "README.md").read_text()
    assert (
        f"Of {figures.planned} objects in {sum(one.media for one in figures.splits)} images, {figures.kept} have"
        in card
    )
    for one in figures.splits:
        numbers = (one.media, one.without_objects, one.objects, one.kept, one.dropped, one.failed)
        assert table((), [(one.split, *map(str, numbers))]).splitlines()[-1] in card
    for one in figures.reasons:
        assert f"| {one.status} | {one.code} | {one.objects} | {one.share:.2%} |" in card or not one.objects
    assert f"have {figures.captions.mean_words:.1f} words on average, {figures.captions.median_words:g} in the" in card
    assert f"{figures.captions.vocabulary} different words" in card
    assert f"Of {figures.tokens.prompt} prompt tokens, {figures.tokens.cached} were taken" in card
    assert f"{figures.repetition.neighbours} objects have another one" in card or not figures.repetition.neighbours
    bins = [line.split() for line in card.splitlines() if re.match(r"0\.\d to ", line)]
    assert [int(line[3]) for line in bins] == list(figures.confidence.tenths)


def test_reasons_name_their_categories_and_examples(out):
    found = {one.code: one for one in run_figures(out).reasons}
    assert [(one.category, one.objects, one.of) for one in found["length"].categories] == [("cup", 1, 4)]
    assert (found["length"].objects, found["refusal"].objects, found["refusal"].named) == (1, 0, 1)
    assert found["length"].examples[0].key == "tiny/train/1/10"
    assert found["engine_failed"].status == "failed"


def test_repetitions_are_those_that_the_release_recorded(tmp_path):
    many = plan_run(tmp_path, [[planned_image("1", 4), planned_image("2", 4)], [planned_image("3", 4, split="val")]])
    release = many.commit(change=lambda row: said(row, "A red cup on a table.")).pack()
    found = run_figures(tmp_path).repetition
    assert found.left_out == {"duplicate": release.counts.dropped["duplicate"]} == {"duplicate": 6}
    assert (found.captions, found.distinct) == (release.counts.kept, 1)
    assert found.repeated == 4, "all but the first of each category"
    assert found.most_repeated == (("A red cup on a table.", 6),)


def test_a_run_that_goes_on_is_counted_as_far_as_it_is(tmp_path):
    run = three_shards(tmp_path).commit(0, change=spoil)
    figures = run_figures(tmp_path)
    assert (figures.state, figures.shards_done, figures.shards) == ("unfinished", 1, len(run.shards))
    assert figures.kept + figures.dropped + figures.failed + figures.left == figures.planned == 8
    assert not figures.repetition.known
    with exclusive(tmp_path):
        page, figures = write_report(tmp_path)
    assert figures.state == "running"
    assert "The run is going on (process" in page.read_text()


def test_a_run_of_which_nothing_is_answered_has_a_report(tmp_path):
    three_shards(tmp_path)
    page, figures = write_report(tmp_path)
    assert (figures.kept, figures.left) == (0, 8)
    assert "8 are left" in page.with_name("report.md").read_text()


class Tags(HTMLParser):
    """The elements of a page, and the text between them."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.links = set(), set()
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.links |= {value for name, value in attrs if name in ("href", "src", "xlink:href", "action")}
        assert not [name for name, _ in attrs if name.startswith("on")]


def test_nothing_from_data_is_markup(tmp_path):
    def hostile(row):
        row = msgspec.structs.replace(row, category=HOSTILE, model=HOSTILE, caption=HOSTILE)
        return dropped(row, "length") if row.object_id == "10" else row

    three_shards(tmp_path).commit(change=hostile).pack()
    scores = {
        "key": ["tiny/train/1/11"],
        "caption": [HOSTILE],
        "method": [HOSTILE],
        "score": [0.5],
        "verdict": [HOSTILE],
    }
    pq.write_table(pa.table(scores), RunLayout(tmp_path).judge)
    page, _ = write_report(tmp_path)
    text = page.read_text()
    found = Tags(text)
    known = "html head meta title style body header h1 h2 p span b nav a main section figure figcaption svg rect line"
    known += " polyline polygon text div table thead tbody tr th td code footer i"
    assert found.tags <= set(known.split())
    assert all(link.startswith("#") for link in found.links)
    assert "default-src 'none'" in text
    assert "script-src" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "\x1b" not in text
    markdown = page.with_name("report.md").read_text()
    assert "<script>" not in markdown
    assert not re.search(r"(?<!\\)!\[", markdown)
    assert not re.search(r"(?<!\\)\]\(", markdown)
    json.loads(page.with_name("figures.json").read_bytes())


def test_cost_and_idle_share_come_from_the_records_of_all_sessions(out):
    folder = RunLayout(out).sessions_dir
    folder.mkdir()
    one = {"version": 1, "started": "2026-11-25T10:00:00+00:00", "seconds": 1800, "engines": 4, "gpus": 2}
    one |= {"planned": 8, "before": 0, "settled": 4, "engine_s": 6000, "idle_s": 1800, "lost": 3}
    killed = one | {"ended": None, "samples": [[0, 0, 4, 8], [900, 4, 4, 8]]}
    (folder / "0001.json").write_text(json.dumps(killed))
    (folder / "0002.json").write_text(json.dumps(one | {"ended": "finished", "before": 4, "settled": 8}))
    speed = run_figures(out, ReportRequest(price=3.0)).speed
    assert (speed.gpu_hours, speed.cost, speed.lost) == (8.0, 24.0, 6)
    assert speed.cost_per_1000 == 24000 / 6
    assert (speed.idle_share, speed.down_share) == (0.25, pytest.approx(1 / 6))
    assert speed.starts == (0.5,)
    step = speed.rates[1][0] - speed.rates[0][0]
    assert sum(rate for _, rate in speed.rates) * step * 3600 == pytest.approx(8)


def test_a_session_leaves_a_record_of_its_speed_and_its_engines(lvis_root, tmp_path):
    made, _ = session(echo_settings(lvis_root, "engine.options.latency_s=0.02"), tmp_path / "out")
    session(echo_settings(lvis_root), made)  # nothing left to ask: no session
    (record,) = run_figures(made).speed.sessions
    assert (record.ended, record.planned, record.before, record.settled) == ("finished", 15, 0, 15)
    assert (record.engines, record.gpus, len(record.start_s)) == (1, 0, 1)
    assert record.samples[-1].settled == 15
    assert 0 < record.engine_s <= record.seconds


def test_names_without_an_end_do_not_make_a_page_without_one(tmp_path):
    long = "x" * 100_000
    three_shards(tmp_path).commit(change=lambda row: msgspec.structs.replace(row, category=long, caption=long)).pack()
    assert write_report(tmp_path)[0].stat().st_size < 60_000


def test_categories_that_lose_most_are_named_with_their_reasons(tmp_path):
    run = plan_run(tmp_path, [[planned_image("1", 50)]])
    run.commit(change=lambda row: dropped(row, "length") if row.category == "cup" and row.object_id < "115" else row)
    worst = {one.category: one for one in run_figures(tmp_path).categories.worst}
    cup = worst["cup"]
    assert cup.reasons["length"] > 0
    assert sum(cup.reasons.values()) == cup.of - cup.objects
    assert "length" not in worst["tea_pot"].reasons


def test_a_judges_scores_count_where_the_caption_is_still_the_same(out, tmp_path):
    keys = [f"tiny/train/{key}" for key in ("1/11", "2/20", "2/21", "4/40")]
    captions = ["A tea_pot numbered 11.", "A cup numbered 20.", "A tea_pot numbered 21.", "It said something else."]
    scores = {"key": keys, "caption": captions, "method": ["yes_no"] * 4, "score": [0.9, 0.2, 0.6, 0.99]}
    pq.write_table(pa.table(scores | {"verdict": ["right", "wrong", "right", "right"]}), RunLayout(out).judge)
    labels = tmp_path / "labels.jsonl"
    labels.write_text("".join(json.dumps({"key": key, "right": i != 1}) + "\n" for i, key in enumerate(keys)))
    figures = run_figures(out, ReportRequest(labels=labels))
    (judge,) = figures.judges
    assert (judge.rows, judge.stale, judge.verdicts, sum(judge.counts)) == (3, 1, {"right": 2, "wrong": 1}, 3)
    assert judge.curve is not None
    assert (judge.curve.captions, judge.curve.right, judge.curve.auroc) == (3, 2, 1.0)
    assert (figures.truth.labelled, figures.truth.right) == (4, 3)
    assert figures.confidence.here.captions == 4, "the confidence is held against the same labels"
    assert "Judge yes_no" in write_report(out, ReportRequest(labels=labels))[0].read_text()


def test_facts_say_how_many_captions_are_true(out, tmp_path):
    one = {"category": "tea_pot", "colour": "red", "texture": "plain", "size": "small", "motion": None}
    one |= {"moving_s": 0, "area": 0.1, "hidden": 0}
    vocabulary = {"category": {"cup": ["cup"], "tea_pot": ["tea_pot", "tea pot"]}, "colour": {"red": ["red"]}}
    vocabulary |= {"texture": {"plain": ["plain"]}, "size": {"small": ["small"]}, "motion": {"still": ["still"]}}
    objects = {f"tiny/train/{key}": one for key in ("1/11", "2/20", "2/21")}
    facts = tmp_path / "facts.json"
    facts.write_text(json.dumps({"version": 1, "objects": objects, "vocabulary": vocabulary}))
    truth = run_figures(out, ReportRequest(facts=facts)).truth
    assert (truth.labelled, truth.right) == (3, 2)
    assert truth.attributes["category"] == {"right": 2, "wrong": 1, "unsaid": 0, "rate": 2 / 3}


def test_what_people_said_is_counted_as_the_release_took_it(out):
    wrong = Review(key="tiny/train/2/20", verdict="bad", said="A cup numbered 20.", by="me", at="now")
    append_reviews(out, [wrong])
    before = run_figures(out)
    assert (before.kept, before.reviews) == (6, None), "the release was made before"
    plan = read_plan(out)
    pack(out, plan, CARD)
    after = run_figures(out)
    assert (after.state, after.kept, after.reviews.bad) == ("released", 5, 1)
    assert "flagged" in {one.code for one in after.reasons}


def test_a_damaged_run_or_request_is_one_line(out, tmp_path):
    with pytest.raises(MissingFile):
        run_figures(tmp_path / "nothing")
    shutil.copytree(out, tmp_path / "copied", ignore=shutil.ignore_patterns("candidates"))
    with pytest.raises(UserError, match="a release without its candidates"):
        run_figures(tmp_path / "copied")
    with pytest.raises(UserError, match="--price"):
        run_figures(out, ReportRequest(price=float("nan")))
    RunLayout(out).sessions_dir.mkdir()
    session = {"version": 1, "started": "now", "seconds": 1, "ended": None, "engines": 10**400, "gpus": 1}
    record = RunLayout(out).session(1)
    record.write_text(json.dumps(session | {"planned": 1, "before": 0, "settled": 1}))
    with pytest.raises(LedgerError, match=r"0001\.json is no session's record"):
        run_figures(out)
    record.unlink()
    RunLayout(out).judge.write_bytes(b"PAR1 is not enough")
    with pytest.raises(LedgerError, match=r"judge\.parquet is no table"):
        run_figures(out)


def test_a_report_that_cannot_be_written_leaves_nothing_half(out):
    (out / "report").mkdir()
    (out / "report" / "figures.json").mkdir()
    with pytest.raises(UserError, match=r"figures\.json is a folder where a file belongs"):
        write_report(out)
    assert [path.name for path in (out / "report").iterdir()] == ["figures.json"]
    (out / "report" / "figures.json").rmdir()
    (out / "report").rmdir()
    (out / "report").symlink_to(out.parent)
    with pytest.raises(UserError, match="symbolic link"):
        write_report(out)


def test_a_shard_that_is_opened_again_while_it_is_read_is_left_out(tmp_path):
    run = three_shards(tmp_path).commit()
    (tmp_path / "candidates" / "00001.json").unlink()
    assert run_figures(tmp_path).shards_done == len(run.shards) - 1
    write_candidates(
        [row for media in run.shards[1] for row in rows_of(media)], tmp_path, 1, {"fingerprint": FINGERPRINT}
    )
    assert run_figures(tmp_path).shards_done == len(run.shards)
