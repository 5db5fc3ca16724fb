"""Flags and arguments that several verbs share, and the names that their help texts list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated

import typer

from capgen.cli.data import places
from capgen.errors import UserError
from capgen.pipeline.engines import ENGINES
from capgen.resources import resource_names


def dataset_names() -> tuple[str, ...]:
    """What ``--dataset`` takes: the names of the files in ``pipelines/``; none where the installation lacks them."""
    try:
        return resource_names("pipelines", ".toml")
    except UserError:  # said with its remedy by the verb that needs one; help must work without
        return ()


def one_of(names: Iterable[str]) -> Callable[[str], list[str]]:
    """What a shell completes a value with: those of some names that begin as it does."""
    return lambda incomplete: [name for name in names if name.startswith(incomplete)]


DatasetFlag = Annotated[
    str | None,
    typer.Option(
        help=f"Dataset to caption: {', '.join(dataset_names())}; auto looks what --root holds.",
        show_default=False,
        autocompletion=one_of((*dataset_names(), "auto")),
    ),
]
PipelineFlag = Annotated[str | None, typer.Option(help="Pipeline file (TOML) to use instead of --dataset.")]
RootFlag = Annotated[
    Path | None,
    typer.Option(parser=places.dataset_root, metavar="DIR", help="Folder or URL of the dataset."),
]
FollowLinksFlag = Annotated[
    bool | None,
    typer.Option(
        "--follow-links/--no-follow-links",
        help="Whether pictures may be links out of --root. Default: yes, unless --root lies in a run's folder.",
        show_default=False,
    ),
]
EmbedFlag = Annotated[
    str | None, typer.Option(help="Pictures to store in the release: crops (marked close-ups) or media (frames).")
]
SplitFlag = Annotated[str | None, typer.Option(help="Split, several separated by commas, or all.")]
ModelFlag = Annotated[str | None, typer.Option(help="Hub name, model folder, or embedded.")]
EngineFlag = Annotated[
    str | None, typer.Option(help=f"Inference engine: {', '.join(ENGINES)}.", autocompletion=one_of(ENGINES))
]
GpusFlag = Annotated[
    str | None,
    typer.Option(
        metavar="N|all",
        help="Number of GPUs; 0 runs on the CPU. all: those of the Ray cluster, and those that join it while the run "
        "goes on. Default: all GPUs of this machine.",
    ),
]
TensorParallelFlag = Annotated[int, typer.Option(help="GPUs per engine.")]
WorkersFlag = Annotated[int, typer.Option(help="Number of engines when running on the CPU.")]
SetFlag = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="TABLE.KEY=VALUE", help="Override a setting of the file; may be repeated."),
]
TrustOutFlag = Annotated[
    bool, typer.Option("--trust-out", help="Use the servers, key variables, folders and code that OUT itself names.")
]
RunFolder = Annotated[Path, typer.Argument(metavar="OUT", parser=places.finished_out, help="Folder or URL of a run.")]
RunAtAGlance = Annotated[
    Path, typer.Argument(metavar="OUT", parser=places.out_at_a_glance, help="Folder or URL of a run.")
]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
