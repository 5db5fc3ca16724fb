import pickle
from pathlib import Path

import pytest
import ray

from capgen.errors import LedgerError, MissingFile, UnknownName, UserError, first_line
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


def test_a_failed_call_is_told_of_by_its_cause():
    cause = RuntimeError("no kernel image is available\nfor this GPU")
    text = "\x1b[36mray::ShardActor.start()\x1b[39m (pid=7, ip=127.0.0.1)\n  File x\nRuntimeError: no kernel image"
    failed = ray.exceptions.RayTaskError("start", text, cause)
    assert first_line(failed) == "RuntimeError: no kernel image is available"


def test_an_actor_that_could_not_be_made_is_told_of_by_the_last_line():
    text = (
        "The actor died because of an error raised in its creation task, \x1b[36mray::ShardActor.__init__()\x1b[39m\n"
        '  File "actor.py", line 3, in __init__\nImportError: libcudart.so.12 is missing\n'
    )
    assert first_line(ray.exceptions.RayError(text)) == "ImportError: libcudart.so.12 is missing"
    assert first_line(ValueError("one\ntwo")) == "one"
    assert first_line(ValueError()) == "ValueError"


def test_of_a_validation_error_the_sentence_is_told():
    """Its first line is the name of a class of vLLM."""
    first = (
        "1 validation error for ModelConfig\n  Value error, it holds no weights\nthat could be read [type=value_error]"
    )
    assert first_line(ValueError(first)) == "it holds no weights"
    wrong = "1 validation error for ModelConfig\ndtype\n  Input should be a text [type=string_type]"
    assert first_line(ValueError(wrong)) == "Input should be a text"
    assert first_line(ValueError("")) == "ValueError"


def test_a_long_line_is_cut_but_not_of_an_error_of_our_own():
    assert first_line(ValueError("x" * 500)) == "x" * 300
    assert first_line(UserError("x" * 500, "mend it")) == "x" * 500 + "; mend it"
    assert first_line(ValueError("two things are wrong:\n  a\n  b")) == "two things are wrong: a b"
