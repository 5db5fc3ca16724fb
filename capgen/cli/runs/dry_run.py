"""``capgen run --dry-run``: what the run would take, and what the model would see, without starting it."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from capgen.cli.models import estimate_text
from capgen.cli.settings import with_world
from capgen.display import echo
from capgen.errors import UserError

if TYPE_CHECKING:
    from capgen.dataset.plan import ModelName
    from capgen.pipeline.settings import Settings

_SHOWN = 12  # objects on the page
_PAGE = Path("preview.html")


def dry_run(
    settings: Settings, model: ModelName, *, gpus: str | None, tensor_parallel: int, price: float | None
) -> None:
    """Print the estimate of a run, and write a page with its first requests; no engine is started, OUT is not touched.

    Args:
        gpus: ``--gpus`` as it was given; the GPUs need not be here.

    Raises:
        UserError: a setting is wrong, or the page cannot be written.
    """
    from capgen.pipeline.estimating.cost import EstimateRequest, estimate_run
    from capgen.pipeline.estimating.token_counter import token_counter
    from capgen.pipeline.pages.preview import preview_page
    from capgen.pipeline.planning.prepare import checked

    if price is not None and price < 0:
        raise UserError(f"--price {price:g} is below 0", "leave it out if it is not known")
    count = _count(gpus)
    if count < 0 or tensor_parallel < 1 or count % tensor_parallel:
        raise UserError(f"--gpus {count} cannot be shared out by {tensor_parallel}", "--gpus is a multiple of it, or 0")
    with TemporaryDirectory() as temporary:
        settings = with_world(settings, Path(temporary) / "run")
        checked(settings)
        echo(estimate_text(estimate_run(settings, EstimateRequest(count, tensor_parallel, 0, None, price)), model.name))
        few = min(_SHOWN, settings.source.limit or _SHOWN)
        source = settings.source.model_copy(update={"limit": few})
        settings = settings.model_copy(update={"source": source})
        shown = preview_page(settings, _PAGE, counter=token_counter(settings))
    echo(f"preview:   {shown} objects in {_PAGE}")


def _count(gpus: str | None) -> int:
    from capgen.pipeline.planning.preflight import local_gpus

    if gpus in (None, "all"):
        return local_gpus()
    try:
        return int(str(gpus))
    except ValueError:
        raise UserError(f"--gpus {gpus!r} is no number", "give one, or all") from None
