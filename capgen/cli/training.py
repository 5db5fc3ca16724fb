"""``capgen train``: from a training file, a release and a folder to a trained model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from capgen.dataset.layout import TRAINING_ENTRIES
from capgen.dataset.lock import exclusive
from capgen.display import progress_terminal
from capgen.errors import Interrupted, UnknownName, UserError
from capgen.maskcaptioner.settings import TrainSettings, load_train_settings
from capgen.stop import Stop

if TYPE_CHECKING:
    from capgen.maskcaptioner.training.validate import ValidationScorer

_STOPPING = "stopping after this step and a checkpoint; once more ends at once"
MakeRows = Callable[[str, Path, str, int | None], Any]
"""``MediaStream`` of (benchmark, root, split, limit): what a benchmark's owners released, as a release's media."""


@dataclass(frozen=True, slots=True)
class Seams:
    """What the command line hands in, because this wing may not reach it: a scorer, and the benchmarks' readers."""

    score: ValidationScorer | None = None
    benchmark: MakeRows | None = None


def train(
    file: str,
    *,
    data: Sequence[Path] = (),
    out: Path,
    roots: Sequence[Path] = (),
    assignments: Sequence[str] = (),
    flags: Mapping[str, Any] | None = None,
    seams: Seams | None = None,
    console: Console | None = None,
) -> Path:
    """Train what a training file says, or go on with what OUT holds; the trained model's folder.

    Args:
        roots: where the captioned datasets are now; the same as the setting ``data.pictures``.
        flags: further settings by dotted keys; None values are left out.

    Raises:
        UnknownName: no such training file, split, preset or module.
        MissingFile: a release or a picture is not there.
        UserError: a setting is wrong, the data will not do, only a release itself says where its pictures are, or OUT
            was trained with another configuration.
        Diverged: the loss is no longer a number.
        Interrupted: Ctrl-C or SIGTERM; what was learnt is saved.
    """
    given = {
        "data.releases": [str(path) for path in data] or None,
        "data.pictures": [str(path) for path in roots] or None,
    }
    settings = load_train_settings(file, {**given, **(flags or {})}, assignments)
    _needs_torch()
    from capgen.maskcaptioner.training.loop import accelerator_of

    accelerator = accelerator_of(settings)
    console = console or progress_terminal(quiet=not accelerator.is_main_process)
    try:
        with Stop(_STOPPING) as stop, _alone(out, accelerator):
            _train(settings, out, seams or Seams(), console, stop)
    except KeyboardInterrupt:
        raise Interrupted from None
    return out / "model"


def is_main_process() -> bool:
    """Whether this is the one of a training's processes that tells its result, once there was a training here."""
    from accelerate import PartialState

    return bool(PartialState().is_main_process)


@contextmanager
def _alone(out: Path, accelerator: Any) -> Iterator[None]:
    """Hold OUT for all processes of this training; only the main one takes the lock, before the others go on."""
    with ExitStack() as held:
        with accelerator.main_process_first():
            if accelerator.is_main_process:
                held.enter_context(exclusive(out, TRAINING_ENTRIES))
        yield


def _train(settings: TrainSettings, out: Path, seams: Seams, console: Console, stop: Stop) -> None:
    """The training itself, once OUT is held and signals are heard."""
    from transformers.utils import logging as hub

    hub.disable_progress_bar()
    hub.set_verbosity_error()  # it warns of model types that it does not know, which are ours
    from capgen.maskcaptioner.data.release_rows import check_captions, check_kinds, count
    from capgen.maskcaptioner.training import checkpoint
    from capgen.maskcaptioner.training.logs import TrainingProgress
    from capgen.maskcaptioner.training.loop import Data, Trainer, accelerator_of

    accelerator = accelerator_of(settings)
    parts = parts_of(settings, settings.data.split, settings.data.limit, seams)
    census = count(parts)
    check_kinds(census, {name: stage.kind for name, stage in settings.active.items()})
    if any(stage.captions for stage in settings.active.values()):
        check_captions(census, settings.data.captions_min)
    record = {"media": dict(census.media), "objects": census.objects, "captions": census.captions}
    with accelerator.main_process_first():
        checkpoint.begin(out, settings, record)
        if accelerator.is_main_process:
            checkpoint.remove_unfinished(out)
    model = build(settings, census, parts)
    validate = _validation(settings, out, seams)
    with TrainingProgress(console, settings.steps) as show:
        if accelerator.is_main_process:
            media = ", ".join(f"{n:,} {kind}s" for kind, n in census.media.items())
            show.note(f"{media}, {census.objects:,} objects, {census.captions:,} captions; model {_millions(model)} M")
        Trainer(settings, out, model, Data(parts, census), show, validate, stop).run()


