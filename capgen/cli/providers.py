"""What verbs are given from outside: where engines run, and how a trained model is opened.

``main`` makes one ``Providers`` and hands it to every verb; a test hands in its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.evaluation.benchmarks.base import Predictor
    from capgen.pipeline.running.session import Devices


def local_devices(asked: str | None, tensor_parallel: int, workers: int) -> Devices:
    """Ray workers as the flags ask for them.

    Args:
        asked: ``--gpus``: a number, or ``all`` of a cluster; None is all of this machine's, 0 with a cluster.

    Raises:
        UserError: there are fewer GPUs, or the numbers do not go together.
    """
    from capgen.pipeline.planning.preflight import check_gpus, local_gpus
    from capgen.pipeline.running.session import Devices

    if workers < 1 or tensor_parallel < 1:
        raise UserError("--workers and --tensor-parallel count from 1")
    cluster = bool(os.environ.get("RAY_ADDRESS"))
    if asked == "all" and cluster:
        return Devices(gpus=tensor_parallel, grow=True)
    gpus = 0 if asked is None and cluster else local_gpus() if asked in (None, "all") else _number(asked)
    if asked == "all" and not gpus:
        raise UserError("--gpus all: this machine has none", "give --gpus 0 to run on the CPU, or set RAY_ADDRESS")
    check_gpus(gpus)
    if gpus == 0:
        return Devices(workers=workers, gpus=0)
    if gpus % tensor_parallel:
        raise UserError(f"--gpus {gpus} is no multiple of --tensor-parallel {tensor_parallel}", "change one of them")
    return Devices(workers=gpus // tensor_parallel, gpus=tensor_parallel)


def _number(text: str | None) -> int:
    try:
        return int(text or "")
    except ValueError:
        raise UserError(f"--gpus {text!r} is no number", "give one, or all") from None


def open_maskcaptioner(folder: Path) -> Predictor:
    """A trained MaskCaptioner as a benchmark's predictor.

    Raises:
        UserError: the model cannot be opened.
    """
    from capgen.cli.maskcaptioner import BenchmarkPredictor
    from capgen.maskcaptioner.inference.load import open_model

    return BenchmarkPredictor(open_model(str(folder)))


@dataclass(frozen=True, slots=True)
class Providers:
    """Functions that verbs call for what a test may want to be otherwise.

    Args:
        devices: from ``--gpus``, ``--tensor-parallel`` and ``--workers`` to devices.
        open_model: from a model's folder to what predicts a benchmark's clips.
    """

    devices: Callable[[str | None, int, int], Devices] = local_devices
    open_model: Callable[[Path], Predictor] = open_maskcaptioner
