"""The families of models: each profile is whole, is chosen by a model's own config, and says what will be used."""

import json
import logging
import os
import re

import pytest

from capgen.cli.main import app
from capgen.errors import UnknownName, UserError
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.model_profiles import VisualTokens, find_profile, model_profiles
from capgen.pipeline.planning.preflight import check_pictures, tell_model
from capgen.pipeline.rendering.prompt import load_prompt
from capgen.resources import resource
from capgen.sample.embedded_model import model_dir

FAMILIES = {
    "Qwen2_5_VLForConditionalGeneration": "qwen2.5-vl",
    "Qwen3VLForConditionalGeneration": "qwen3-vl",
    "Qwen3VLMoeForConditionalGeneration": "qwen3-vl",
    "Qwen3_5ForConditionalGeneration": "qwen3.5",
    "Qwen3_5MoeForConditionalGeneration": "qwen3.5",
    "Qwen4ExpForConditionalGeneration": "qwen3.8-flash-next",
    "InternVLChatModel": "internvl",
    "InternVLForConditionalGeneration": "internvl",
    "Gemma3ForConditionalGeneration": "gemma3",
    "Gemma4ForConditionalGeneration": "gemma4",
    "Molmo2ForConditionalGeneration": "molmo2",
    "Glm4vMoeForConditionalGeneration": "glm-v",
    "Glm5NextForConditionalGeneration": "glm-5.3",
    "Mistral3ForConditionalGeneration": "mistral3",
    "PixtralForConditionalGeneration": "pixtral",
    "LlavaOnevisionForConditionalGeneration": "llava-onevision",
    "LlavaOnevision2ForConditionalGeneration": "llava-onevision2",
    "MiniCPMV": "minicpm-v",
    "SmolVLMForConditionalGeneration": "smolvlm",
    "Idefics3ForConditionalGeneration": "idefics3",
    "KimiVLForConditionalGeneration": "kimi-vl",
    "Llama4ForConditionalGeneration": "llama4",
    "Ovis2_5": "ovis",
}


@pytest.fixture
def folder(tmp_path):
    """A model folder with a config.json of some architecture."""

    def make(architecture, toml=None, **config):
        path = tmp_path / architecture
        path.mkdir()
        (path / "config.json").write_text(json.dumps({"architectures": [architecture]} | config))
        if toml is not None:
            (path / "capgen.toml").write_text(toml)
        return str(path)

    return make


@pytest.mark.parametrize("architecture", FAMILIES)
def test_a_family_is_chosen_by_the_architecture(folder, architecture):
    profile, why = find_profile(folder(architecture))
    assert profile.name == FAMILIES[architecture]
    assert architecture in why


def test_architectures_belong_to_one_family():
    seen = [(one, profile.name) for profile in model_profiles().values() for one in profile.architectures]
    assert len(dict(seen)) == len(seen)


def test_a_shared_architecture_is_told_apart_by_its_vision_tower(folder):
    pixtral = folder("LlavaForConditionalGeneration", vision_config={"model_type": "pixtral"})
    assert find_profile(pixtral)[0].name == "pixtral"
    (llava, _) = find_profile(folder("LlavaForConditionalGeneration2"))
    assert llava is None


@pytest.mark.parametrize("name", sorted(model_profiles()))
def test_every_profile_makes_settings_that_its_engines_take_and_names_its_sources(name):
    profile = model_profiles()[name]
    for engine in ("vllm", "transformers", "openai", "batchfile", "echo"):
        settings = load_settings("lvis", {"model.id": "a/b", "model.profile": name, "engine.name": engine})
        build_engine(settings.engine)
        assert settings.model.profile == name
        assert settings.model.template == (profile.model.template or {})
    assert profile.sources
    assert profile.memory
    for text in (profile.licence, profile.captions, *profile.sources.values()):
        assert len(text) > 2
    assert name == "embedded" or {"pictures", "licence", "memory", "visual" if profile.visual.side else "vllm"} <= set(
        profile.sources
    )
    if profile.render.square:
        side = profile.visual.side or profile.render.patch
        assert profile.render.clean_pixels == side**2
    if profile.thinking == "switch":
        assert profile.model.template
        assert profile.model.reasoning


