"""The scores of ``capgen judge`` in the gallery: each with its caption, stale ones told apart, new ones taken up."""

from __future__ import annotations

import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError
from capgen.pipeline.gallery.row_index import RowIndex
from capgen.pipeline.gallery.selection import Selection
from tests.pipeline.gallery.serving import judge
from tests.tiny_runs import said, three_shards


@pytest.fixture
def run(tmp_path):
    return three_shards(tmp_path / "out").commit()


@pytest.fixture
def index(run):
    index = RowIndex(run.out)
    yield index
    index.close()


def told(index, query=""):
    """Object, verdict and score of what a selection finds."""
    rows = index.page(Selection.of_query(query)).rows
    return [(row.object_id, row.judged, None if row.score is None else round(row.score, 2)) for row in rows]


def test_a_caption_has_its_verdict_and_score(run, index):
    judge(run.out, {"10": -0.1, "11": -2.0, "20": None})
    assert index.refresh()
    assert told(index)[:4] == [
        ("10", "right", -0.1),
        ("11", "wrong", -2.0),
        ("20", "unknown", None),
        ("21", None, None),
    ]
    assert dict(index.facets()["judge"]) == {"right": 1, "wrong": 1, "unknown": 1}
    assert index.scores("tiny/train/1/11")[0].method == "fit"


@pytest.mark.parametrize(
    ("query", "objects"),
    [
        ("judge=wrong", ["11"]),
        ("judge=none", ["21", "40", "41", "50", "51"]),
        ("judge=stale", []),
        ("min_score=-1", ["10"]),
        ("max_score=-1", ["11"]),
        ("sort=worst&size=3", ["11", "10", "20"]),
        ("sort=best&size=2", ["10", "11"]),
    ],
)
def test_scores_and_verdicts_filter_and_order(run, index, query, objects):
    judge(run.out, {"10": -0.1, "11": -2.0, "20": None})
    index.refresh()
    assert [name for name, *_ in told(index, query)] == objects


def test_a_score_of_a_caption_that_has_changed_is_stale_and_counts_nowhere(run, index):
    judge(run.out, {"10": -0.1, "11": -2.0})
    run.commit(0, change=lambda row: said(row, "Another cup.") if row.object_id == "10" else row)
    index.refresh()
    assert told(index)[:2] == [("10", "stale", None), ("11", "wrong", -2.0)]
    assert [name for name, *_ in told(index, "min_score=-9")] == ["11"]
    assert index.scores("tiny/train/1/10")[0].caption == "A cup numbered 10."


def test_a_table_that_is_written_later_is_taken_up_by_shards_that_are_there(run, index):
    index.refresh()
    assert told(index)[0] == ("10", None, None)
    judge(run.out, {"10": -0.1})
    index.refresh()
    assert told(index)[0] == ("10", "right", -0.1)
    judge(run.out, {"10": -3.0, "11": -0.2})
    index.refresh()
    assert told(index)[:2] == [("10", "wrong", -3.0), ("11", "right", -0.2)]
    RunLayout(run.out).judge.unlink()
    index.refresh()
    assert told(index)[0] == ("10", None, None)


def test_of_several_scores_the_last_one_of_the_caption_as_it_is_now_counts(run, index):
    rows = [
        {"key": "tiny/train/1/10", "caption": "A cup numbered 10.", "method": "fit", "score": -0.5, "verdict": "right"},
        {
            "key": "tiny/train/1/10",
            "caption": "A cup numbered 10.",
            "method": "mine",
            "score": 0.25,
            "verdict": "wrong",
        },
        {"key": "tiny/train/1/10", "caption": "An old caption.", "method": "fit", "score": -9.0, "verdict": "wrong"},
    ]
    pq.write_table(pa.Table.from_pylist(rows), RunLayout(run.out).judge)
    index.refresh()
    assert told(index)[0] == ("10", "wrong", 0.25)
    assert len(told(index)) == 8, "an object is there once"
    assert [one.method for one in index.scores("tiny/train/1/10")] == ["fit", "mine", "fit"]


def test_what_is_no_table_of_scores_is_said_once_and_the_rows_are_there(run, index):
    RunLayout(run.out).judge.write_bytes(b"no table")
    with pytest.raises(LedgerError, match=r"judge\.parquet is no table of `capgen judge`"):
        index.refresh()
    assert index.refresh()
    assert len(told(index)) == 8
    pq.write_table(pa.table({"key": ["tiny/train/1/10"], "score": ["high"]}), RunLayout(run.out).judge)
    os.utime(RunLayout(run.out).judge, ns=(1, 1))
    with pytest.raises(LedgerError, match="high"):
        index.refresh()


def test_in_another_order_the_first_media_are_exported_and_not_some_of_all(run, index):
    judge(run.out, {"50": -4.0, "21": -2.0, "10": -0.1})
    index.refresh()
    media = index.media(Selection.of_query("sort=worst"), 2)
    assert [name for _, name in media] == ["tiny/val/5", "tiny/train/2"]
    assert [name for _, name in index.media(Selection(), 2)] == ["tiny/train/1", "tiny/train/4"]
