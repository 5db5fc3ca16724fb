"""The embedded captioner: its files are checked before anything is loaded, and it sees."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from benchmarks.releasing.judge import change
from capgen.errors import UnknownName, UserError
from capgen.pipeline.judging.judge import judge_run
from capgen.pipeline.judging.records import JudgeRules
from capgen.pipeline.planning.config import load_settings, with_model
from capgen.pipeline.running.retry import recorded
from capgen.sample.embedded_model import model_dir, verify
from capgen.sample.write import write_world
from tests.pipeline.runs import session

FOLDER = Path(__file__).resolve().parents[2] / "capgen" / "sample" / "embedded"


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(FOLDER, tmp_path / "embedded"))


def test_the_published_files_pass_and_weigh_at_most_12_megabytes():
    assert model_dir() == FOLDER
    assert (FOLDER / "model.safetensors").stat().st_size <= 12e6


def test_a_truncated_weights_file_is_named_with_its_remedy(copy):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"model\.safetensors is truncated: [\d,]+ of [\d,]+ bytes; restore it: pip"):
        verify(copy)


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_changed_file_is_named_with_its_remedy(copy, name):
    data = bytearray((copy / name).read_bytes())
    data[-2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(UserError, match=f"{name} is not the published file: its SHA-256 differs; restore it"):
        verify(copy)


def test_a_missing_file_is_named(copy):
    (copy / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"missing .*model\.safetensors; restore it"):
        verify(copy)


def test_the_check_needs_neither_torch_nor_vllm():
    check = "from capgen.sample.embedded_model import model_dir; model_dir()"
    code = f"import sys; {check}; print({{'torch', 'vllm'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_captions_follow_the_mark_in_an_unseen_world():
    """Each caption fits its own object better than the scene's other objects: most categories and colours are right."""
    pytest.importorskip("transformers")
    from experiments.embedded.config import load_config
    from experiments.embedded.scoring.evaluate import Captioner, judge, questions

    asked = list(questions(load_config(), "image", 910_777, 40, told=False))
    said = Captioner(FOLDER).answer([item.view for item in asked])
    assert all(text[:2] in ("A ", "An") and text.endswith(".") for text in said)
    own = [judge(text, item.truth) for text, item in zip(said, asked, strict=True)]
    other = [judge(text, item.other) for text, item in zip(said, asked, strict=True)]
    for name in ("category", "colour"):
        right = sum(found[name] == "right" for found in own)
        assert right >= 32
        assert right > sum(found[name] == "right" for found in other) + 5


def test_the_embedded_judge_answers_questions_about_true_and_changed_sentences(tmp_path):
    pytest.importorskip("transformers")
    flags = {"engine.name": "echo", "model.id": "none", "source.root": tmp_path / "world" / "lvis"}
    write_world(tmp_path / "world", images=2, videos=0, seed=910_778)
    out, _ = session(load_settings("sample-images", flags, ("tries.again=[]",)), tmp_path / "out")
    every = json.loads((tmp_path / "world" / "facts.json").read_text())["objects"]
    some = [key for key in every if key.startswith("lvis/")][:4]
    true, changed, _ = change({key: every[key] for key in some}, random.Random(3))
    judge = recorded(out, flags | {"engine.name": "transformers"}).settings
    verdicts = {}
    for name, sentences in (("true", true), ("changed", changed)):
        table = tmp_path / f"{name}.parquet"
        rules = JudgeRules(method="yes_no")
        judge_run(out, with_model(judge, str(model_dir("embedded-judge"))), rules, sentences=sentences, table=table)
        verdicts[name] = Counter(row["verdict"] for row in pq.read_table(table).to_pylist())
    assert verdicts["true"]["right"] >= 0.7 * len(true) > 2
    assert verdicts["changed"]["wrong"] >= 0.7 * len(changed)
    with pytest.raises(UnknownName, match="no embedded model is called 'embeded'"):
        model_dir("embeded")
