"""What an engine is: frozen options that travel by pickle, and the session they open inside a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from capgen.errors import CapgenError, UserError, first_line
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.starting.causes import remedy_for
from capgen.pipeline.settings import EngineSettings, ModelSettings, SamplingSettings
from capgen.pipeline.view import Answer, View


class EngineFault(CapgenError):
    """A request failed for a reason that may pass: asked again, it may be answered."""

    def __init__(self, message: str) -> None:
        self.message = message
        super().__init__(message)

    def __str__(self) -> str:
        return " ".join(self.message.split())


class RequestRefused(EngineFault):
    """The engine will never answer this request (too long for the model, for example)."""


class NotInAnswer(EngineFault):
    """The answer about several objects has no caption for this one; asked again it would be the same answer.

    Args:
        answer: what was said and what it cost, this object's share of the tokens.
    """

    def __init__(self, message: str, answer: Answer) -> None:
        self.answer = answer
        super().__init__(message)
        self.args = (message, answer)


class EngineDead(EngineFault):
    """The engine answers nobody any more; its worker must be started anew."""


class EngineNotStarted(EngineDead):
    """An engine did not start.

    Args:
        cause: what it, or a process of it, said.
        remedy: what to do about it.
        lasting: another start on this machine would end in the same way.
    """

    def __init__(self, cause: str, remedy: str, lasting: bool = False) -> None:
        self.cause, self.remedy, self.lasting = cause, remedy, lasting
        super().__init__(f"the engine could not be started: {cause}; {remedy}")
        self.args = (cause, remedy, lasting)


class Postponed(CapgenError):
    """Requests whose answers will come later from elsewhere: nothing is settled, nothing has failed.

    The run does everything else first and then ends with this; the same command goes on once the answers are there.

    Args:
        what: follows the number: ``wait for answers in FOLDER``.
        remedy: what to do, so that the answers come.
        count: requests.
    """

    def __init__(self, what: str, remedy: str, count: int = 1) -> None:
        self.what, self.remedy, self.count = what, remedy, count
        super().__init__(what, remedy, count)

    def __str__(self) -> str:
        return " ".join(f"{self.count:,} requests {self.what}; {self.remedy}".split())


def together(postponed: Sequence[Postponed]) -> Postponed:
    """One error for all of ``postponed``, which must not be empty."""
    first = postponed[0]
    return Postponed(first.what, first.remedy, sum(error.count for error in postponed))


@dataclass(frozen=True, slots=True)
class EngineContext:
    """What every engine is told: the model, how to sample, and on what it runs.

    ``gpus``: GPUs of one engine (tensor parallel size); 0 is the CPU.
    ``out``: the run's folder, where an engine may keep files of its own; None where there is no run.
    """

    model: ModelSettings
    sampling: SamplingSettings
    gpus: int = 0
    out: Path | None = None


class Session(Protocol):
    """A started engine."""

    async def answer(self, view: View) -> Answer:
        """Answer one request.

        Raises:
            EngineFault: this request failed; its subclasses say whether asking again makes sense.
            Postponed: its answer comes later from elsewhere.
            UserError: no request can be answered until the user has changed something.
        """
        ...

    async def stop(self) -> None:
        """Release what the engine holds."""
        ...


class Engine(Protocol):
    """Options of an engine: a frozen dataclass, which a worker is given by pickle.

    Class attributes that may be added: ``loads_model = True``, the engine loads ``--model`` itself, so that a wrong
    name is refused before anything is started; ``needs_model = False``, it answers without a model, and rows and cards
    say so; ``decides``, names of options that decide what is answered, which enter the run's fingerprint;
    ``scores = True``, its sessions have a method ``scorer()``, see ``engines.scoring``.
    """

    @property
    def in_flight(self) -> int:
        """How many requests keep the engine busy."""
        ...

    async def start(self, context: EngineContext) -> Session:
        """Load the model; slow, and called inside the worker that owns the devices.

        Raises:
            UserError: the model or the device is not there.
        """
        ...


def build_engine(settings: EngineSettings) -> Engine:
    """The registered engine with the options of its table.

    Raises:
        UnknownName: no such engine.
        UserError: it has no such option, or refuses a value.
    """
    engine: Engine = ENGINES.build(settings.name, settings.options, "engine.options")
    return engine


def refuse_remote_code(args: Mapping[str, Any]) -> None:
    """That an engine's further arguments do not allow the code of a model's folder: the model's setting alone does.

    Raises:
        ValueError: they do.
    """
    if "trust_remote_code" in args:
        raise ValueError("args: trust_remote_code is no argument of the engine; use --set model.trust_remote_code=true")


def failed(library: str, error: Exception) -> EngineFault:
    """What an error of a model's own code is: the end of the engine where CUDA is lost, else a fault of the request."""
    kind = EngineDead if "CUDA error" in str(error) else EngineFault
    return kind(f"{library} failed: {type(error).__name__}: {first_line(error)}")


def not_loaded(library: str, model: ModelSettings, error: Exception) -> UserError:
    """Why a library cannot load a model, and the remedy."""
    needs_code = not model.trust_remote_code and "trust_remote_code=True" in str(error)
    allow = "give --set model.trust_remote_code=true if you trust the code in the model's folder"
    remedy = allow if needs_code else remedy_for(str(error)) or "check the model"
    return UserError(f"{library} cannot load model {model.id!r}: {first_line(error)}", remedy)
