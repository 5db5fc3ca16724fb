"""Sound inputs of the fuzzed commands, and what is done to them; a case is a function of its random source alone."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tests.evaluation.evalcases import blob, random_scene, write
from tests.stress.hostile_world import CANARY, EXECUTED, change, damage, picture


@dataclass(frozen=True, slots=True)
class Case:
    """What follows ``capgen``; ``written``: the folder whose pages must hold no markup of the input."""

    form: str
    arguments: list[str]
    written: Path

    def trouble(self) -> str | None:
        """What is wrong with what was written."""
        for file in self.written.rglob("*") if self.written.is_dir() else ():
            if file.suffix not in (".html", ".md") or not file.is_file():
                continue
            data = file.read_bytes()
            if CANARY.encode() in data or EXECUTED.encode() in data:
                return f"{file.name} holds markup of the input, or ran a template in it"
        return None


@dataclass(frozen=True, slots=True)
class Kind:
    """``prepare`` makes the sound inputs in a folder, once; ``case`` makes a damaged copy of some in another."""

    name: str
    prepare: Callable[[Path], None]
    case: Callable[[random.Random, Path, Path], Case]


def damage_file(path: Path, draw: random.Random, *, named: bool = False) -> None:
    """Damage one file in place, by what it is; ``named``: the command line names it, so that a pipe is the user's."""
    if draw.random() < 0.12:
        _replace(path, draw, named=named)
    elif path.suffix == ".parquet":
        _parquet(path, draw)
    elif path.suffix in (".json", ".jsonl") and draw.random() < 0.8:
        _json(path, draw)
    elif path.suffix in (".jpg", ".png") and draw.random() < 0.7:
        path.write_bytes(picture(draw)[1] or b"")
    else:
        path.write_bytes(_bytes(path.read_bytes(), draw))


def _bytes(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.5 and data:
        out = bytearray(data)
        for _ in range(draw.randint(1, 8)):
            at = draw.randrange(len(out)) if draw.random() < 0.5 else draw.randrange(min(len(out), 400))
            out[at] = draw.randrange(256)
        return bytes(out)
    return damage(data, draw)[0]


def _replace(path: Path, draw: random.Random, *, named: bool) -> None:
    """Something else under the file's name, or nothing."""
    deed = draw.choice(("gone", "empty", "folder", "loop", "zeros", *(() if named else ("link", "pipe"))))
    path.unlink()
    if deed == "empty":
        path.write_bytes(b"")
    elif deed == "folder":
        path.mkdir()
    elif deed == "link":
        path.symlink_to("/dev/zero")
    elif deed == "pipe":
        os.mkfifo(path)
    elif deed == "loop":
        path.symlink_to(path)
    elif deed == "zeros":
        path.write_bytes(bytes(1000))


def _json(path: Path, draw: random.Random) -> None:
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    at = draw.randrange(len(lines)) if lines else 0
    if not lines:
        return
    data = json.loads(lines[at])
    for _ in range(draw.randint(1, 3)):
        change(data, draw)
    lines[at] = json.dumps(data, ensure_ascii=draw.random() < 0.9)
    text = "\n".join(lines).encode("utf-8", "surrogatepass")
    path.write_bytes(damage(text, draw)[0] if draw.random() < 0.15 else text)


def _parquet(path: Path, draw: random.Random) -> None:
    """Other values, columns or types; or other bytes."""
    table = pq.read_table(path)
    deed = draw.choice(("values", "values", "values", "values", "drop", "rename", "type", "rows", "bytes"))
    name = draw.choice(table.column_names)
    at = table.column_names.index(name)
    if deed == "drop":
        table = table.drop_columns([name])
    elif deed == "rename":
        table = table.rename_columns(["x" if one == name else one for one in table.column_names])
    elif deed == "type":
        table = table.set_column(at, name, pa.array([draw.choice(("a", "", CANARY))] * table.num_rows))
    elif deed == "rows":
        table = draw.choice((table.slice(0, 0), table.slice(1), pa.concat_tables([table, table])))
    elif deed == "values" and table.num_rows:
        table = _values(table, draw)
    if deed == "bytes":
        path.write_bytes(_bytes(path.read_bytes(), draw))
    else:
        pq.write_table(table, path)


def _values(table: pa.Table, draw: random.Random) -> pa.Table:
    """Some values of some rows changed, as far as the columns' types let them be."""
    rows = table.to_pylist()
    for _ in range(draw.randint(1, 3)):
        row = draw.choice(rows)
        name = draw.choice(list(row))
        before = copy.deepcopy(row)
        change(row if draw.random() < 0.5 or not isinstance(row[name], list | dict) else row[name], draw)
        row.update({key: row.get(key) for key in before})
        try:
            pa.Table.from_pylist(rows, table.schema)
        except (pa.ArrowException, ValueError, TypeError, OverflowError, UnicodeEncodeError):
            row.clear()
            row.update(before)
            if isinstance(row[name], str):
                row[name] = draw.choice(
                    (CANARY, "\x1b[31mred", "a\nb", "", "\u202egnp", "../../x", "{{ 7777777 * 7 }}")
                )
            elif isinstance(row[name], int):
                row[name] = draw.choice((0, -1, 1, 2**15 - 1, None))
    return pa.Table.from_pylist([{key: row.get(key) for key in table.column_names} for row in rows], table.schema)


# eval ---------------------------------------------------------------------------------------------------------------


def eval_inputs(base: Path) -> None:
    truth, found = random_scene(3)
    write(base / "boxes", truth, found)
    for one in [*truth, *found]:
        one["segmentation"] = blob(*(int(v) for v in one["bbox"]))
    write(base / "masks", truth, found)
    clips = base / "clips"
    clips.mkdir()
    masks = [[blob(4, 4, 20, 20), None, blob(6, 6, 20, 20)], [None, blob(30, 10, 9, 9), blob(31, 10, 9, 9)]]
    names = ["1/0.jpg", "1/1.jpg", "1/2.jpg"]
    video = {"id": 1, "height": 48, "width": 64, "length": 3, "file_names": names}
    rows = [
        {"id": n, "video_id": 1, "category_id": n, "segmentations": mask, "caption": "a red dog runs", "iscrowd": 0}
        for n, mask in enumerate(masks, 1)
    ]
    categories = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}]
    (clips / "gt.json").write_text(json.dumps({"videos": [video], "annotations": rows, "categories": categories}))
    told = [{key: row[key] for key in ("video_id", "category_id", "segmentations", "caption")} for row in rows]
    (clips / "pred.json").write_text(json.dumps([{**row, "score": 0.9} for row in told]))
    (base / "captions").mkdir()
    (base / "captions" / "gt.json").write_text(json.dumps({"1": ["a red dog", "a dog"], "2": ["a cat"], "3": "a cup"}))
    (base / "captions" / "pred.json").write_text(json.dumps({"1": "a red dog", "2": "a cat", "3": "a cup of tea"}))


