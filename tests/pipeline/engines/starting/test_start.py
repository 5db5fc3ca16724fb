"""An engine that does not start is one line with the cause, wherever it is started; what it prints is still seen."""

import asyncio
import os
import pickle
import subprocess
from dataclasses import dataclass, field

import pytest

from capgen.errors import UserError
from capgen.pipeline.engines.base import EngineContext, EngineDead, EngineNotStarted
from capgen.pipeline.engines.starting.output import copied_output, log_size, logged_since
from capgen.pipeline.engines.starting.start import start_engine
from capgen.pipeline.settings import ModelSettings, SamplingSettings

POINTER = "Engine core initialization failed. See root cause above. Failed core proc(s): {'EngineCore': 1}"


class FieldError(Exception):
    """As some libraries make theirs: it cannot be made again from what it says."""

    def __init__(self, name, cause):
        super().__init__(f"Validation error for field '{name}':\n    {cause}")


@dataclass
class Failing:
    """Prints as the processes of an engine do, and raises."""

    error: Exception
    prints: str = ""
    loads_model: bool = field(default=True)

    async def start(self, context):
        del context
        subprocess.run(["sh", "-c", 'echo "$1" >&2', "sh", self.prints], check=True)  # noqa: ASYNC221
        raise self.error


def start(engine, log=None):
    context = EngineContext(ModelSettings(id="m"), SamplingSettings())
    with pytest.raises((UserError, EngineDead)) as caught:
        asyncio.run(start_engine(engine, context, log))
    return pickle.loads(pickle.dumps(caught.value))


def test_what_the_engines_processes_print_has_the_cause_and_is_still_seen(capfd):
    told = start(Failing(RuntimeError(POINTER), "ValueError: No available memory for the cache blocks."))
    assert isinstance(told, EngineNotStarted)
    assert told.cause == "ValueError: No available memory for the cache blocks"
    assert str(told).startswith("the engine could not be started: ValueError: No available memory")
    assert "gpu_memory_utilization" in told.remedy
    assert told.lasting
    assert capfd.readouterr().err == "ValueError: No available memory for the cache blocks.\n"


TRACEBACK = "INFO loading\nERROR 12:01 [core.py:9] Traceback (most recent call last):\nERROR 12:01 {}\n"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("ValueError: No available memory for the cache blocks.", "INFO loading\n"),
        ("KeyError: 'mrope_section'", TRACEBACK.format("KeyError: 'mrope_section'") + "\n"),
    ],
)
def test_errors_that_are_told_with_a_remedy_are_not_printed_beside_it_and_others_are(capfd, said, shown):
    told = start(Failing(RuntimeError(POINTER), TRACEBACK.format(said)))
    assert told.cause == said.rstrip(".")
    assert capfd.readouterr().err == shown


def test_errors_of_an_engine_that_starts_are_shown(capfd):
    with copied_output():
        os.write(2, b"ERROR it goes on without\nready\n")
        assert capfd.readouterr().err == ""
    assert capfd.readouterr().err == "ERROR it goes on without\nready\n"


def test_an_earlier_start_in_the_same_log_is_not_taken_for_this_one(tmp_path):
    log = tmp_path / "engine-00.log"
    log.write_text("ValueError: No available memory for the cache blocks.\n")
    told = start(Failing(RuntimeError(POINTER.replace(": 1", ": -9"))), log)
    assert told.cause.startswith("vLLM's process EngineCore was ended by SIGKILL")
    assert told.cause.endswith(f"(in {log})")


def test_what_a_library_raises_reaches_the_driver_on_one_line(tmp_path):
    told = start(Failing(FieldError("hidden_size", "expected int, got 'many'")), tmp_path / "log")
    assert told.cause.startswith("FieldError: Validation error for field 'hidden_size': expected int, got 'many'")
    assert told.remedy == "look there"


def test_an_error_that_points_to_the_log_is_told_of_with_what_was_printed():
    pointing = UserError("it failed to be inspected. Please check the logs", "check the model")
    told = start(Failing(pointing, "ModuleNotFoundError: No module named 'torchvision'"))
    assert str(told) == (
        "it failed to be inspected. Please check the logs (it printed: ModuleNotFoundError: No module named "
        "'torchvision'); check the model"
    )
    assert start(Failing(UserError("no such model", "check it"))).what == "no such model"


def test_output_is_copied_while_it_is_read_and_the_end_of_it_is_kept(capfd):
    with copied_output() as output:
        os.system("head -c 300000 /dev/zero | tr '\\0' x; echo; echo the end >&2")
        assert output.text().endswith("x\nthe end\n")
        assert len(output.text()) == 2**18
        os.write(1, b"this process\n")
        assert output.text().endswith("the end\nthis process\n")
    os.write(1, b"afterwards\n")
    seen = capfd.readouterr()
    assert seen.out == "afterwards\n"
    assert seen.err.endswith("the end\nthis process\n")


def test_a_log_that_is_not_on_this_machine_says_nothing(tmp_path):
    assert log_size(tmp_path / "log") == 0
    assert logged_since(tmp_path / "log", 0) == ""
