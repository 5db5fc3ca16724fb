"""Sound inputs of import, models and the commands that judge captions, and what is done to them."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from capgen.dataset.layout import RunLayout
from capgen.dataset.reader import read_rows
from capgen.sample.write import vocabulary
from tests.stress import fuzz_inputs
from tests.stress.fuzz_inputs import Case, Kind

# import -------------------------------------------------------------------------------------------------------------


def _import_inputs(base: Path) -> None:
    from tests.exporting.releases import exported, film_release, image_release

    for name, to in (("coco", "coco"), ("official", "official")):
        exported(image_release(base / name), base / name / "given", to)
    (base / "film").mkdir()
    exported(film_release(base / "film"), base / "film" / "given", "youtube-vis")


def _import_case(draw: random.Random, base: Path, place: Path) -> Case:
    form = draw.choice(("coco", "official", "film"))
    given = shutil.copytree(base / form / "given", place / "given")
    files = sorted(file for file in given.rglob("*.json") if file.name != "export.json")
    fuzz_inputs.damage_file(draw.choice(files), draw)
    pictures = base / form / "pictures"
    return Case(form, ["import", str(given), "--out", str(place / "out"), "--root", str(pictures)], place / "out")


# score, calibrate, push, lint and report of an OUT with scores of a judge ---------------------------------------------


def _quality_inputs(base: Path) -> None:
    from tests.exporting.releases import write_picture
    from tests.tiny_runs import three_shards

    for number in range(1, 6):
        write_picture(base / "pictures" / f"{number}.jpg")
    run = three_shards(base / "run")
    run.commit(change=lambda row: msgspec.structs.replace(row, logprob_min=-0.5, caption="A red cup.")).pack()
    rows = [row for file in RunLayout(run.out).all_candidates() for row in read_rows(file)]
    keys = [row.key for row in rows]
    fact = {"category": "cup", "colour": "red", "texture": "plain", "size": "small", "motion": None}
    objects = dict.fromkeys(keys, fact | {"moving_s": 0.0, "area": 0.01, "hidden": 0.0})
    told = {"version": 1, "objects": objects, "vocabulary": vocabulary()}
    (base / "facts.json").write_text(json.dumps(told))
    (base / "labels.jsonl").write_text("".join(json.dumps({"key": key, "right": True}) + "\n" for key in keys))
    table = {"key": keys, "caption": ["A red cup."] * len(keys), "method": ["fit"] * len(keys)}
    scores = {"score": [-0.5] * len(keys), "verdict": ["right"] * len(keys)}
    pq.write_table(pa.table(table | scores), RunLayout(run.out).judge)


def _quality_case(draw: random.Random, base: Path, place: Path) -> Case:
    out = shutil.copytree(base / "run", place / "run")
    facts, labels = (Path(shutil.copy(base / name, place)) for name in ("facts.json", "labels.jsonl"))
    judge = RunLayout(out).judge
    commands = {
        "score": (["score", str(out), "--facts", str(facts)], facts),
        "calibrate facts": (["calibrate", str(out), "--facts", str(facts)], facts),
        "calibrate labels": (["calibrate", str(out), "--labels", str(labels)], labels),
        "calibrate scores": (["calibrate", str(out), "--labels", str(labels), "--scores", str(judge)], judge),
        "report": (["report", str(out)], judge),
        "lint": (["lint", str(out)], judge),
        "push": (["push", str(out), "me/captions"], judge),
        "gallery": (["gallery", str(out), "--root", str(base / "pictures"), "--export", str(place / "out")], judge),
    }
    form = draw.choice(sorted(commands))
    arguments, file = commands[form]
    if draw.random() < 0.5:
        fuzz_inputs.damage_file(file, draw, named=file is not judge)
    else:
        fuzz_inputs.tamper(out, draw)
    return Case(form, arguments, out / "report")


# models -------------------------------------------------------------------------------------------------------------

_TOML = """profile = "qwen3-vl"
[render]
patch = 16
clean_pixels = 200704
square = false
margin = 1.0
coordinates = "thousand"
system = "message"
[model]
template = { enable_thinking = false }
reasoning = [["<think>", "</think>"]]
max_pictures = 4
"""
_ODD = (
    "0",
    "-1",
    "1024",
    "1e308",
    "nan",
    "inf",
    "-inf",
    "true",
    '""',
    '"\\u001b[31m"',
    "[]",
    "{}",
    "1979-05-27",
    "9" * 5000,
)
_CONFIG = {"architectures": ["Qwen3VLForConditionalGeneration"], "vision_config": {"model_type": "x"}}


def _model_inputs(base: Path) -> None:
    (base / "model").mkdir()


def _model_case(draw: random.Random, base: Path, place: Path) -> Case:
    folder = shutil.copytree(base / "model", place / "model")
    lines = _TOML.splitlines()
    at = draw.randrange(len(lines))
    name, mark, _ = lines[at].partition(" = ")
    lines[at] = f"{name}{mark}{draw.choice(_ODD)}" if mark else draw.choice(("[[render]]", "[x]", "[model.template]"))
    (folder / "capgen.toml").write_text("\n".join(lines))
    (folder / "config.json").write_text(json.dumps(_CONFIG))
    if draw.random() < 0.4:
        fuzz_inputs.damage_file(folder / draw.choice(("capgen.toml", "config.json")), draw)
    engine = draw.choice(("vllm", "transformers"))
    return Case(engine, ["models", str(folder), "--engine", engine, *draw.choice(([], ["--json"]))], place / "none")


MORE_KINDS = {
    kind.name: kind
    for kind in (
        Kind("import", _import_inputs, _import_case),
        Kind("quality", _quality_inputs, _quality_case),
        Kind("models", _model_inputs, _model_case),
    )
}
