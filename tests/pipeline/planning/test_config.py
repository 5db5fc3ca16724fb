import pytest

from capgen.errors import UnknownName, UserError
from capgen.pipeline.engines.base import build_engine
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.sources import SOURCES
from capgen.resources import resource_dir


def test_every_shipped_pipeline_loads():
    names = sorted(path.stem for path in resource_dir("pipelines").glob("*.toml"))
    assert {*SOURCES, "sample-images", "sample-videos"} == set(names)
    for name in names:
        assert load_settings(name, {}).name == name


def test_flags_are_laid_over_the_file_and_set_over_flags():
    settings = load_settings("lvis", {"source.limit": 5, "model.id": "a/b"}, ["source.limit=7", "render.patch=28"])
    assert (settings.source.limit, settings.model.id, settings.render.patch) == (7, "a/b", 28)


def test_a_models_own_profile_lies_between_the_file_and_the_flags(tmp_path):
    (tmp_path / "capgen.toml").write_text(
        "profile = 'embedded'\n[render]\npatch = 12\nclean_pixels = 9216\n[model]\ntemplate = { a = 1 }\n"
    )
    settings = load_settings("lvis", {"model.id": str(tmp_path)}, ["render.clean_pixels=4096"])
    assert (settings.render.patch, settings.render.clean_pixels) == (12, 4096)
    assert settings.engine.options["dtype"] == "float32"
    assert settings.model.template == {"a": 1}
    assert settings.engine.options["max_num_seqs"] == 256, "what the profile does not name stays as the file has it"


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("render.path=28", "unknown key 'render.path'"),
        ("render.patch=0", "render.patch"),
        ("render.patch=many", "render.patch"),
        ("nothing", "not of the form"),
        ("=1", "not of the form"),
        ("name.x=1", "name: Input should be a valid string"),
    ],
)
def test_a_wrong_assignment_is_named_in_one_line(assignment, said):
    with pytest.raises(UserError) as raised:
        load_settings("lvis", {}, [assignment])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_unknown_pipeline_is_answered_with_the_known_ones():
    with pytest.raises(UnknownName, match="lvis"):
        load_settings("lviss", {})


def test_a_broken_pipeline_file_is_named(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("name = ")
    with pytest.raises(UserError, match=r"mine\.toml"):
        load_settings(str(file), {})


def test_options_of_one_engine_are_not_given_to_another():
    settings = load_settings("lvis", {"engine.name": "echo"}, ["engine.options.seed=3"])
    assert settings.engine.options == {"seed": 3}
    assert load_settings("lvis", {"engine.name": "vllm"}).engine.options["max_num_seqs"] == 256


def test_another_model_is_not_asked_for_at_the_first_ones_revision():
    assert load_settings("lvis", {}).model.revision
    assert load_settings("lvis", {"model.id": "a/b"}).model.revision is None
    assert load_settings("lvis", {"model.id": "a/b", "model.revision": "r"}).model.revision == "r"


@pytest.fixture
def profiled(tmp_path):
    """A model folder that takes a shipped profile."""
    (tmp_path / "capgen.toml").write_text("profile = 'embedded'\n[render]\npatch = 12\n")
    return str(tmp_path)


@pytest.mark.parametrize(
    ("engine", "known"),
    [
        ("openai", {}),
        ("batchfile", {}),
        ("echo", {}),
        ("transformers", {"dtype": "float32", "max_model_len": 1024}),
        ("vllm", {"dtype": "float32", "max_model_len": 1024}),
    ],
)
@pytest.mark.parametrize("by", ["file", "flag"])
def test_a_models_profile_gives_an_engine_only_the_options_that_it_has(profiled, tmp_path, engine, known, by):
    text = (resource_dir("pipelines") / "lvis.toml").read_text()
    file = tmp_path / "mine.toml"
    if by == "file":
        text = text.replace(
            'name = "vllm"\noptions = { max_num_seqs = 256, max_model_len = 4096 }', f'name = "{engine}"'
        )
        assert f'name = "{engine}"' in text
    file.write_text(text)
    flags = {"model.id": profiled} | ({"engine.name": engine} if by == "flag" else {})
    settings = load_settings(str(file), flags)
    assert settings.render.patch == 12
    options = {key: value for key, value in settings.engine.options.items() if key != "max_num_seqs"}
    assert (settings.engine.name, options) == (engine, known)
    build_engine(settings.engine)


def test_a_file_that_names_no_engine_keeps_its_options(tmp_path):
    text = (resource_dir("pipelines") / "lvis.toml").read_text()
    (tmp_path / "mine.toml").write_text(text.replace('name = "vllm"\n', ""))
    settings = load_settings(str(tmp_path / "mine.toml"), {"engine.name": "vllm"})
    assert settings.engine.options["max_num_seqs"] == 256
