"""An engine that does not start is told of by its cause, not by Ray's header or by where the cause stands."""

import pytest
import ray

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
