"""Where only the card of a release changes it alone is written: as a packing would, and whole at every moment."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest
from PIL import Image

from capgen.dataset.layout import RunLayout
from capgen.dataset.quality.judge_scores import JudgeCounts
from capgen.dataset.reader import read_rows
from capgen.dataset.release_record import DedupRules, read_release
from capgen.dataset.shards import candidates_path, write_candidates
from capgen.exporting.push import plan_push
from capgen.pipeline.releasing.reviews import append_reviews, review
from capgen.pipeline.releasing.verify import verify
from tests.tiny_runs import CARD, FINGERPRINT, dropped, failed, plan_run, planned_image, rows_of, said

VERDICTS = {"right": 6, "wrong": 1, "unknown": 0}
JUDGED = JudgeCounts("fit", "tiny/model", -1.0, 7, 7, VERDICTS, None, ((-1.0, 0.9),), category_told=True)
OTHER = replace(CARD, judges=(JUDGED,))
RULES = DedupRules(scope="release", per_sentence=3)


def change(row):
    """Captions of every kind: repeated in an image and elsewhere, dropped, failed, written by two models."""
    if row.object_id.endswith("0"):
        return said(row, "A red cup on a table.")
    if row.object_id == "11":
        return dropped(row, "length")
    if row.object_id == "21":
        return failed(row, "engine_failed")
    return said(row, "A pot." if row.object_id[0] in "45" else f"A pot numbered {row.object_id}.")


@pytest.fixture
def run(tmp_path):
    """Three shards of two splits; one of them was committed in another order, and people have judged two captions."""
    splits = (("train", "124"), ("train", "567"), ("val", "89"))
    shards = [[planned_image(number, split=split, objects=3) for number in media] for split, media in splits]
    run = plan_run(tmp_path / "out", shards, str(tmp_path)).commit(change=change)
    rows = [row for media in run.shards[0] for row in rows_of(media, change)]
    write_candidates(reversed(rows), run.out, 0, {"fingerprint": FINGERPRINT})
    first, second = [row for row in read_rows(candidates_path(run.out, 1)) if row.status == "kept"][:2]
    append_reviews(run.out, [review(first.key, "bad", "a tester", said=first.caption)])
    append_reviews(run.out, [review(second.key, "edit", "a tester", said=second.caption, caption="My own words.")])
    return run


def others(out):
    """What has to stay beside the card and the record: contents, and when each file was written."""
    own = {RunLayout(out).card, RunLayout(out).release_json}
    files = (path for path in out.rglob("*") if path.is_file() and path not in own)
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


@pytest.mark.parametrize("wanted", [{"dedup": RULES}, {"dedup": None, "embed": "media"}])
def test_the_card_alone_is_the_one_that_a_packing_writes(run, tmp_path, wanted):
    for number in "12456789":  # one of the pictures of split val is missing
        Image.new("RGB", (64, 48)).save(tmp_path / f"{number}.jpg")
    (tmp_path / "8.jpg").unlink()
    shutil.copytree(run.out, tmp_path / "anew")
    first = run.pack(**wanted)
    before = others(run.out)
    release = run.pack(card=OTHER, **wanted)
    assert others(run.out) == before
    assert (release.inputs, release.counts) == (first.inputs, first.counts)
    anew = replace(run, out=tmp_path / "anew").pack(card=OTHER, **wanted)
    assert release == anew == read_release(run.out)
    card = RunLayout(run.out).card.read_text()
    assert "`capgen judge --method fit` scored 7" in card
    assert "with the model tiny/model, which was told the category that the dataset gives each object: 6 right" in card
    assert ("1 frames were missing" in card) == ("embed" in wanted)
    assert card == RunLayout(tmp_path / "anew").card.read_text()
    assert verify(run.out).ok


class Killed(Exception):
    """Instead of a signal: nothing after this is done."""


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_kill_leaves_a_whole_release_with_the_old_card_or_the_new_one(run, step):
    run.pack()
    layout = RunLayout(run.out)
    old, told = layout.card.read_bytes(), []

    def written(path):
        told.append(path)
        if len(told) == step:
            raise Killed

    with pytest.raises(Killed):
        run.pack(card=OTHER, written=written)
    assert verify(run.out).ok
    assert not plan_push(run.out).edited
    assert (layout.card.read_bytes() == old) == (step == 1)
    before = others(run.out)
    release = run.pack(card=OTHER)
    assert others(run.out) == before
    assert release.card_before is None
    assert verify(run.out).ok
    assert b"capgen judge --method fit" in layout.card.read_bytes()


def test_a_card_that_somebody_changed_is_damaged_and_written_anew(run):
    run.pack()
    card = RunLayout(run.out).card
    text = card.read_bytes()
    card.write_bytes(text.replace(b"Tiny", b"Tony"))
    assert "README.md differs from its record" in verify(run.out).problems[0]
    before = others(run.out)
    run.pack()
    assert (card.read_bytes(), others(run.out)) == (text, before)
    card.unlink()
    run.pack()
    assert (card.read_bytes(), others(run.out)) == (text, before)
