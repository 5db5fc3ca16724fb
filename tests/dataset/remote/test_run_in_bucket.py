"""Whole runs whose OUT and root are in a bucket, by the commands that users give."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from capgen.buckets.places import local_place
from capgen.dataset.layout import RunLayout
from capgen.dataset.remote.mirror import Mirror
from capgen.pipeline.releasing.verify import verify
from tests.buckets.bucket import Faulty, forget_connections, new_bucket, s3_server
from tests.conftest import write_lvis

REPOSITORY = Path(__file__).resolve().parents[3]
QUICK = ("--set", "tries.again=[]", "--set", "distinct.enabled=false", "--set", "run.shard_objects=6")


@pytest.fixture(scope="module")
def server():
    with s3_server() as address:
        yield address


@pytest.fixture
def bucket(server, monkeypatch, tmp_path):
    monkeypatch.setenv("CAPGEN_SCRATCH", str(tmp_path / "scratch"))
    return new_bucket()


def capgen(*arguments, fails=None):
    command = [sys.executable, "-m", "tests.pipeline.inprocess", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=REPOSITORY)
    assert done.returncode == (fails or 0), done.stderr
    return done.stderr if fails else done.stdout


def run(root, out, *more, fails=None):
    flags = ("--dataset", "lvis", "--root", root, "--engine", "echo", "--out", out, *QUICK, *more)
    return capgen("run", *flags, fails=fails)


def put(folder, url):
    import s3fs

    s3fs.S3FileSystem().put(str(folder), url, recursive=True)


def parquet(out):
    return {p.relative_to(out).as_posix(): p.read_bytes() for p in out.rglob("*.parquet")}


def test_a_run_from_bucket_to_bucket_is_byte_for_byte_that_between_folders(bucket, server, monkeypatch, tmp_path):
    root = write_lvis(tmp_path / "lvis")
    run(root, tmp_path / "local")
    put(root, f"{bucket}/data/lvis")
    proxy = Faulty(server, share=0.05, seed=1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.address)
    said = run(f"{bucket}/data/lvis", f"{bucket}/runs/one")
    assert f'data_files="{bucket}/runs/one/data/captions/*-*.parquet"' in said
    assert str(tmp_path / "scratch") not in said
    proxy.close()
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    forget_connections()
    Mirror(f"{bucket}/runs/one", tmp_path / "copy").begin()
    assert verify(tmp_path / "copy").ok
    assert parquet(tmp_path / "copy") == parquet(tmp_path / "local")
    assert RunLayout(tmp_path / "copy").report_dir.is_dir()
    every = b"".join(p.read_bytes() for p in (tmp_path / "copy").rglob("*") if p.is_file())
    assert b"a-secret-of-a-test" not in every


def test_another_machine_goes_on_with_it_and_reads_it(bucket, monkeypatch, tmp_path):
    root, url = write_lvis(tmp_path / "lvis"), f"{bucket}/runs/two"
    run(root, url, "--limit", 6)
    monkeypatch.setenv("CAPGEN_SCRATCH", str(tmp_path / "elsewhere"))
    run(root, url)
    assert "15 planned = 15 kept" in capgen("verify", url)


def test_what_people_say_of_a_copy_reaches_the_bucket_and_the_next_release(bucket, tmp_path):
    root, url = write_lvis(tmp_path / "lvis"), f"{bucket}/runs/three"
    run(root, url)
    copy = local_place(url, "read")
    tasks = tmp_path / "studio"
    capgen("reviews", url, "--to", "label-studio", "--folder", tasks)
    task = json.loads((tasks / "tasks.json").read_text())[0]
    said = {"from_name": "verdict", "to_name": "image", "type": "choices", "value": {"choices": ["bad"]}}
    task["annotations"] = [{"result": [said], "was_cancelled": False}]
    (tmp_path / "export.json").write_text(json.dumps([task]))
    assert "1 bad" in capgen("reviews", url, "--from", tmp_path / "export.json")
    assert RunLayout(copy).reviews.is_file()
    run(root, url)
    assert "flagged 1" in capgen("verify", url)


def test_an_out_in_use_a_bucket_that_is_not_there_and_a_fork_are_refused_in_one_line(bucket, tmp_path):
    root = write_lvis(tmp_path / "lvis")
    mirror = Mirror(f"{bucket}/runs/four", tmp_path / "copy")
    from capgen.buckets.lease import held

    with held(mirror.store):
        assert "is in use by process" in run(root, mirror.store.url, fails=2)
    assert "--fork does not work" in run(root, mirror.store.url, "--fork", fails=2)
    error = run(root, "s3://there-is-no-such-bucket/x", fails=2)
    assert "there-is-no-such-bucket/x cannot be read" in error
    assert error.count("\n") == 1
    assert "holds nothing" in run(f"{bucket}/empty", tmp_path / "out", fails=2)
