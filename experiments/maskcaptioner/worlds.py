"""Worlds, releases and test truth: what the experiments learn from and are tested on. What is there is not made again.

The captions that are learnt from are the pipeline's, made by ``capgen run``. Releases with other captions are copies
with that one column replaced: ``true`` says of every captioned object what ``facts.json`` says (an object that the
pipeline left without a caption stays without one, so that only the wording differs), and ``part-N`` keeps the captions
of every N-th object, the same ones whatever else is kept.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from capgen.dataset.files import sha256_of, write_whole
from capgen.dataset.layout import RunLayout
from capgen.dataset.release_record import CONFIGS, read_release
from capgen.dataset.types import object_key
from capgen.evaluation.sample_facts import WorldFacts, read_facts, score_release
from capgen.sample.words import caption
from capgen.sample.write import write_world
from experiments.maskcaptioner.sizes import TEST_SEED, TRAIN_SEED, Size

Recaption = Callable[[str, str | None], str | None]
"""The new caption of an object, from its key and its old one."""
_KINDS = ("images", "videos")
_FORMS = {"images": "lvis", "videos": "lv-vis"}


@dataclass(frozen=True, slots=True)
class Releases:
    """The releases that one kind of caption is learnt from, and the world behind them."""

    images: Path
    videos: Path
    world: Path


def pipeline_releases(out: Path, size: Size, given: Releases | None = None) -> Releases:
    """The world and its releases with the pipeline's captions, made where they are not there.

    Raises:
        CalledProcessError: ``capgen run`` failed; the same command goes on.
    """
    if given is not None:
        return given
    made = Releases(out / "images", out / "videos", out / "world")
    ensure_world(made.world, size.images, size.videos, TRAIN_SEED)
    for kind in _KINDS:
        folder: Path = getattr(made, kind)
        if not RunLayout(folder).release_json.is_file():
            command = [sys.executable, "-m", "capgen.cli", "run", "--dataset", f"sample-{kind}", "--gpus", "0"]
            command += ["--root", str(made.world / _FORMS[kind]), "--out", str(folder)]
            command += ["--engine", size.engine] if size.engine else []
            subprocess.run(command, check=True)
    return made


def ensure_world(folder: Path, images: int, videos: int, seed: int) -> None:
    """A sample world; ``facts.json`` is written last, so a folder that has it is whole."""
    if not (folder / "facts.json").is_file():
        write_world(folder, images=images, videos=videos, seed=seed)


def releases_of(kind: str, out: Path, pipeline: Releases) -> Releases:
    """The releases with ``pipeline``, ``true`` or ``part-N`` captions; the latter two are made here."""
    if kind == "pipeline":
        return pipeline
    change = _truth_of(read_facts(pipeline.world / "facts.json")) if kind == "true" else _every(int(kind[5:]))
    made = Releases(out / kind / "images", out / kind / "videos", pipeline.world)
    for name in _KINDS:
        recaption(getattr(pipeline, name), getattr(made, name), change, kind)
    return made


def _truth_of(facts: WorldFacts) -> Recaption:
    return lambda key, old: caption(facts.objects[key]) if old else None


def _every(number: int) -> Recaption:
    """Keeps about one caption of ``number``; those of ``part-16`` are among those of ``part-4``."""

    def change(key: str, old: str | None) -> str | None:
        draw = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big") / 2**64
        return old if draw < 1 / number else None

    return change


def recaption(source: Path, target: Path, change: Recaption, what: str) -> None:
    """Copy a release with other captions in both of its configs, and a record of these files."""
    import msgspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    old, new = RunLayout(source), RunLayout(target)
    done = new.release_json
    if done.is_file():
        return
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(old.plan_dir, new.plan_dir)  # the plan says where the pictures are
    shutil.copy(old.plan_json, new.plan_json)
    was = read_release(source)
    assert was is not None
    files = []
    for record in (one for one in was.files if one.config in CONFIGS):
        file = old.released(record.path)
        table = pq.read_table(file)
        rows = [_changed(row, change) for row in table.to_pylist()]
        if file.parent.name == "captions":
            rows = [row for row in rows if row["caption"]]
        place = new.released(record.path)
        place.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), place, row_group_size=256)
        now = {"sha256": sha256_of(place), "bytes": place.stat().st_size, "rows": len(rows)}
        files.append(msgspec.structs.replace(record, **now))
    front = old.card.read_text(encoding="utf-8").split("---\n")[1]
    text = f"---\n{front}---\nThe same release, its captions replaced: {what}.\n"
    new.card.write_text(text, encoding="utf-8")
    write_whole(done, msgspec.json.encode(msgspec.structs.replace(was, files=tuple(files))))


def _changed(row: dict[str, Any], change: Recaption) -> dict[str, Any]:
    if "key" in row:
        return row | {"caption": change(row["key"], row["caption"])}
    start = row["dataset"], row["split"], row["media_id"]
    objects = [
        one | {"caption": change(object_key(*start, one["object_id"]), one["caption"])} for one in row["objects"]
    ]
    return row | {"objects": objects}


def caption_scores(releases: Releases) -> dict[str, Any]:
    """How many of the captions that are learnt from say what is true, by kind and attribute."""
    found = {}
    for kind in _KINDS:
        scored = score_release(getattr(releases, kind), releases.world / "facts.json")
        rates = {name: tally.rate for name, tally in scored.attributes.items()}
        found[kind] = {"captions": scored.objects, "objects_without": scored.missing, **rates}
    return found


@dataclass(frozen=True, slots=True)
class UnseenVideos:
    """Videos to test on: their folders by video id, and the truth as ``capgen eval tracks`` takes it.

    Args:
        keys: the key of each true track in ``facts.json``, by its id in the truth.
    """

    truth: Path
    facts: Path
    folders: dict[int, Path]
    keys: dict[int, str]


def unseen_videos(out: Path, size: Size, world: Path | None = None) -> UnseenVideos:
    """The test world's videos, of both splits, with true captions in one YouTube-VIS file ``test-truth.json``."""
    folder = world or out / "test"
    if world is None:
        ensure_world(folder, 0, size.test_videos, TEST_SEED)
    return write_truth(folder, out / "test-truth.json")


def write_truth(world: Path, file: Path) -> UnseenVideos:
    """Join both splits of a world's videos into one truth with captions.

    Raises:
        UserError: the world has no facts.
    """
    facts = read_facts(world / "facts.json")
    whole: dict[str, Any] = {"videos": [], "annotations": [], "categories": []}
    folders: dict[int, Path] = {}
    keys: dict[int, str] = {}
    for split in ("train", "val"):
        part = json.loads((world / "lv-vis" / f"{split}_instances.json").read_bytes())
        whole["videos"] += part["videos"]
        whole["categories"] = part["categories"]
        for video in part["videos"]:
            name = Path(video["file_names"][0]).parent
            folders[video["id"]] = world / "lv-vis" / split / "JPEGImages" / name
        for row in part["annotations"]:
            number = len(keys) + 1
            keys[number] = object_key("lv-vis", split, str(row["video_id"]), str(row["id"]))
            whole["annotations"].append(row | {"id": number, "caption": caption(facts.objects[keys[number]])})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(whole), encoding="utf-8")
    return UnseenVideos(file, world / "facts.json", folders, keys)