def _validation(settings: TrainSettings, out: Path, seams: Seams) -> Any:
    """What validates on the way; None where nothing is to.

    Raises:
        UserError: the data has no such split, or it has nothing to validate on.
    """
    from capgen.maskcaptioner.training.validate import SPLIT_REMEDY, Validation

    if not (settings.validation.every or settings.validation.final):
        return None
    try:
        held_out = parts_of(settings, settings.validation.split, None, seams)
        validate = Validation(settings.validation, held_out, out, seams.score)
        validate.check()
    except UnknownName as error:
        raise UserError(f"{error.what}, and the training validates on it", f"{error.remedy}; {SPLIT_REMEDY}") from None
    return validate


def _millions(model: Any) -> str:
    return f"{sum(parameter.numel() for parameter in model.parameters()) / 1e6:.2f}"


def _needs_torch() -> None:
    try:
        import accelerate  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ModuleNotFoundError as error:
        raise UserError(f"training needs {error.name}", "pip install 'capgen[train]'") from error


def parts_of(settings: TrainSettings, split: str, limit: int | None, seams: Seams) -> Any:
    """The data of a split: releases, or what a benchmark's reader gives.

    Raises:
        UserError: no data is given, only a release itself says where its pictures are, or there is no reader for a
            benchmark.
    """
    from capgen.cli.runs.roots import release_root
    from capgen.maskcaptioner.data.release_rows import DataPart, open_releases

    data = settings.data
    if data.benchmark is None:
        pictures = {out: release_root(out, data.pictures) for out in data.releases}
        return open_releases(data.releases, split, pictures=pictures, limit=limit, follow_links=data.follow_links)
    if seams.benchmark is None or not data.releases:
        raise UserError(f"{data.benchmark} has no data here", "give --data ROOT, the folder its files were unpacked in")
    return tuple(DataPart(seams.benchmark(data.benchmark, root, split, limit)) for root in data.releases)


def build(settings: TrainSettings, census: Any, parts: Any) -> Any:
    """The model to train: a trained one to go on from, or a new one whose classes and words are the data's.

    Raises:
        UnknownName: no such preset or option.
        UserError: a model cannot be loaded.
    """
    import torch

    from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner
    from capgen.maskcaptioner.model.presets import preset

    torch.manual_seed(settings.run.seed)
    if settings.model.init is not None:
        return _trained(settings)
    names = census.names
    config = preset(settings.model.preset)
    changes = _over(config.to_dict(), settings.model.options)
    changes = {"classes": names, "class_counts": [census.categories[name] for name in names]} | changes
    try:
        config = preset(settings.model.preset, **changes)
    except (TypeError, ValueError) as error:
        raise UserError(f"model.options: {error}", "capgen/maskcaptioner/model/config.py has the fields") from error
    words = config.caption is not None and not isinstance(config.caption["language_model"], str)
    tokenizer = word_tokenizer(captions(parts)) if words else None
    return MaskCaptioner.create(config, tokenizer, segmenter=settings.model.segmenter)


def _trained(settings: TrainSettings) -> Any:
    """A trained model with options laid over its configuration; heads that are new start at random."""
    from capgen.maskcaptioner.inference.load import resolve
    from capgen.maskcaptioner.model.config import MaskCaptionerConfig
    from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner

    folder = resolve(str(settings.model.init))
    config = MaskCaptionerConfig.from_pretrained(folder, trust_remote_code=False)
    for key, value in _over(config.to_dict(), settings.model.options).items():
        setattr(config, key, value)
    try:
        return MaskCaptioner.from_pretrained(folder, config=config, ignore_mismatched_sizes=True)
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"model.init {folder} cannot be loaded ({error})", "give a folder that training wrote"
        ) from error


def _over(config: Mapping[str, Any], options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that options change, tables merged with what they were."""
    from capgen.layered_toml import merge

    changed = {}
    for key, value in options.items():
        if key not in config:
            raise UserError(f"model.options.{key}: the model has no such field", "model/config.py has the fields")
        old = config[key]
        changed[key] = merge(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return changed


def captions(parts: Any) -> Iterator[str]:
    """Every caption of the data, for a tokenizer's words; their mirror images too, whose words may be others."""
    from capgen.maskcaptioner.data.caption_flip import mirrored

    for part in parts:
        for row in part.rows(light=True):
            for one in row().objects:
                caption = (one.caption or "").strip()
                if caption:
                    yield caption
                    yield mirrored(caption) or caption
