"""What the models of scores share: the device, loading without foreign code, the embeddings of many texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from capgen.errors import UserError, first_line

BATCH = 64
_Item = TypeVar("_Item")


def usual_device(name: str | None) -> str:
    """The torch device of that name; for None ``cuda`` where there is one, else ``cpu``.

    Raises:
        UserError: torch is not installed, or knows no such device.
    """
    with naming_extra("device"):
        import torch
    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: {first_line(error)}", "give cpu, cuda or cuda:0") from error
    return name


@contextmanager
def naming_extra(what: str) -> Iterator[None]:
    """Say which extra to install where a library is missing.

    Raises:
        UserError: one is.
    """
    try:
        yield
    except ImportError as error:
        raise UserError(f"{what}: {error}", "pip install 'capgen[scores]'") from error


@contextmanager
def naming_model(kind: str, model: str) -> Iterator[None]:
    """Turn what a library raises while it loads a model into one line.

    Raises:
        UserError: the model cannot be loaded.
    """
    from transformers.utils import logging as library_log

    library_log.disable_progress_bar()
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise UserError(f"{kind} {model}: {first_line(error)}", "give a Hub name or a model's folder") from error


def load_arguments() -> dict[str, Any]:
    """Arguments of ``from_pretrained`` that run nothing a model's folder brings."""
    return {"trust_remote_code": False, "use_safetensors": True, "weights_only": True}


def batches(items: Sequence[_Item], size: int = BATCH) -> Iterator[Sequence[_Item]]:
    """``items`` in pieces of at most ``size``."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
