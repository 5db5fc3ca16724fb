"""How model folders and names on the hub are loaded: no code of theirs is run, and weights are no pickles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from capgen.errors import UserError

NO_CODE: dict[str, Any] = {"trust_remote_code": False}
"""Arguments for configurations and tokenizers; without it transformers asks on the terminal whether to run code."""
SAFE_WEIGHTS: dict[str, Any] = {**NO_CODE, "use_safetensors": True, "weights_only": True}
"""Arguments for models."""
_PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl"})


def refuse_pickles(folder: Path) -> None:
    """Refuse the folder of a MaskCaptioner in which a pickle lies; saving one writes none.

    Raises:
        UserError: there is one.
    """
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in _PICKLES)
    if found:
        raise UserError(
            f"{found[0]} is a pickle, which can run a program when it is loaded",
            "delete it: the weights are safetensors",
        )
