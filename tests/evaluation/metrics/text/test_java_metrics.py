"""METEOR's Java program: one process, the same numbers in every locale."""

from __future__ import annotations

import pytest

from capgen.evaluation.metrics.text import java_metrics
from capgen.evaluation.metrics.text.java_metrics import Meteor, missing

PAIRS = [(("a red dog runs",), "a dog runs"), (("an old wall",), "a green car")]


@pytest.mark.skipif(bool(missing("meteor")), reason="METEOR is not here")
def test_a_locale_with_a_decimal_comma_changes_nothing(meteor, monkeypatch):
    """The program prints numbers as the locale writes them; "0,41" was taken for a failure."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with Meteor() as german:
        assert german.score(PAIRS) == pytest.approx(meteor.score(PAIRS), rel=1e-12)


@pytest.mark.parametrize("there", [(), ("stanford-corenlp-4.5.7-models.jar",), ("stanford-corenlp-3.6.0-models.jar",)])
def test_without_its_own_program_spice_is_never_started_as_it_would_fetch_it_over_plain_http(
    tmp_path, monkeypatch, there
):
    (tmp_path / "lib").mkdir()
    for name in there:
        (tmp_path / "lib" / name).write_bytes(b"")
    monkeypatch.setattr(java_metrics, "_folder", lambda metric: tmp_path)
    monkeypatch.setattr("shutil.which", lambda name: "/usr/bin/java")
    assert "stanford-corenlp-3.6.0.jar of Stanford CoreNLP 3.6.0" in java_metrics.missing("spice")
    with pytest.raises(java_metrics.ScorerFailed, match=r"3\.6\.0"):
        java_metrics.Spice().score([(("a cup",), "a cup")])


def test_spice_is_made_without_a_download_even_where_its_files_went_meanwhile(monkeypatch):
    def download(*_):
        raise AssertionError("a download was begun")

    monkeypatch.setattr("pycocoevalcap.spice.spice.get_stanford_models", download)
    assert hasattr(java_metrics.spice_program(), "compute_score")
