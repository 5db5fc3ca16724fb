"""Where a trained MaskCaptioner lies, and how it is opened."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capgen.errors import CapgenError, MissingFile, UserError, first_line

if TYPE_CHECKING:
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner

PACKAGED = ("sample",)
_PRETRAINED = Path(__file__).resolve().parents[1] / "pretrained"
_FACTS = "facts.json"  # what every sample world has at its top
_MODEL_TYPE = "maskcaptioner"
_FILES = ("config.json", "model.safetensors")
_TRAINED = "model"
_SHARDS = "model.safetensors.index.json"


def resolve(name: str) -> Path:
    """The folder of a trained model: a path, what ``capgen train`` wrote, or ``sample``, the package's checkpoint.

    A folder of that name in the working directory is meant only as ``./sample``.

    Raises:
        UserError: there is no such folder, or what is in it is no MaskCaptioner.
    """
    folder = _PRETRAINED / name if name in PACKAGED else Path(name)
    if name in PACKAGED and not (folder / _FILES[0]).is_file():
        raise UserError(
            f"this installation of capgen has no checkpoint {name!r}",
            f"train it with `capgen train {name}` and give the folder it writes to --model",
        )
    if not folder.is_dir():
        raise UserError(f"--model {name}: there is no such folder", f"give a trained model's, or {', '.join(PACKAGED)}")
    if not (folder / _FILES[0]).is_file() and (folder / _TRAINED / _FILES[0]).is_file():
        folder = folder / _TRAINED
    _check(folder, name)
    return folder


def unfit(folder: Path, source: Path) -> str | None:
    """A warning where the package's own model is shown what it was never trained on; None where it fits.

    Args:
        folder: what ``resolve`` found.
        source: a video, a folder of frames or a picture.
    """
    if folder.parent != _PRETRAINED or any((above / _FACTS).is_file() for above in source.resolve().parents):
        return None
    return (
        "the packaged model knows the drawn objects of `capgen sample` and nothing else; "
        "what it says about these pictures means nothing"
    )


def _check(folder: Path, name: str) -> None:
    """Read the model's own files as far as one can without torch."""
    file = folder / _FILES[0]
    if not file.is_file():
        saved = sorted(folder.glob(f"checkpoints/*/{_TRAINED}/config.json"))
        hint = f"its training is not finished; {saved[-1].parent} is the last that it saved" if saved else ""
        hint = hint or "give the folder that `capgen train` wrote"
        raise UserError(f"--model {name} has no config.json", hint)
    try:
        kind = json.loads(file.read_bytes()).get("model_type")
    except (ValueError, RecursionError, AttributeError) as error:
        raise UserError(f"{file} is not a model's configuration ({error})", "copy the model again") from error
    if kind != _MODEL_TYPE:
        raise UserError(f"--model {name} is a {kind}, not a {_MODEL_TYPE}", "give a model that `capgen train` wrote")
    if not any((folder / weights).is_file() for weights in (_FILES[1], _SHARDS)):
        raise MissingFile(folder / _FILES[1], "copy the model again, weights included")


def open_model(name: str, device: str | None = None) -> MaskCaptioner:
    """The model of that name or folder, ready to predict.

    Args:
        device: as torch names it; by default the first GPU, or the CPU.

    Raises:
        UserError: torch is missing, the weights do not fit the configuration, or there is no such device.
    """
    folder = resolve(name)
    try:
        import torch
    except ModuleNotFoundError as error:
        raise UserError("a MaskCaptioner needs PyTorch", "pip install 'capgen[train]'") from error
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner

    where = _device(device)
    try:
        with _silence():
            model, report = MaskCaptioner.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True
            )
    except CapgenError:
        raise
    except Exception as error:  # a stranger's files: transformers and tokenizers raise what they like
        raise UserError(
            f"{folder} cannot be opened ({first_line(error)})", "copy the model again, or train it again"
        ) from error
    _complete(folder, report)
    ready: MaskCaptioner = model.eval().to(torch.device(where))
    return ready


@contextmanager
def _silence() -> Iterator[None]:
    """No bars and no report of transformers' own: what matters of it is checked, and said in one line."""
    from transformers.utils import logging

    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _complete(folder: Path, report: dict[str, Any]) -> None:
    """Refuse weights that are not this configuration's: what is missing would silently be random."""
    for kind, verb in (("missing_keys", "lacks"), ("mismatched_keys", "has other sizes of")):
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in report.get(kind) or ())
        if keys:
            more = f" and {len(keys) - 1} more" if len(keys) > 1 else ""
            what = f"{folder / _FILES[1]} {verb} {keys[0]}{more}, which config.json asks for"
            raise UserError(what, "the two files are of different models: copy the model again")


def _device(name: str | None) -> str:
    """The device of that name.

    Raises:
        UserError: torch knows none of that name, or this machine has it not.
    """
    import torch

    if name is None:
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name} is not here", "give cpu, or leave it out") from error
    return name
