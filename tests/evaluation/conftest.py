"""One METEOR process for all tests: it reads its tables for many seconds."""

from __future__ import annotations

import pytest

from capgen.evaluation.metrics.text.java_metrics import Meteor, missing


@pytest.fixture(scope="session")
def meteor():
    """The running program, or a skip where it cannot be had."""
    if missing("meteor"):
        pytest.skip(missing("meteor"))
    with Meteor() as program:
        yield program


@pytest.fixture
def programs(request):
    """The running programs for some metrics."""

    def running(*metrics):
        return {"meteor": request.getfixturevalue("meteor")} if "meteor" in metrics else {}

    return running
