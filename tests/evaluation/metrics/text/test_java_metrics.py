"""METEOR's Java program: one process, the same numbers in every locale."""

from __future__ import annotations

import pytest

from capgen.evaluation.metrics.text.java_metrics import Meteor, missing

PAIRS = [(("a red dog runs",), "a dog runs"), (("an old wall",), "a green car")]


@pytest.mark.skipif(bool(missing("meteor")), reason="METEOR is not here")
def test_a_locale_with_a_decimal_comma_changes_nothing(meteor, monkeypatch):
    """The program prints numbers as the locale writes them; "0,41" was taken for a failure."""
    monkeypatch.setenv("JAVA_TOOL_OPTIONS", "-Duser.language=de -Duser.country=DE")
    monkeypatch.setenv("LC_ALL", "de_DE.UTF-8")
    with Meteor() as german:
        assert german.score(PAIRS) == pytest.approx(meteor.score(PAIRS), rel=1e-12)