@pytest.mark.parametrize(
    ("model", "family"),
    [
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl"),
        ("qwen3-vl:8b", "qwen3-vl"),
        ("Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl"),
        ("Qwen/Qwen3.8-27B", "qwen3.5"),
        ("google/gemma-4-31b-it", "gemma4"),
        ("Qwen/Qwen3.8-Flash-Next-FP8", "qwen3.8-flash-next"),
        ("Qwen/Qwen3.8-2.4T-A95B", None),
        ("qwen2.5vl:7b", "qwen2.5-vl"),
        ("gemma3:12b", "gemma3"),
        ("google/gemma-3n-E4B-it", None),
        ("gemma4", "gemma4"),
        ("llama4:scout", "llama4"),
        ("mistral-small3.2:24b", "mistral3"),
        ("mistralai/Magistral-Small-2509", "mistral3"),
        ("mistralai/Mistral-Small-4-119B-2603", "mistral3"),
        ("moonshotai/Kimi-K2.6", "kimi-vl"),
        ("allenai/molmo-2-8b", "molmo2"),
        ("z-ai/glm-4.5v", "glm-v"),
        ("z-ai/glm-5.3-flash", "glm-5.3"),
        ("llava-hf/llava-onevision-qwen2-7b-ov-hf", "llava-onevision"),
        ("lmms-lab/LLaVA-OneVision-1.5-8B-Instruct", None),
        ("lmms-lab-encoder/LLaVA-OneVision-2-8B-Instruct", "llava-onevision2"),
        ("./somebody", None),
        ("embedded", "embedded"),
        ("somebody/embedded-vl", None),
        ("tiny-vlm", None),
    ],
)
def test_where_no_config_is_here_the_name_decides(model, family):
    profile, _ = find_profile(model)
    assert (profile and profile.name) == family


def test_an_unknown_architecture_runs_with_safe_defaults_and_a_warning(folder, caplog):
    model = folder("NobodyKnowsThis")
    settings = load_settings("lvis", {"model.id": model})
    assert (settings.model.profile, settings.render.coordinates, settings.model.template) == ("none", "percent", {})
    tell_model(settings)
    (line,) = [record.getMessage() for record in caplog.records]
    assert "no profile knows the architecture NobodyKnowsThis" in line
    caplog.clear()
    tell_model(load_settings("lvis", {"model.id": "m", "engine.name": "openai"}))
    assert not caplog.records, "a server knows its model"


@pytest.mark.parametrize("config", ["[]", "{", '{"architectures": "x"}', '{"architectures": [7]}', "[" * 5000])
def test_a_damaged_config_is_no_profile_and_no_error(tmp_path, config):
    (tmp_path / "config.json").write_text(config)
    profile, why = find_profile(str(tmp_path))
    assert profile is None
    assert why


def test_later_layers_win(folder):
    """Pipeline file < profile < model folder's capgen.toml < flags < --set."""
    model = folder("Qwen3_5ForConditionalGeneration")
    assert load_settings("lvis", {"model.id": model}).render.coordinates == "thousand"
    assert load_settings("lvis", {"model.id": model}).render.clean_pixels == 307200, "the profile does not name it"
    model = folder("Qwen2_5_VLForConditionalGeneration", "[render]\npatch = 56\n[model]\nmax_pictures = 3\n")
    settings = load_settings("lvis", {"model.id": model})
    assert (settings.render.patch, settings.render.coordinates, settings.model.max_pictures) == (56, "pixel", 3)
    flags = {"model.id": model, "render.patch": 84}
    assert load_settings("lvis", flags).render.patch == 84
    assert load_settings("lvis", flags, ["render.patch=112"]).render.patch == 112


def test_a_profile_may_be_named_and_refused(folder):
    model = folder("NobodyKnowsThis")
    assert load_settings("lvis", {"model.id": model}, ["model.profile=qwen3.5"]).model.template
    none = load_settings("lvis", {"model.id": "Qwen/Qwen3.5-4B"}, ["model.profile=none"])
    assert (none.model.template, none.render.coordinates) == ({}, "percent")
    with pytest.raises(UnknownName, match=r"no model profile is called 'qwen3.6'.*qwen3.5"):
        load_settings("lvis", {"model.id": model}, ["model.profile=qwen3.6"])


def test_thinking_is_switched_off_where_there_is_a_switch_and_named_where_there_is_none(folder, caplog):
    assert load_settings("lvis", {"model.id": "Qwen/Qwen3.5-4B"}).model.template == {"enable_thinking": False}
    for model in ("Qwen/Qwen3-VL-8B-Thinking", folder("Glm5NextForConditionalGeneration")):
        caplog.clear()
        tell_model(load_settings("lvis", {"model.id": model}))
        assert f"{model} reasons before it answers and cannot be told not to" in caplog.text


def test_a_licence_is_that_of_the_model_and_not_of_its_predecessors():
    assert model_profiles()["qwen3.5"].licence.startswith("Apache-2.0")
    assert "Qwen Community License" in model_profiles()["qwen3.8-flash-next"].licence


