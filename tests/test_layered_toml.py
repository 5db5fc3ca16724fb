"""Settings files and --set: every mistake is one line that says what was probably meant."""

import codecs

import pytest

from capgen.errors import UserError
from capgen.layered_toml import known_keys, read_toml
from capgen.maskcaptioner.settings import TrainSettings, load_train_settings
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.settings import Settings


@pytest.mark.parametrize(
    ("assignment", "said"),
    [
        ("render.pach=1", "unknown key 'render.pach' (did you mean 'patch'?)"),
        ("rendr.patch=1", "unknown key 'rendr' (did you mean 'render'?)"),
        ("patch=1", "unknown key 'patch' (did you mean 'render.patch'?)"),
        ("dedup.patch=1", "unknown key 'dedup.patch' (did you mean 'render.patch'?)"),
        ("judge.method=fitt", "(did you mean 'fit'?)"),
        ("source.world.image=1", "unknown key 'source.world.image' (did you mean 'images'?)"),
        ("render.zzz=1", "known: patch, clean_pixels"),
    ],
)
def test_an_unknown_setting_is_answered_with_the_closest_or_the_known_ones(assignment, said):
    with pytest.raises(UserError) as caught:
        load_settings("lvis", {}, [assignment])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("assignment", "said"),
    [("stages.images.step=1", "did you mean 'steps'"), ("optimizer.weight_decy=1", "did you mean 'weight_decay'")],
)
def test_training_settings_do_so_too(assignment, said):
    with pytest.raises(UserError, match=said):
        load_train_settings("sample", {}, [assignment])


def test_known_keys_are_found_within_optional_tables_and_mappings():
    assert "seed" in known_keys(Settings, ["source", "world"])
    assert "steps" in known_keys(TrainSettings, ["stages", "any"])
    assert known_keys(Settings, ["name"]) == ()


def test_a_byte_order_mark_is_no_part_of_a_settings_file(tmp_path):
    file = tmp_path / "mine.toml"
    file.write_bytes(codecs.BOM_UTF8 + 'name = "caf\u00e9"\n'.encode())
    assert read_toml(file) == {"name": "caf\u00e9"}


def test_a_settings_file_of_another_encoding_is_named(tmp_path):
    file = tmp_path / "mine.toml"
    for encoding, said in (
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "not UTF-8 text (line 2 has the byte 0xe9)"),
    ):
        file.write_bytes('a = 1\nname = "caf\u00e9"\n'.encode(encoding))
        with pytest.raises(UserError) as caught:
            read_toml(file)
        assert said in str(caught.value)
        assert "mine.toml" in str(caught.value)


@pytest.mark.parametrize("text", ["x = " + "9" * 5000, "x = " + "[" * 5000, "x = ", "x = 2020-13-45"])
def test_a_file_of_a_stranger_that_no_reader_of_toml_takes_is_one_line(tmp_path, text):
    (tmp_path / "capgen.toml").write_text(text)
    with pytest.raises(UserError, match=r"capgen\.toml: .*; correct the file$"):
        read_toml(tmp_path / "capgen.toml")