def _eval_case(draw: random.Random, base: Path, place: Path) -> Case:
    form = draw.choice(("boxes", "masks", "clips", "captions"))
    shutil.copytree(base / form, place / "in")
    for name in draw.choice((("gt",), ("pred",), ("gt", "pred"))):
        damage_file(place / "in" / f"{name}.json", draw, named=True)
    files = ["--gt", str(place / "in" / "gt.json"), "--pred", str(place / "in" / "pred.json")]
    (place / "out").mkdir()
    files += ["--out", str(place / "out" / "scores.json")]
    if form == "captions":
        return Case("captions", ["eval", "captions", *files, "--metrics", "cider,rouge"], place / "out")
    more = ["--protocol", "both", "--metrics", "cider", "--bootstrap", draw.choice(("0", "5"))]
    if draw.random() < 0.3:
        more += ["--breakdown", "--html", str(place / "out" / "page.html")]
    if form == "clips" and draw.random() < 0.3:
        more += ["--per-class", "youtube-vis"]
    return Case(form, ["eval", "tracks", *files, *more], place / "out")


# predict ------------------------------------------------------------------------------------------------------------


def _predict_inputs(base: Path) -> None:
    from PIL import Image

    from tests.maskcaptioner.films import frame, write_video
    from tests.maskcaptioner.random_model import save_random

    save_random(base / "model")
    write_video(base / "clip.mp4", 6)
    (base / "frames").mkdir()
    for number in range(3):
        Image.fromarray(frame(number)).save(base / "frames" / f"{number}.jpg")


def _predict_case(draw: random.Random, base: Path, place: Path) -> Case:
    form = draw.choice(("video", "frames", "picture", "model", "model"))
    model, source = base / "model", base / "frames"
    if form == "model":
        model = shutil.copytree(base / "model", place / "model")
        damage_file(draw.choice(sorted(file for file in model.iterdir() if file.is_file())), draw)
        if draw.random() < 0.2:
            (model / draw.choice(("pytorch_model.bin", "modeling_x.py", "extra.pkl"))).write_bytes(b"\x80\x04.")
    elif form == "video":
        source = place / "clip.mp4"
        source.write_bytes(_bytes((base / "clip.mp4").read_bytes(), draw))
        if draw.random() < 0.15:
            playlist = b"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n" + f"{place}/elsewhere/secret\n".encode()
            source.write_bytes(
                draw.choice((playlist, f"ffconcat version 1.0\nfile {place}/elsewhere/secret\n".encode()))
            )
    else:
        source = shutil.copytree(base / "frames", place / "frames")
        for file in sorted(source.iterdir())[: draw.randint(1, 3)]:
            damage_file(file, draw)
        if form == "picture":
            source = sorted(source.iterdir())[0] if any(source.iterdir()) else source
    arguments = ["predict", str(source), "--model", str(model), "--out", str(place / "out"), "--device", "cpu"]
    return Case(form, [*arguments, "--threshold", "0.0", "--max-tracks", "3"], place / "out")


