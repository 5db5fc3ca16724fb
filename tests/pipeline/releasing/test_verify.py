"""The ledger closes for an honest run, and names whatever was done to one that is not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from capgen.dataset.files import sha256_of
from capgen.dataset.layout import RunLayout
from capgen.dataset.release_record import read_release, release_path
from capgen.dataset.shards import candidates_path, manifest_path, read_manifest, write_candidates
from capgen.errors import LedgerError, MissingFile
from capgen.pipeline.releasing.verify import verify
from tests.tiny_runs import FINGERPRINT, dropped, failed, plan_run, planned_image, rows_of, said, three_shards


def spoil(row):
    """One dropped for two reasons, one failed, one that repeats another; five kept."""
    if row.object_id == "10":
        return dropped(row, "length", "refusal")
    if row.media_id == "5":
        return said(msgspec.structs.replace(row, category="cup", category_id=1), "A cup.")
    return failed(row, "engine_failed") if row.object_id == "41" else row


@pytest.fixture
def run(tmp_path):
    run = three_shards(tmp_path / "out").commit(change=spoil)
    run.pack()
    return run


def test_the_ledger_of_a_finished_run_closes(run):
    assert verify(run.out).as_json() == {
        "planned": 8,
        "kept": 5,
        "dropped": {"duplicate": 1, "length": 1},
        "failed": {"engine_failed": 1},
        "duplicate_keys": 0,
        "missing_keys": 0,
        "ok": True,
        "problems": [],
        "examples": {"engine_failed": "no answer", "length": "because of length: A cup numbered 10."},
        "warning": None,
    }
    assert json.dumps(verify(run.out).as_json())


def test_the_ledger_agrees_with_the_release(run):
    counts, ledger = read_release(run.out).counts, verify(run.out)
    assert (counts.planned, counts.kept, counts.dropped, counts.failed) == (
        ledger.planned,
        ledger.kept,
        ledger.dropped,
        ledger.failed,
    )


def test_a_run_without_dedup_has_a_ledger_too(run):
    run.pack(dedup=None)
    ledger = verify(run.out)
    assert (ledger.ok, ledger.kept, ledger.dropped) == (True, 6, {"length": 1})


def test_a_run_that_was_moved_verifies(run, tmp_path):
    shutil.move(run.out, tmp_path / "elsewhere")
    assert verify(tmp_path / "elsewhere").ok


def files_of(out: Path) -> list[str]:
    return sorted(path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file())


RECORDED = (
    *(f"plan/0000{i}.jsonl" for i in range(3)),
    *(f"candidates/0000{i}.parquet" for i in range(3)),
    *(
        f"data/{config}/{split}-00000-of-00001.parquet"
        for config in ("captions", "media")
        for split in ("train", "val")
    ),
    "dedup.parquet",
    "README.md",
)


def test_these_are_all_the_files_of_a_run(run):
    manifests = [f"candidates/0000{i}.json" for i in range(3)]
    assert files_of(run.out) == sorted([*RECORDED, *manifests, "plan.json", "release.json"])


@pytest.mark.parametrize("name", RECORDED)
@pytest.mark.parametrize("harm", ["first byte", "middle byte", "last byte", "truncated", "emptied", "deleted"])
def test_harm_to_any_file_is_found_and_the_file_named(run, name, harm):
    path = run.out / name
    data = bytearray(path.read_bytes())
    if harm == "deleted":
        path.unlink()
    else:
        place = {"first byte": 0, "middle byte": len(data) // 2, "last byte": len(data) - 1}.get(harm)
        if place is not None:
            data[place] ^= 1
        path.write_bytes({"truncated": data[: len(data) // 2], "emptied": b""}.get(harm, data))
    ledger = verify(run.out)
    assert not ledger.ok
    assert any(name in problem for problem in ledger.problems)
    assert all("\n" not in problem for problem in ledger.problems)


@pytest.mark.parametrize("name", ["candidates/00001.json", "release.json", "plan.json"])
@pytest.mark.parametrize("harm", [b"", b"{", b"\xff\xfe", b"[]", b"null"])
def test_a_record_that_is_damaged_is_named(run, name, harm):
    (run.out / name).write_bytes(harm)
    if name == "plan.json":
        with pytest.raises(LedgerError, match=r"plan\.json"):
            verify(run.out)
        return
    ledger = verify(run.out)
    assert not ledger.ok
    assert any(Path(name).stem in problem for problem in ledger.problems)


def test_a_plan_that_was_edited_after_the_release_is_named(run):
    plan = json.loads((run.out / "plan.json").read_text())
    (run.out / "plan.json").write_text(json.dumps(plan | {"settings": {"seed": 1}}))
    ledger = verify(run.out)
    assert (ledger.ok, len(ledger.problems)) == (False, 1)
    assert "plan.json differs from its record" in ledger.problems[0]


def test_a_manifest_without_its_parquet_file_is_named_and_its_objects_missing(run):
    candidates_path(run.out, 1).unlink()
    ledger = verify(run.out)
    assert (ledger.ok, ledger.missing_keys, ledger.planned) == (False, 2, 8)
    assert "00001.parquet: a manifest without its Parquet file" in ledger.problems[0]


def test_an_unfinished_run_counts_what_is_missing(tmp_path):
    run = three_shards(tmp_path / "out").commit(0)
    ledger = verify(run.out)
    assert (ledger.ok, ledger.planned, ledger.kept, ledger.missing_keys) == (False, 8, 4, 4)
    assert any("2 of 3 shards are not written yet" in problem for problem in ledger.problems)


def test_a_run_that_is_not_packed_is_not_ok(tmp_path):
    ledger = verify(three_shards(tmp_path / "out").commit().out)
    assert (ledger.ok, ledger.kept, ledger.missing_keys) == (False, 8, 0)
    assert "nothing is released yet" in ledger.problems[0]


def test_a_release_of_fewer_shards_than_are_planned_is_not_ok(tmp_path):
    """As a release is after `--limit` was raised, until the run is resumed."""
    run = three_shards(tmp_path / "out").commit()
    run.pack()
    file = run.out / "release.json"
    file.write_bytes(msgspec.json.encode(msgspec.json.decode(file.read_bytes()) | {"shards": 1}))
    ledger = verify(run.out)
    assert not ledger.ok
    assert any("the release is partial" in problem for problem in ledger.problems)


def rewrite(run, index: int, rows) -> None:
    """A shard's rows replaced by others, with a manifest that vouches for them."""
    write_candidates(rows, run.out, index, {"fingerprint": FINGERPRINT})


