"""Where a training's numbers go beside the CSV: TensorBoard and Weights & Biases. Each is imported where it is used."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol
from uuid import uuid4

from capgen.dataset.files import write_whole
from capgen.errors import UnknownName, UserError, first_line
from capgen.maskcaptioner.settings import TrainSettings

TRACKERS = ("tensorboard", "wandb")
_PROJECT = "capgen"
_NOT_SENT = ("offline", "disabled", "dryrun")


class ScalarTracker(Protocol):
    """Takes numbers by name and step."""

    def add(self, log: str, step: int, values: Mapping[str, float]) -> None:
        """Take the numbers of a step; ``log`` is ``steps`` or ``validation``."""
        ...

    def close(self) -> None:
        """Write out what is held back."""
        ...


def open_trackers(settings: TrainSettings, out: Path, step: int) -> list[ScalarTracker]:
    """The trackers that the settings ask for; what came after ``step``, the last checkpoint, counts no more.

    Raises:
        UserError: a package is not installed, or Weights & Biases does not let this run begin.
    """
    found: list[ScalarTracker] = []
    if settings.run.tensorboard:
        found.append(TensorBoardTracker(out / "logs" / "tensorboard", step))
    if settings.run.wandb:
        found.append(WandbTracker(out, settings))
    return found


class TensorBoardTracker:
    """Event files in ``OUT/logs/tensorboard``, a folder for each log.

    Raises:
        UserError: the package is not installed.
    """

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise UserError(
                "TensorBoard needs the package tensorboard", "pip install 'capgen[train]', or give --no-tensorboard"
            ) from error
        self._writer: Any = SummaryWriter
        self._folder, self._step = folder, step
        self._writers: dict[str, Any] = {}

    def add(self, log: str, step: int, values: Mapping[str, float]) -> None:
        """See ``ScalarTracker``."""
        if log not in self._writers:
            self._writers[log] = self._writer(str(self._folder / log), purge_step=self._step + 1)
        for name, value in values.items():
            self._writers[log].add_scalar(name, value, step)

    def close(self) -> None:
        """See ``ScalarTracker``."""
        for writer in self._writers.values():
            writer.close()


class WandbTracker:
    """A run of Weights & Biases, gone on with when the training is.

    Its own variables say where it goes: ``WANDB_PROJECT``, ``WANDB_NAME``, ``WANDB_ENTITY``, ``WANDB_MODE`` and so on.
    Numbers stand over the metric ``step``, since a training that goes on from a checkpoint counts some steps again.

    Its files lie in ``OUT/wandb``, apart from what a training writes: there are links among them, which no training
    follows. ``OUT/logs/wandb.json`` has the run's id.

    Raises:
        UserError: the package is not installed, nobody is logged in, or the server does not answer.
    """

    def __init__(self, out: Path, settings: TrainSettings) -> None:
        try:
            import wandb
        except ImportError as error:
            raise UserError(
                "Weights & Biases needs the package wandb", "pip install 'capgen[wandb]', or leave --wandb out"
            ) from error
        folder = out / "wandb"
        if folder.is_symlink():
            raise UserError(f"{folder} is a symbolic link; nothing is written through links", "delete it")
        (out / "logs").mkdir(parents=True, exist_ok=True)
        own = {"WANDB_PROJECT": ("project", _PROJECT), "WANDB_NAME": ("name", settings.name)}
        named: dict[str, Any] = {key: value for variable, (key, value) in own.items() if not os.environ.get(variable)}
        try:
            self._run = wandb.init(
                id=_run_id(out / "logs" / "wandb.json"),
                resume=None if os.environ.get("WANDB_MODE") in _NOT_SENT else "allow",
                dir=str(out),
                config=settings.model_dump(mode="json"),
                settings=wandb.Settings(console="off", silent=True, symlink=False),
                **named,
            )
        except wandb.errors.Error as error:
            raise UserError(
                f"Weights & Biases: {first_line(error).rstrip('.')}",
                "wandb login, or WANDB_MODE=offline to keep the run here for wandb sync",
            ) from error
        self._run.define_metric("step", hidden=True)
        self._run.define_metric("*", step_metric="step")

    def add(self, log: str, step: int, values: Mapping[str, float]) -> None:
        """See ``ScalarTracker``."""
        self._run.log({"step": step, **{f"{log}/{name}": value for name, value in values.items()}})

    def close(self) -> None:
        """See ``ScalarTracker``."""
        self._run.finish()


def _run_id(file: Path) -> str:
    """The id of the training's run, made when it is first asked for."""
    try:
        known = json.loads(file.read_bytes())["id"]
    except FileNotFoundError:
        known = uuid4().hex[:8]
        write_whole(file, json.dumps({"id": known}).encode() + b"\n")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UserError(f"{file} does not hold a run's id", "delete it to begin another run") from error
    return str(known)


def chosen_trackers(
    report_to: list[str] | None, *, tensorboard: bool | None, wandb: bool | None
) -> dict[str, bool | None]:
    """The settings of flags as other trainers have them: ``--report-to`` names all trackers, the others one each.

    Raises:
        UnknownName: there is no such tracker.
    """
    chosen: dict[str, bool | None] = {"tensorboard": tensorboard, "wandb": wandb}
    if report_to:
        names = {name.strip() for given in report_to for name in given.split(",")}
        for name in names:
            if name not in (*TRACKERS, "all", "none"):
                raise UnknownName("--report-to", name, (*TRACKERS, "all", "none"))
        if "none" in names and len(names) > 1:
            raise UserError("--report-to none stands alone", "leave out none, or the others")
        for name, given in chosen.items():
            if given is None:
                chosen[name] = name in names or "all" in names
    return {f"run.{name}": given for name, given in chosen.items()}
