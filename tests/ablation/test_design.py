import pytest

from capgen.ablation.design import read_ablation, variants
from capgen.errors import UserError
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.rendering.prompt import prompt_of
from capgen.resources import resource_names

AXES = """
dataset = "lvis"
[axes.layout]
shared = {}
marked = { prompt.name = "marked_v1" }
[axes.marks]
box = {}
contour = { prompt.marks = "contour" }
tint = { prompt = { marks = "tint" } }
"""


def written(folder, text: str) -> str:
    file = folder / "mine.toml"
    file.write_text(text)
    return str(file)


@pytest.mark.parametrize("name", resource_names("ablations", ".toml"))
def test_every_shipped_ablation_has_variants_whose_settings_and_prompts_exist(name):
    found = read_ablation(name)
    for variant in variants(found):
        settings = load_settings(str(found.dataset), variant.settings)
        assert settings.source.limit == found.objects
        prompt_of(settings.prompt)


def test_all_combinations_are_compared_but_those_that_are_left_out(tmp_path):
    text = AXES + '[[leave_out]]\nlayout = "marked"\nmarks = "tint"\n'
    found = variants(read_ablation(written(tmp_path, text)))
    assert [one.name for one in found] == [
        "shared, box",
        "shared, contour",
        "shared, tint",
        "marked, box",
        "marked, contour",
    ]
    assert found[2].settings["prompt.marks"] == "tint"
    assert found[0].settings["tries.again"] == []


def test_one_at_a_time_changes_one_value_of_the_first_variant(tmp_path):
    found = variants(read_ablation(written(tmp_path, AXES.replace("[axes", 'vary = "one"\n[axes', 1))))
    assert [one.name for one in found] == ["shared, box", "shared, contour", "shared, tint", "marked, box"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ('dataset = "lvis"', "axes: Field required"),
        (AXES.replace('dataset = "lvis"', ""), "give either dataset or pipeline"),
        ("objekts = 3\n" + AXES, "unknown key 'objekts' (did you mean 'objects'"),
        (AXES + "BOX = {}\n", "would have one folder"),
        (AXES + '[[leave_out]]\nmarks = "circle"\n', "there is no marks = 'circle'"),
        (AXES + "[set]\nmodel.trust_remote_code = true\n", "allowed on the command line alone"),
        (AXES + '[axes.model]\n"evil" = { model.trust_remote_code = true }\n', "allowed on the command line alone"),
    ],
)
def test_a_mistake_in_the_file_is_said_in_one_line(tmp_path, text, what):
    with pytest.raises(UserError) as error:
        read_ablation(written(tmp_path, text))
    assert what in str(error.value)
    assert "\n" not in str(error.value)
