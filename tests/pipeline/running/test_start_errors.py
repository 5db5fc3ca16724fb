"""An engine that does not start is told of by its cause, not by Ray's header or by where the cause stands."""

import asyncio
import pickle
from types import SimpleNamespace

import pytest
import ray

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineDead
from capgen.pipeline.running.cluster.ray_actor import ShardActor
from capgen.pipeline.running.ray_connect import first_line, logged_cause


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


@pytest.mark.parametrize(
    ("log", "cause"),
    [
        (
            "INFO 12:00 starting\n(EngineCore pid=9) ERROR 12:01 [core.py:9] ValueError: No available memory for the "
            "cache blocks.\nRuntimeError: Engine core initialization failed. See root cause above.\n",
            "ValueError: No available memory for the cache blocks.",
        ),
        (
            "torch.OutOfMemoryError: CUDA out of memory for sk-abcdef0123456789\n",
            "torch.OutOfMemoryError: CUDA out of memory for ***",
        ),
        ("all is well\n", None),
    ],
)
def test_the_last_error_of_an_engines_log_is_named(tmp_path, log, cause):
    (tmp_path / "engine-00.log").write_text(log)
    assert logged_cause(tmp_path / "engine-00.log") == cause
    assert logged_cause(tmp_path / "missing.log") is None


class FieldError(Exception):
    """As some libraries make theirs: it cannot be made again from what it says."""

    def __init__(self, field, cause):
        super().__init__(f"Validation error for field '{field}':\n    {cause}")


def start(error, log):
    """What the worker raises whose engine raises ``error`` while it starts."""

    async def fails(_):
        raise error

    worker = object.__new__(ShardActor)  # without taking this process's output
    worker._job, worker._log = SimpleNamespace(engine=SimpleNamespace(start=fails), context=None), log
    with pytest.raises(type(error) if isinstance(error, UserError) else EngineDead) as caught:
        asyncio.run(worker._engine())
    return pickle.loads(pickle.dumps(caught.value))


def test_what_a_library_raises_reaches_the_driver(tmp_path):
    told = start(FieldError("hidden_size", "expected int, got 'many'"), tmp_path / "log")
    assert str(told) == "FieldError: Validation error for field 'hidden_size': expected int, got 'many'"


def test_an_error_that_points_to_the_log_is_told_of_with_what_stands_there(tmp_path):
    log = tmp_path / "engine-00.log"
    log.write_text("ERROR 12:01 [registry.py:1]\nModuleNotFoundError: No module named 'torchvision'\n")
    told = start(UserError("it failed to be inspected. Please check the logs", "check the model"), log)
    assert f"the last error in {log}: ModuleNotFoundError: No module named 'torchvision'" in str(told)
    assert str(told).endswith("; check the model")
