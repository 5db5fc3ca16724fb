"""An ablation file: axes of settings, and the variants that they make together."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from capgen.errors import UserError
from capgen.layered_toml import Positive, merge, read_toml, sentence
from capgen.resources import resource

_REMOTE_CODE = "model.trust_remote_code"
_NAME = re.compile(r"[^a-z0-9.+-]+")
_LONGEST = 80
_ONE_SHARD = 20_000  # whatever number of objects is asked for, so that a larger one adds to what is there
_SEE = "see ablations/sample-images.toml"

_Name = Annotated[str, Field(min_length=1, max_length=200)]


class AblationFile(BaseModel):
    """What is compared.

    Args:
        dataset, pipeline: of ``capgen run``; one of them.
        objects: so many, the first ones of the dataset, under every variant.
        vary: ``all`` combinations of the axes' values, or the first values with ``one`` other at a time.
        judge: whether the captions of all variants are judged by ``fit``, with the first variant's engine, model and
            pictures; an engine that can score, as for ``capgen judge``.
        set: settings of every variant, over the pipeline's.
        axes: by axis, the settings of each value by its name; the first value is what the others are compared with.
        leave_out: combinations that make no sense, each as axis = value.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    dataset: str | None = None
    pipeline: str | None = None
    objects: Positive = 300
    vary: Literal["all", "one"] = "all"
    judge: bool = False
    set: dict[str, Any] = {}
    axes: Annotated[dict[_Name, Annotated[dict[_Name, dict[str, Any]], Field(min_length=1)]], Field(min_length=1)]
    leave_out: tuple[dict[str, str], ...] = ()

    @model_validator(mode="after")
    def _known(self) -> AblationFile:
        if (self.dataset is None) == (self.pipeline is None):
            raise ValueError("give either dataset or pipeline")
        for combination in self.leave_out:
            for axis, value in combination.items():
                if value not in self.axes.get(axis, {}):
                    raise ValueError(f"leave_out: there is no {axis} = {value!r}")
        return self


@dataclass(frozen=True, slots=True)
class Variant:
    """One combination.

    Args:
        values: the name of the value of each axis.
        settings: dotted keys with values, over the pipeline's.
    """

    values: Mapping[str, str]
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The values, as people read them."""
        return ", ".join(self.values.values())

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return "_".join(_NAME.sub("-", value.lower()).strip("-") or "x" for value in self.values.values())[:_LONGEST]


def read_ablation(name: str) -> AblationFile:
    """The file of that name in ``ablations/``, or of that path.

    Raises:
        UnknownName: there is none.
        UserError: it is no TOML, has unknown keys or a value of the wrong kind, or would run a model's own code.
    """
    path = resource("ablations", name, ".toml")
    try:
        found = AblationFile.model_validate(read_toml(path))
    except ValidationError as error:
        raise UserError(f"{path}: {sentence(error, AblationFile)}", _SEE) from None
    _check(path, found)
    return found


def _check(path: Path, found: AblationFile) -> None:
    values = [settings for axis in found.axes.values() for settings in axis.values()]
    if any(_REMOTE_CODE in flat(settings) for settings in (found.set, *values)):
        raise UserError(
            f"{path}: {_REMOTE_CODE} is allowed on the command line alone", f"give --set {_REMOTE_CODE}=true"
        )
    folders: dict[str, str] = {}
    for variant in variants(found):
        other = folders.setdefault(variant.folder, variant.name)
        if other != variant.name:
            raise UserError(f"{path}: {variant.name!r} and {other!r} would have one folder", "name their values apart")
    if not folders:
        raise UserError(f"{path}: leave_out leaves no variant", _SEE)


def variants(found: AblationFile) -> list[Variant]:
    """Every combination that is compared, that of the first values first."""
    axes = list(found.axes)
    made = []
    for names in product(*found.axes.values()):
        values = dict(zip(axes, names, strict=True))
        others = sum(name != next(iter(found.axes[axis])) for axis, name in values.items())
        if (found.vary == "one" and others > 1) or any(out.items() <= values.items() for out in found.leave_out):
            continue
        made.append(Variant(values, flat(_settings(found, values))))
    return made


def _settings(found: AblationFile, values: Mapping[str, str]) -> dict[str, Any]:
    """The settings of a combination: first answers alone are compared, and nothing stops a variant that fails."""
    usual: dict[str, Any] = {
        "source": {"limit": found.objects},
        "run": {"shard_objects": _ONE_SHARD, "max_failed": 1.0},
        "tries": {"again": []},
        "distinct": {"enabled": False},
    }
    tables = merge(usual, found.set)
    for axis, name in values.items():
        tables = merge(tables, found.axes[axis][name])
    return tables


def flat(tables: Mapping[str, Any]) -> dict[str, Any]:
    """Tables as dotted keys with values."""
    return dict(_flat("", tables))


def _flat(above: str, tables: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from _flat(f"{above}{key}.", value)
        else:
            yield f"{above}{key}", value