# lint and OUTs ------------------------------------------------------------------------------------------------------


def _out_inputs(base: Path) -> None:
    from tests.conftest import write_lvis
    from tests.pipeline.runs import echo_settings, session

    session(echo_settings(write_lvis(base / "lvis", images=3)), base / "run")


def _lint_inputs(base: Path) -> None:
    _out_inputs(base)
    rows = [
        {"key": f"lvis/train/{n}/1", "caption": text, "category": "cup", "finish_reason": "stop"}
        for n, text in enumerate(("A red cup on a table.", "cup cup cup cup", "Sorry, I cannot.", "", "图像中的 cup"))
    ]
    (base / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (base / "rows.csv").write_text(
        "key,caption,category\n" + "\n".join(f'{r["key"]},"{r["caption"]}",cup' for r in rows)
    )
    pq.write_table(pa.Table.from_pylist(rows), base / "rows.parquet")


def tamper(out: Path, draw: random.Random) -> None:
    """Damage one to three files of a run; half of the time its record of hashes is made to fit again."""
    files = [file for file in sorted(out.rglob("*")) if file.is_file() and file.name != ".lock"]
    for file in draw.sample(files, min(len(files), draw.randint(1, 3))):
        damage_file(file, draw)
    record = out / "release.json"
    if draw.random() < 0.5 and record.is_file():
        try:
            told = json.loads(record.read_bytes())
            for entry in told["files"]:
                if not (out / entry["path"]).is_file() or (out / entry["path"]).is_symlink():
                    continue
                data = (out / entry["path"]).read_bytes()
                entry["sha256"], entry["bytes"] = hashlib.sha256(data).hexdigest(), len(data)
            record.write_text(json.dumps(told))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return


def _lint_case(draw: random.Random, base: Path, place: Path) -> Case:
    form = draw.choice(("jsonl", "csv", "parquet", "run"))
    if form == "run":
        file = shutil.copytree(base / "run", place / "run")
        tamper(file, draw)
    else:
        file = place / f"rows.{form}"
        shutil.copy(base / file.name, file)
        damage_file(file, draw, named=True)
    return Case(form, ["lint", str(file), *(["--json"] if draw.random() < 0.5 else [])], place / "none")


def _out_case(draw: random.Random, base: Path, place: Path) -> Case:
    out = shutil.copytree(base / "run", place / "run")
    tamper(out, draw)
    root, written = str(base / "lvis"), place / "out"
    commands = {
        "status": ["status", str(out)],
        "verify": ["verify", str(out)],
        "report": ["report", str(out)],
        "gallery": ["gallery", str(out), "--root", root, "--export", str(written)],
        "export": [
            "export",
            str(out),
            str(written),
            "--to",
            draw.choice(("coco", "llava", "official")),
            "--root",
            root,
        ],
        "retry": ["retry", str(out), "--root", root, "--reason", "empty"],
        "reviews": ["reviews", str(out)],
    }
    form = draw.choice(sorted(commands))
    return Case(form, commands[form], written)


# train --------------------------------------------------------------------------------------------------------------


def _train_inputs(base: Path) -> None:
    from tests.maskcaptioner.worlds import make_releases, training_file

    make_releases(base)
    training_file(base)


def _train_case(draw: random.Random, base: Path, place: Path) -> Case:
    for name in ("images", "videos"):
        shutil.copytree(base / name, place / name)
    form = draw.choice(("images", "videos"))
    tamper(place / form, draw)
    arguments = ["train", str(base / "tiny.toml"), "--out", str(place / "out")]
    arguments += ["--data", str(place / "images"), "--data", str(place / "videos")]
    arguments += ["--root", str(base / "world" / "lv-vis")]  # the images are in their release
    for setting in ("stages.images.steps=1", "stages.clips.steps=1", "stages.clips.accumulate=1"):
        arguments += ["--set", setting]
    return Case(form, arguments, place / "out")


KINDS = {
    kind.name: kind
    for kind in (
        Kind("eval", eval_inputs, _eval_case),
        Kind("predict", _predict_inputs, _predict_case),
        Kind("lint", _lint_inputs, _lint_case),
        Kind("out", _out_inputs, _out_case),
        Kind("train", _train_inputs, _train_case),
    )
}