def rows(run, index: int):
    return [spoil(row) for media in run.shards[index] for row in rows_of(media)]


def test_a_missing_row_is_counted_and_named(run):
    rewrite(run, 0, rows(run, 0)[:-1])
    ledger = verify(run.out)
    assert (ledger.ok, ledger.missing_keys, ledger.duplicate_keys, ledger.planned) == (False, 1, 0, 8)
    assert any("lacks 1 planned objects, such as tiny/train/2/21" in problem for problem in ledger.problems)


def test_a_row_that_nobody_planned_is_named(run):
    rewrite(run, 0, [*rows(run, 0), *rows_of(planned_image("77", objects=1))])
    ledger = verify(run.out)
    assert (ledger.ok, ledger.missing_keys) == (False, 0)
    assert any("tiny/train/77/770" in problem for problem in ledger.problems)


def test_a_key_in_two_shards_is_counted(run):
    rewrite(run, 1, [*rows(run, 1), rows(run, 0)[0]])
    ledger = verify(run.out)
    assert (ledger.ok, ledger.duplicate_keys) == (False, 1)
    assert any("the key tiny/train/1/10 has 2 candidates" in problem for problem in ledger.problems)


def test_a_key_twice_in_one_shard_is_counted(run):
    """No writer of capgen does this, so the file and its manifest are forged."""
    path = candidates_path(run.out, 0)
    table = pq.read_table(path)
    pq.write_table(table.take([0, 1, 1, 2, 3]), path)
    forge_manifest(run.out, 0, rows=5)
    ledger = verify(run.out)
    assert (ledger.ok, ledger.duplicate_keys, ledger.missing_keys) == (False, 1, 0)


def forge_manifest(out: Path, index: int, **changes) -> None:
    path = candidates_path(out, index)
    manifest = msgspec.to_builtins(read_manifest(out, index))
    changes |= {"sha256": sha256_of(path), "bytes": path.stat().st_size}
    manifest_path(out, index).write_text(json.dumps(manifest | changes))


def test_an_image_in_two_shards_is_found(tmp_path):
    """Dedup and the keys count on a medium being in one shard."""
    run = plan_run(tmp_path / "out", [[planned_image("1", objects=0)], [planned_image("1", objects=0)]]).commit()
    run.pack()
    ledger = verify(run.out)
    assert not ledger.ok
    assert "tiny/train/1 is planned 2 times" in ledger.problems[0]


@pytest.mark.parametrize("config", ["captions", "media"])
def test_a_release_that_says_other_than_its_candidates_is_found_although_its_hashes_fit(run, config):
    release = read_release(run.out)
    file = release.of(config, "train")[0]
    path = run.out / file.path
    table = pq.read_table(path)
    pq.write_table(table.take([1, 0, *range(2, table.num_rows)]), path)
    forge_release(run.out, file.path)
    ledger = verify(run.out)
    assert not ledger.ok
    assert file.path in ledger.problems[0]
    assert "where the candidates have" in ledger.problems[0]


@pytest.mark.parametrize("rows", [slice(0, -1), None])
def test_a_release_with_a_row_too_few_or_too_many_is_found(run, rows):
    path = run.out / read_release(run.out).of("captions", "train")[0].path
    table = pq.read_table(path)
    numbers = list(range(table.num_rows))
    numbers = numbers[rows] if rows else [*numbers, 0]
    pq.write_table(table.take(numbers), path)
    forge_release(run.out, "data/captions/train-00000-of-00001.parquet", rows=len(numbers))
    ledger = verify(run.out)
    assert (ledger.ok, len(ledger.problems)) == (False, 1)
    assert ("ends where" if rows else "which no candidate says") in ledger.problems[0]