@pytest.mark.parametrize(
    "toml",
    [
        "[engine]\nname = 'openai'\n",
        "[engine.options]\nbase_urls = 'http://elsewhere/v1'\napi_key_env = 'HOME'\n",
        "[engine.options.args]\ntrust_remote_code = true\n",
        "[model]\ntrust_remote_code = true\n",
        "[model]\nid = 'other/model'\n",
        "[card]\ntemplate = '/etc/passwd'\n",
        "[checks]\nnames = []\n",
        "[source]\nroot = '/'\n",
        "[sampling]\nseed = 1\n",
        "[prompt]\nname = '/etc/passwd'\n",
        "[render]\nhighlights = 'x:y'\n",
        "name = 'x'\n",
    ],
)
def test_a_model_folder_decides_pictures_and_text_alone(folder, toml):
    with pytest.raises(UserError, match=r"capgen\.toml: .*a model folder decides pictures and text alone") as raised:
        load_settings("lvis", {"model.id": folder("Qwen3VLForConditionalGeneration", toml)})
    named = re.search(r"[\w.]+", toml.replace("[", "")).group()
    assert named.split(".")[0] in str(raised.value)


def test_code_of_a_model_is_allowed_on_the_command_line_alone(tmp_path, caplog):
    file = tmp_path / "mine.toml"
    text = resource("pipelines", "lvis", ".toml").read_text()
    file.write_text(text.replace("[model]\n", "[model]\ntrust_remote_code = true\n"))
    with pytest.raises(UserError, match="allowed on the command line alone"):
        load_settings(str(file), {})
    for engine in ("vllm", "transformers"):
        settings = load_settings("lvis", {"engine.name": engine}, ["engine.options.args.trust_remote_code=true"])
        with pytest.raises(UserError, match=r"model\.trust_remote_code=true"):
            build_engine(settings.engine)
    caplog.set_level(logging.WARNING)
    allowed = load_settings("lvis", {"model.id": "a/b"}, ["model.trust_remote_code=true"])
    assert allowed.model.trust_remote_code
    tell_model(allowed)
    assert "Python code in the model's folder is run" in caplog.text


def test_the_embedded_captioner_has_its_own_profile():
    settings = load_settings("lvis", {"model.id": str(model_dir())})
    assert settings.model.profile == "embedded"
    assert (settings.render.patch, settings.render.square, settings.render.coordinates) == (12, True, "percent")
    assert settings.engine.options["dtype"] == "float32"
    assert "args" not in settings.engine.options, "facts of large Idefics 3 models do not reach it"
    assert ENGINES.load("vllm")


def test_numbers_of_visual_tokens_are_predicted():
    assert VisualTokens(rule="patches", side=32, fewest_pixels=65536).count(640, 480) == 300
    assert VisualTokens(rule="patches", side=32, fewest_pixels=65536).count(64, 64) == 64
    assert VisualTokens(rule="patches", side=16, per_row=1).count(640, 480) == 41 * 30
    assert VisualTokens(rule="tiles", side=448, tokens=256).count(448, 448) == 256
    assert VisualTokens(rule="tiles", side=448, tokens=256).count(640, 480) is None
    assert VisualTokens(rule="fixed", tokens=256).count(10, 20) == 256
    assert VisualTokens(rule="budget", side=48, tokens=280).count(640, 480) == 19 * 14
    assert VisualTokens(rule="unknown").count(10, 20) is None


