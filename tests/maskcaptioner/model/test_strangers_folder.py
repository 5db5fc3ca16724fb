"""A model folder that somebody else made: nothing in it is executed, and nobody is asked on the terminal whether to."""

import json
import pickle
import sys

import pytest
import torch
from transformers import AutoConfig

from capgen.errors import UserError
from capgen.maskcaptioner.inference.load import open_model
from capgen.maskcaptioner.model.captioning.language import LanguageModel
from capgen.maskcaptioner.model.config import MaskCaptionerConfig
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
from capgen.maskcaptioner.model.pretrained_parts import load_segmenter
from capgen.maskcaptioner.model.segmentation.classes import text_width
from capgen.maskcaptioner.training.checkpoint import _load
from tests.maskcaptioner.tinymodel import tiny_model


class Bomb:
    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return (open, (str(self.mark), "w"))


@pytest.fixture
def never_asked(monkeypatch):
    """A terminal whose user would say yes to everything; what was asked."""
    asked = []
    monkeypatch.setattr("builtins.input", lambda *prompt: asked.append(prompt) or "y")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True, raising=False)
    yield asked
    assert asked == []


@pytest.mark.parametrize("name", ["pytorch_model.bin", "state.pt", "weights.pth", "extra.PKL"])
def test_a_pickle_in_the_folder_is_refused_with_one_line(tmp_path, name):
    tiny_model().save_pretrained(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Bomb(tmp_path / "executed")))
    with pytest.raises(UserError, match="is a pickle") as refused:
        open_model(str(tmp_path))
    assert name in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (tmp_path / "executed").exists()


def test_code_that_a_language_model_in_the_configuration_names_is_not_run(tmp_path, never_asked):
    tiny_model().save_pretrained(tmp_path)
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: pass\n")
    config = json.loads((tmp_path / "config.json").read_text())
    code = dict.fromkeys(("AutoConfig", "AutoModelForCausalLM", "AutoTokenizer"), f"{tmp_path}--evil.Evil")
    config["auto_map"] = code
    if config.get("caption"):
        config["caption"]["language_model"]["auto_map"] = code
    (tmp_path / "config.json").write_text(json.dumps(config))
    tokenizer = tmp_path / "tokenizer_config.json"
    if tokenizer.exists():
        tokenizer.write_text(
            json.dumps(json.loads(tokenizer.read_text()) | {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}})
        )
    assert isinstance(open_model(str(tmp_path), "cpu"), MaskCaptioner)
    assert not (tmp_path / "executed").exists()


def test_a_tokenizer_of_another_model_is_refused_before_it_is_asked(tmp_path):
    model = tiny_model()
    model.tokenizer.add_special_tokens({"bos_token": "<another>"})
    model.save_pretrained(tmp_path)
    rows = model.caption_head.language.causal.get_input_embeddings().num_embeddings
    with pytest.raises(UserError, match=f"bos_token_id is {rows}, and its language model has {rows} tokens"):
        open_model(str(tmp_path))


def test_a_language_model_is_built_without_code_of_its_own(tmp_path, never_asked):
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: pass\n")
    config = AutoConfig.for_model("gpt2", n_layer=1, n_head=1, n_embd=8, vocab_size=16)
    config.auto_map = {"AutoModelForCausalLM": f"{tmp_path}--evil.Evil"}
    LanguageModel(config, 8, 4, 1, torch.float32)
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("load", [load_segmenter, text_width])
def test_an_unknown_kind_of_model_with_code_of_its_own_is_refused(tmp_path, never_asked, load):
    code = dict.fromkeys(("AutoConfig", "AutoModel", "AutoTokenizer"), "evil.Evil")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "evil", "auto_map": code}))
    (tmp_path / "evil.py").write_text(f"open({str(tmp_path / 'executed')!r}, 'w')\nclass Evil: pass\n")
    with pytest.raises(UserError, match="cannot be loaded"):
        load(str(tmp_path))
    assert not (tmp_path / "executed").exists()


def test_a_checkpoint_of_a_training_is_loaded_as_weights_alone(tmp_path):
    torch.save({"model": Bomb(tmp_path / "executed")}, tmp_path / "state.pt")
    with pytest.raises(UserError, match="damaged"):
        _load(tmp_path / "state.pt")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize(
    ("picture", "said"),
    [
        ({"divisor": {}}, "picture.divisor is {}, not a number"),
        ({"short_side": -1}, "picture.short_side is -1, not a size"),
        ({"mean": [0.5]}, r"picture.mean is \[0.5\], not three numbers"),
    ],
)
def test_sizes_that_are_none_are_named(picture, said):
    with pytest.raises(ValueError, match=said):
        MaskCaptionerConfig(picture=picture)