def forge_release(out: Path, name: str, **changes) -> None:
    body = json.loads(release_path(out).read_text())
    for file in body["files"]:
        if file["path"] == name:
            file.update(changes, sha256=sha256_of(out / name), bytes=(out / name).stat().st_size)
    release_path(out).write_text(json.dumps(body))


def test_forged_counts_are_found(run):
    body = json.loads(release_path(run.out).read_text())
    body["counts"]["kept"] += 1
    release_path(run.out).write_text(json.dumps(body))
    assert any("counts other objects" in problem for problem in verify(run.out).problems)
    run.pack()


def test_a_manifest_that_counts_wrongly_is_found(run):
    forge_manifest(run.out, 0, kept=0)
    assert any("00000.json counts other rows" in problem for problem in verify(run.out).problems)


def test_captions_that_were_asked_for_again_make_the_release_stale(run):
    rewrite(run, 2, [said(row, f"{row.key}, anew.") for row in rows(run, 2)])
    ledger = verify(run.out)
    assert not ledger.ok
    assert any("data/captions/val-00000-of-00001.parquet" in problem for problem in ledger.problems)
    run.pack()
    assert verify(run.out).ok


def test_a_file_that_would_be_loaded_with_the_release_is_named(run):
    stranger = run.out / "data" / "captions" / "train-00001-of-00002.parquet"
    shutil.copy(run.out / "data" / "captions" / "train-00000-of-00001.parquet", stranger)
    ledger = verify(run.out)
    assert (ledger.ok, len(ledger.problems)) == (False, 1)
    assert stranger.name in ledger.problems[0]


@pytest.mark.parametrize(
    "change",
    [
        ("data/captions/train-*.parquet", "https://example.org/a.parquet"),
        ("data/captions/train-*.parquet", "../*.parquet"),
        ("data/captions/train-*.parquet", "/etc/*"),
        ("data/captions/train-*.parquet", "zip://a::https://example.org/a.zip"),
        ("  data_files:", "  data_dir: /home\n  data_files:"),
        ("---\n", "--- !!python/object/apply:os.system [touch evil]\n"),
        ("configs:", "configs: &a [*a, *a]\nothers:"),
        ("configs:", "configs: {}\nothers:"),
        ("configs:", "configs: " + "[" * 5000 + "\nothers:"),
    ],
)
def test_a_card_that_has_datasets_load_other_files_is_found_although_its_hash_fits(run, change):
    card = RunLayout(run.out).card
    card.write_text(card.read_text().replace(*change, 1))
    forge_release(run.out, "README.md")
    ledger = verify(run.out)
    assert (ledger.ok, len(ledger.problems)) == (False, 1)
    assert "README.md has datasets load other files" in ledger.problems[0]
    assert not Path("evil").exists()


def test_shards_of_another_fingerprint_do_not_count(run):
    write_candidates(rows(run, 2), run.out, 2, {"fingerprint": "another"})
    ledger = verify(run.out)
    assert (ledger.ok, ledger.missing_keys) == (False, 2)
    assert any("another fingerprint" in problem for problem in ledger.problems)


def test_mending_as_the_messages_say_mends(run):
    """Every remedy in a problem's sentence leads back to a ledger that closes."""
    (run.out / "data" / "media" / "train-00000-of-00001.parquet").write_bytes(b"PAR1")
    assert "delete release.json and run the same command again" in verify(run.out).problems[0]
    release_path(run.out).unlink()
    run.pack()
    assert verify(run.out).ok


@pytest.mark.parametrize("what", ["nothing", "a folder", "a file"])
def test_a_folder_without_a_run_is_the_users_mistake(tmp_path, what):
    out = tmp_path / "out"
    if what == "a folder":
        out.mkdir()
    if what == "a file":
        out.write_text("x")
    with pytest.raises(MissingFile, match=r"plan\.json"):
        verify(out)


def test_a_long_list_of_problems_is_cut(tmp_path):
    run = plan_run(tmp_path / "out", [[planned_image(str(number), objects=1)] for number in range(70)]).commit()
    run.pack()
    for number in range(70):
        (run.out / "plan" / f"{number:05d}.jsonl").unlink()
    problems = verify(run.out).problems
    assert len(problems) == 51
    assert problems[-1] == "and 20 more"


@pytest.mark.parametrize("column", ["key", "status", "reasons", "caption"])
def test_a_missing_column_is_named_although_the_hash_fits(run, column):
    path = candidates_path(run.out, 0)
    pq.write_table(pq.read_table(path).drop_columns([column]), path)
    forge_manifest(run.out, 0, sha256=sha256_of(path), bytes=path.stat().st_size)
    ledger = verify(run.out)
    assert not ledger.ok
    assert ledger.problems[0].startswith(f"{path} has no column {column!r}; delete {path}")
