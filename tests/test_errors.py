import pickle
from pathlib import Path

import pytest

from capgen.errors import LedgerError, MissingFile, UnknownName, UserError
from capgen.pipeline.engines.base import EngineDead, RequestRefused
from capgen.pipeline.running.driver import RunFailed


@pytest.mark.parametrize(
    "error",
    [
        UserError("the file is not there", "give another"),
        MissingFile(Path("a/b.json"), "give the folder that holds it"),
        UnknownName("check", "lenght", ["length", "empty"]),
        LedgerError("it does not close"),
        EngineDead("it died"),
        RequestRefused("too long"),
        RunFailed("no engine lives"),
    ],
)
def test_errors_survive_a_ray_boundary(error):
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is type(error)
    assert str(again) == str(error)
    assert "\n" not in str(error)


def test_a_name_that_is_nearly_right_is_suggested():
    assert "did you mean 'length'?" in str(UnknownName("check", "lenght", ["length", "empty"]))