@pytest.mark.parametrize(
    ("size", "crops"),
    [
        ((378, 378), (1, 1)),
        ((644, 476), (2, 2)),
        ((224, 392), (1, 2)),
        ((1064, 490), (4, 2)),
        ((4000, 3000), (3, 2)),
        ((112, 392), (1, 2)),
        ((98, 700), (1, 1)),
        ((2000, 140), (8, 1)),
    ],
)
def test_molmo_2_cuts_a_picture_into_crops_that_overlap(size, crops):
    """The rows of crops end with a token each; a side of n crops has 266 n + 112 pixels, a token for 28 of them."""
    across, down = (-(-(266 * number + 112) // 28) for number in crops)
    assert model_profiles()["molmo2"].visual.count(*size) == 14 * 14 + down * (across + 1)


def test_molmo_2_gets_its_system_text_from_the_user():
    settings = load_settings("lvis", {"model.id": "allenai/Molmo2-8B"})
    assert (settings.render.system, settings.render.coordinates) == ("user", "thousand")
    assert load_settings("lvis", {"model.id": "Qwen/Qwen3-VL-8B-Instruct"}).render.system == "message"


def test_a_prompt_with_more_pictures_than_the_model_takes_is_refused_before_anything_is_asked():
    settings = load_settings("lv-vis", {}, ["model.max_pictures=5"])
    prompt = load_prompt("shared-crop_v1", category=True)
    with pytest.raises(UserError, match="shows 6 pictures of videos, and the model takes 5"):
        check_pictures(settings, prompt)
    check_pictures(load_settings("lvis", {}, ["model.max_pictures=2"]), prompt)


def test_the_memory_of_an_engine_is_counted_from_layers_and_widths():
    needs = model_profiles()["qwen3-vl"].memory["8B"]
    assert needs.cache(1) * 2**30 == 36 * 8 * 128 * 2 * 2  # keys and values, two bytes a number
    assert needs.step(256) * 2**30 == 8192 * (2 * 4096 + 2 * 12288) * 2 + 256 * 151936 * 8
    assert needs.least(256, 4096) == pytest.approx(16.4 + needs.step(256) + needs.cache(4096))
    assert needs.full(256) == pytest.approx(16.4 + needs.step(256) + 256 * needs.cache(1024))


def test_layers_with_a_window_keep_no_more_than_that():
    needs = model_profiles()["gemma3"].memory["27B"]
    full, window = 10 * 16 * 128 * 4, 52 * 16 * 128 * 4
    assert needs.cache(1000) * 2**30 == 1000 * (full + window)
    assert needs.cache(5000) * 2**30 == 5000 * full + 1024 * window


def test_a_size_whose_configuration_nobody_read_says_so():
    needs = model_profiles()["mistral3"].memory["Ministral 8B"]
    assert needs.text(256, 4096).endswith("its configuration was not read")


def test_the_table_of_memory_in_the_document_is_the_computed_one():
    from scripts.model_table import DOCUMENT, MEMORY_MARKS, memory_table

    begin, end = MEMORY_MARKS
    assert DOCUMENT.read_text().partition(begin)[2].partition(end)[0].strip() == memory_table()


def test_of_minicpm_the_checkpoint_named_thinking_always_thinks():
    profile = model_profiles()["minicpm-v"]
    assert profile.thinks_always("openbmb/MiniCPM-V-4.6-Thinking")
    assert not profile.thinks_always("openbmb/MiniCPM-V-4.6")


@pytest.mark.parametrize("line", ["clean_pixels = 1000000000000", "marked_pixels = 0", "patch = 2000000000"])
def test_a_model_folder_asks_for_no_picture_that_takes_all_memory(folder, line):
    path = folder("Qwen3VLForConditionalGeneration", f"[render]\n{line}\n")
    with pytest.raises(UserError, match=r"capgen\.toml: render\.") as said:
        load_settings("lvis", {"model.id": path})
    assert len(str(said.value).splitlines()) == 1


def test_a_model_folder_with_patches_larger_than_a_picture_is_described(folder, capsys):
    path = folder("Qwen3VLForConditionalGeneration", "[render]\npatch = 1024\n")
    app(["models", path], standalone_mode=False)
    assert "for 1024 x 1024" in capsys.readouterr().out


def test_a_pipe_in_the_place_of_a_configuration_is_none(tmp_path):
    os.mkfifo(tmp_path / "config.json")
    os.mkfifo(tmp_path / "capgen.toml")
    assert find_profile(str(tmp_path))[0] is None
    assert load_settings("lvis", {"model.id": str(tmp_path)}).model.profile == "none"


@pytest.mark.parametrize("verb", [["models"], ["plan", "--dataset", "lvis", "--root", ".", "--model"]])
def test_an_engine_or_a_model_folder_that_is_not_there_is_refused(verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UnknownName, match=r"no engine is called 'opnai'.*openai"):
        app([*verb, "Qwen/Qwen3-VL-8B-Instruct", "--engine", "opnai"], standalone_mode=False)
    for path in ("./folder", "../folder", "/no/folder", "./one/folder"):
        with pytest.raises(UserError, match=rf"--model {path}: no such folder"):
            app([*verb, path], standalone_mode=False)


def test_thinking_that_a_model_folder_asks_for_is_not_called_switched_off(folder, capsys):
    app(
        ["models", folder("Qwen3_5ForConditionalGeneration", "[model]\ntemplate = { enable_thinking = true }\n")],
        standalone_mode=False,
    )
    assert "as the template is told: {'enable_thinking': True}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "told"),
    [
        ("internvl", "InternVLChatModel brings code of its own"),
        ("molmo2", "later; code of its own"),
        ("qwen3-vl", "later\n"),
    ],
)
def test_code_that_a_model_brings_is_named(family, told, capsys):
    app(["models", family], standalone_mode=False)
    assert told in capsys.readouterr().out


@pytest.mark.parametrize(
    ("family", "sent"),
    [("qwen2.5-vl", "391 for 644 x 476"), ("glm-5.3", "352 for 616 x 448"), ("embedded", "4 for 96 x 96")],
)
def test_visual_tokens_are_told_for_the_size_that_a_run_sends(family, sent, capsys):
    app(["models", family], standalone_mode=False)
    assert f"{sent}, as 640 x 480 is sent" in capsys.readouterr().out


def test_a_server_may_call_its_model_by_a_path(capsys):
    app(["models", "/models/Qwen3-VL-8B-Instruct", "--engine", "openai"], standalone_mode=False)
    assert "qwen3-vl (its name" in capsys.readouterr().out
