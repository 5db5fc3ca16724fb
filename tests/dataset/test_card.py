"""A card is valid YAML and Markdown whatever a dataset or a model says, and its numbers are counted."""

from __future__ import annotations

import pytest
import yaml

from capgen.dataset.card import CardInfo, ReleaseInfo, check_card, render_card, size_category, table
from capgen.dataset.quality.counts import QualityCounts
from capgen.dataset.release_record import DedupRules
from capgen.dataset.schema import CAPTIONS, MEDIA
from capgen.dataset.stats import Origin, RowOutcome, Stats
from capgen.display import markdown
from capgen.errors import UnknownName, UserError

GLOBS = {config: {"train": f"data/{config}/train-*.parquet"} for config in ("captions", "media")}
RELEASE = ReleaseInfo(
    globs=GLOBS,
    schemas={"captions": CAPTIONS, "media": MEDIA},
    fingerprint="abc123",
    embedded=False,
    dedup=DedupRules(),
)


def card(template: str = "lvis", **more) -> CardInfo:
    values = {
        "template": template,
        "title": 'LVISCap: "objects"',
        "dataset": "lvis",
        "kind": "image",
        "license_source": "Flickr licences.",
        "license_captions": "cc-by-4.0",
    }
    return CardInfo(**values | more)


@pytest.fixture
def stats():
    stats = Stats()
    stats.add_media("train", [3])
    stats.add_objects(
        "train",
        [
            RowOutcome("k1", "salt|shaker", "A *bold* <b>cup</b> | `x`.", "kept", None),
            RowOutcome("k2", "cup", "A cup.", "dropped", "duplicate", "k1"),
            RowOutcome("k3", "cup", None, "failed", "engine_failed"),
        ],
    )
    stats.origins[Origin("tiny/model", None, "echo", "shared-crop_v1", "a" * 64, "crop+box")] = 1
    return stats


def split_card(text: str) -> tuple[dict, str]:
    _, front, body = text.split("---\n", 2)
    return yaml.safe_load(front), body


@pytest.mark.parametrize(
    ("template", "kind"), [("lvis", "image"), ("lv-vis", "video"), ("sample", "image"), ("sample", "video")]
)
def test_every_shipped_card_renders_with_its_counts(template, kind, stats):
    front, body = split_card(render_card(card(template, kind=kind), RELEASE, stats, QualityCounts()))
    assert front["pretty_name"] == 'LVISCap: "objects"'
    assert (front["license"], front["language"], front["size_categories"]) == ("cc-by-4.0", ["en"], ["n<1K"])
    assert [config["config_name"] for config in front["configs"]] == ["captions", "media"]
    assert [config.get("default", False) for config in front["configs"]] == [True, False]
    assert front["configs"][1]["data_files"] == [{"split": "train", "path": "data/media/train-*.parquet"}]
    for told in (
        f"Of 3 objects in 1 {kind}s, 1 have a caption",
        "| train | 1 | 0 | 3 | 1 | 1 | 1 |",
        "| dropped | duplicate | 1 | 33.33% |",
        "| failed | engine_failed | 1 | 33.33% |",
        "tiny/model",
        "`abc123`",
        "| `segmentation` | list of RLE | masks: COCO run lengths, `size` = \\[height, width\\], `counts` as text;",
        "| `objects` | list of objects |",
        "Flickr licences.",
        "## Known limits",
    ):
        assert told in body
    assert "{{" not in body
    assert "\\`" not in body.split("## Columns")[1], "backticks of our own text are no code"
    assert "\n\n\n\n" not in body


@pytest.mark.parametrize(("template", "kind"), [("lvis", "image"), ("lv-vis", "video"), ("sample", "image")])
def test_the_card_of_a_run_without_a_model_speaks_of_none(template, kind):
    stats = Stats()
    stats.add_objects("train", [RowOutcome("k1", "cup", "A cup with the number 1.", "kept", None)])
    stats.origins[Origin("echo", None, "echo", "shared-crop_v1", "a" * 64, "crop+box")] = 1
    text = render_card(card(template, kind=kind), RELEASE, stats, QualityCounts())
    assert "This is a dry run: no model saw the objects." in text
    front, body = split_card(text)
    assert front["pretty_name"] == 'Dry run: LVISCap: "objects"'
    assert "# Dry run: " in body
    for false in ("vision-language model", "written by a model", "The model", "embedded captioner follow"):
        assert false not in body


def test_a_release_without_captions_has_a_card(stats):
    assert "Of 0 objects" in render_card(card(), RELEASE, Stats(), QualityCounts())


def test_a_model_cannot_write_markup_into_the_card(stats):
    body = render_card(card(), RELEASE, stats, QualityCounts())
    assert "A \\*bold\\* &lt;b&gt;cup&lt;/b&gt; \\| \\`x\\`." in body
    assert "| salt\\|shaker | 1 |" in body


@pytest.mark.parametrize(
    ("rows", "name"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (1_244_271, "1M<n<10M"), (10**7, "10M<n<100M")]
)
def test_size_categories_are_the_hubs(rows, name):
    assert size_category(rows) == name


def test_a_template_of_ones_own_is_a_path(tmp_path, stats):
    path = tmp_path / "mine.md"
    path.write_text('{% extends "_base.md" %}{% block about %}My own words.{% endblock %}')
    body = render_card(card(str(path)), RELEASE, stats, QualityCounts())
    assert "My own words." in body
    assert "## Counts" in body


@pytest.mark.parametrize(
    "text",
    [
        "{{ nothing_such }}",
        "{% block %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 1 / stats.kept.nothing }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_with_a_mistake_is_one_line_with_its_path(tmp_path, stats, text):
    path = tmp_path / "mine.md"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mine\.md"):
        render_card(card(str(path)), RELEASE, stats, QualityCounts())
    with pytest.raises(UserError, match=r"mine\.md"):
        check_card(card(str(path)))


def test_an_unknown_card_is_named_with_those_that_are():
    with pytest.raises(UnknownName, match="lv-vis"):
        check_card(card("lviss"))


def test_tables_line_up():
    assert table(("a", "b"), [("1", "2|3")], "lr") == "| a | b |\n| --- | ---: |\n| 1 | 2\\|3 |"
    assert markdown("a\nb") == "a b"
    assert markdown("a_b [c] \n d") == "a_b \\[c\\] d"


def test_the_card_states_the_licence_of_the_model_and_what_its_captions_may_be_used_for(stats):
    stats.origins.clear()
    stats.origins[Origin("a/model", None, "vllm", "shared-crop_v1", "a" * 64, "crop+box")] = 1
    terms = ("Qwen [Research] License", "research only")
    body = split_card(render_card(card(model_terms=terms), RELEASE, stats, QualityCounts()))[1]
    assert "Licence of the model: Qwen \\[Research\\] License. Captions made with it: research only." in body
    assert "Licence of the model" not in render_card(card(), RELEASE, stats, QualityCounts())
