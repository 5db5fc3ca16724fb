"""From flags to a pipeline's settings: the embedded captioner is looked up, a sample world is written where none is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from capgen.cli.options import dataset_names
from capgen.display import note, plain
from capgen.errors import UnknownName, UserError

if TYPE_CHECKING:
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.settings import Settings

AUTO = "auto"
"""The dataset that is found by looking into the folder."""

_EMBEDDED = "embedded"


def settings_of(
    dataset: str | None,
    pipeline: str | None,
    flags: Mapping[str, Any],
    assignments: Sequence[str] = (),
) -> tuple[Settings, ModelName]:
    """The settings, and what rows call the model.

    Args:
        flags: dotted keys of the settings with values; None values are left out.
        assignments: ``table.key=value`` as typed.

    Raises:
        UserError: not exactly one of ``dataset`` and ``pipeline`` is given, or a value is wrong.
    """
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.open_source import with_kind

    if (dataset is None) == (pipeline is None):
        raise UserError("give either --dataset or --pipeline", f"--dataset takes {', '.join(dataset_names())}")
    if dataset == AUTO:
        dataset, flags = _recognised(flags)
    if dataset is not None and dataset not in dataset_names():
        raise UnknownName("dataset", dataset, (*dataset_names(), AUTO))
    limit = flags.get("source.limit")
    if limit is not None and limit < 1:
        raise UserError(f"--limit {limit} is not a number of objects", "give 1 or more")
    settings = with_kind(load_settings(str(pipeline or dataset), flags, assignments))
    if settings.model.id != _EMBEDDED:
        return settings, ModelName(settings.model.id, settings.model.revision)
    from capgen.sample.embedded_model import model_dir, weights_digest

    others = [assignment for assignment in assignments if assignment.partition("=")[0].strip() != "model.id"]
    here = {**flags, "model.id": str(model_dir())}
    settings = with_kind(load_settings(str(pipeline or dataset), here, others))
    return settings, ModelName(_EMBEDDED, weights_digest())


def _recognised(flags: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The dataset that the root holds, said on the terminal, and the flags with the split that it needs.

    Raises:
        UserError: there is no root, or it holds nothing that is known.
    """
    from capgen.pipeline.sources.recognise import recognise

    root = flags.get("source.root")
    if root is None:
        raise UserError("--dataset auto needs the folder to look into", "give it with --root DIR")
    first, *others = recognise(root)
    also = f"; it also holds {', '.join(one.text() for one in others)}" if others else ""
    note(plain(f"capgen: {root} holds {first.text()}: --dataset {first.name}{also}"), stderr=True)
    split = flags.get("source.split") or (None if first.split == "all" else first.split)
    return first.name, {**flags, "source.split": split}


def with_world(settings: Settings, out: Path) -> Settings:
    """The settings with a root: a pipeline over the sample world writes the world under OUT where none is given."""
    if settings.source.world is None or settings.source.root is not None:
        return in_world(settings)
    from capgen.dataset.layout import RunLayout, refuse_links
    from capgen.sample.write import write_world

    refuse_links(out)
    world = RunLayout(out).world
    if not (world / "facts.json").is_file():
        wanted = settings.source.world
        write_world(world, images=wanted.images, videos=wanted.videos, seed=wanted.seed)
    return in_world(settings, world)


def in_world(settings: Settings, root: Path | None = None) -> Settings:
    """The sample world holds a folder for each format; a root may be either the world or that folder."""
    root = root or settings.source.root
    if root is None or settings.source.world is None:
        return settings
    inner = root / settings.source.type
    source = settings.source.model_copy(update={"root": inner if inner.is_dir() else root})
    return settings.model_copy(update={"source": source})
