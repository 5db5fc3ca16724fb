"""Checks of model and devices that cost nothing, made before anything slow is started."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
from pathlib import Path

from capgen.errors import UserError
from capgen.pipeline.engines import ENGINES
from capgen.pipeline.engines.scoring.base import check_scores
from capgen.pipeline.planning.model_profiles import find_profile, profile_named
from capgen.pipeline.rendering.prompt import Prompt
from capgen.pipeline.settings import Settings

log = logging.getLogger(__name__)

_HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_PATH = re.compile(r"~|\.{0,2}/")
_HUB_TIMEOUT_S = 15
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl"})


def local_gpus() -> int:
    """GPUs of this machine that a process started now may use."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return len([name for name in visible.split(",") if name.strip() and name.strip() != "-1"])
    if shutil.which("nvidia-smi") is None:
        return 0
    answer = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, check=False, timeout=60)
    return sum(line.startswith("GPU ") for line in answer.stdout.splitlines())


def check_gpus(gpus: int) -> None:
    """That this machine has so many GPUs; a cluster joined by RAY_ADDRESS is asked later.

    Raises:
        UserError: it has fewer.
    """
    if gpus < 0:
        raise UserError(f"--gpus {gpus} is negative", "0 runs on the CPU")
    if os.environ.get("RAY_ADDRESS"):
        return
    there = local_gpus()
    if gpus > there:
        raise UserError(
            f"--gpus {gpus}: this machine has {there}", "lower --gpus (0 runs on the CPU) or set RAY_ADDRESS"
        )


def check_unsure(settings: Settings) -> None:
    """That the check ``unsure`` has a threshold where it runs: without one it would let all pass unnoticed.

    Raises:
        UserError: it has none.
    """
    checks = settings.checks
    if "unsure" in checks.all_names and checks.options.get("unsure", {}).get("threshold") is None:
        raise UserError(
            "the check unsure has no checks.options.unsure.threshold",
            "capgen calibrate OUT finds the one of your model and prompt; or take unsure out of [checks]",
        )


def check_distinct(settings: Settings, prompt: Prompt) -> None:
    """That captions can be compared by their probabilities, where ``distinct.fit`` asks for that.

    Raises:
        UserError: the engine tells none of sentences that are given to it, or a request is about several objects.
    """
    if not (settings.distinct.enabled and settings.distinct.fit):
        return
    check_scores(settings.engine.name, "set distinct.fit=false")
    if prompt.layout_for(settings.kind).objects_per_request > 1:
        raise UserError(
            f"distinct.fit: prompt {prompt.name} shows the same pictures for all objects of a request",
            "choose a prompt with one object a request, or set distinct.fit=false",
        )


def check_model_path(settings: Settings) -> None:
    """That a model written as a path is there, where the engine loads it here; a server may call its models by paths.

    Raises:
        UserError: there is no such folder.
    """
    model = settings.model.id
    if not getattr(ENGINES.load(settings.engine.name), "loads_model", False):
        return
    if _PATH.match(model) and not Path(model).is_dir():
        raise UserError(f"--model {model}: no such folder", "give the model's folder, or a name as owner/model")


def check_model(settings: Settings) -> None:
    """That the model of an engine that loads it here can be found: a model directory, or a name on the hub.

    Raises:
        UserError: it is neither.
    """
    model, revision = settings.model.id, settings.model.revision
    if not getattr(ENGINES.load(settings.engine.name), "loads_model", False):
        return
    check_model_path(settings)
    folder = Path(model)
    if folder.is_dir():
        if not (folder / "config.json").is_file():
            raise UserError(
                f"--model {model}: the folder has no config.json", "give a folder that transformers can load"
            )
        _refuse_pickles(folder)
        return
    if not _HUB_NAME.fullmatch(model):
        raise UserError(
            f"--model {model}: no such folder, and not a name of the form owner/model", "for example --model embedded"
        )
    _check_hub(model, revision)


def _refuse_pickles(folder: Path) -> None:
    """Refuse a model folder whose weights are pickles, which can run a program when they are loaded.

    Raises:
        UserError: there are such files and no safetensors.
    """
    pickles = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICKLES)
    if pickles and not any(folder.glob("*.safetensors")):
        raise UserError(
            f"--model {folder}: its weights are pickles ({pickles[0].name}), which can run a program when loaded",
            "give a folder with *.safetensors",
        )


def tell_model(settings: Settings) -> None:
    """Say what a user has to know of a model before it is asked anything, where the engine loads it here."""
    model = settings.model
    if not getattr(ENGINES.load(settings.engine.name), "loads_model", False):
        return
    if model.trust_remote_code:
        log.warning("--model %s: Python code in the model's folder is run (model.trust_remote_code)", model.id)
    profile = profile_named(model.profile)
    found, why = find_profile(model.id, model.revision)
    if profile is None and found is None:
        log.warning(
            "--model %s: %s; it runs with the pipeline's picture sizes and places in percent "
            "(capgen models lists the families; --set model.profile=NAME takes the facts of one)",
            model.id,
            why,
        )
    if profile is not None and profile.thinks_always(model.id):
        log.warning(
            "--model %s reasons before it answers and cannot be told not to: raise sampling.max_tokens well above the "
            "caption's, or take the model of this family that does not",
            model.id,
        )


def check_pictures(settings: Settings, prompt: Prompt) -> None:
    """That a request shows no more pictures than the model takes.

    Raises:
        UserError: it shows more.
    """
    layout, most = prompt.layout_for(settings.kind), settings.model.max_pictures
    shown = layout.clean_frames + layout.marked_frames
    if most is not None and shown > most:
        raise UserError(
            f"prompt {prompt.name} shows {shown} pictures of {settings.kind}s, and the model takes {most}",
            "choose a prompt with fewer frames: --set prompt.name=NAME",
        )


def check_masks(source: object, settings: Settings, prompt: Prompt) -> None:
    """That no highlight needs masks where the source has boxes only; such a source has ``masks = False``.

    Raises:
        UserError: one does.
    """
    needing = prompt.layout_for(settings.kind).needs_mask
    if needing and not getattr(source, "masks", True):
        raise UserError(
            f"prompt {prompt.name} marks objects with {', '.join(needing)}, which needs masks, and the source "
            f"{settings.source.type} has boxes only",
            "choose a prompt whose highlights are crop, box or none: --set prompt.name=shared-crop_v1",
        )


def _check_hub(model: str, revision: str | None) -> None:
    """One question to the hub, without its library's retries: a wrong name is answered at once."""
    import httpx
    from huggingface_hub import constants, hf_hub_url, try_to_load_from_cache
    from huggingface_hub.utils._headers import build_hf_headers

    if isinstance(try_to_load_from_cache(model, "config.json", revision=revision), str):
        return
    unreachable = UserError(
        f"--model {model}: not in the local cache, and the hub cannot be reached", "download it first or give a folder"
    )
    if constants.HF_HUB_OFFLINE:
        raise unreachable
    url = hf_hub_url(model, "config.json", revision=revision)
    try:
        answer = httpx.head(url, headers=build_hf_headers(), timeout=_HUB_TIMEOUT_S, follow_redirects=True)
    except httpx.HTTPError as error:
        raise unreachable from error
    if answer.is_error:
        raise UserError(
            f"--model {model}: the hub has no such model at revision {revision or 'main'}, or it needs a token "
            f"(HTTP {answer.status_code})",
            "check --model and --revision",
        )
