"""What libraries print that users of capgen can do nothing about: warnings by name, and all output of an engine."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_WARNED: tuple[tuple[type[Warning], str], ...] = (
    # Pillow on broken metadata of a picture whose pixels are whole; what cannot be shown is a fault of its own
    (UserWarning, r"Tag data larger than file"),
    (UserWarning, r"Truncated File Read"),
    (UserWarning, r"Corrupt EXIF data"),
    (UserWarning, r"Metadata Warning, tag \d+ had too many entries"),
    (UserWarning, r"Palette images with Transparency expressed in bytes"),
    # numpy on an empty table of a benchmark, which is said in capgen's own words
    (UserWarning, r"loadtxt: input contained no data"),
    # pycocotools under numpy 2: it cannot be called otherwise
    (DeprecationWarning, r"__array__ implementation doesn.t accept a copy keyword"),
)
_LOGGED: dict[str, tuple[str, ...]] = {
    # a configuration is checked with a text model's usual vocabulary before the model's own one is set
    "transformers.configuration_utils": (r"Model config: pad_token_id must be",),
    # the segmenter of the sample presets has a ResNet, which works
    "transformers.models.mask2former.configuration_mask2former": (r"Backbone \w+ is not a supported model",),
    # capgen needs no torchvision: the processors that work on PIL images give the same pixels
    "transformers.utils.import_utils": (r"requires torchvision \(not installed\); falling back to",),
    # a dataset folder's README needs no metadata for us
    "huggingface_hub.repocard": (r"Repo card metadata block was not found",),
}


class _Unless(logging.Filter):
    """Lets pass what matches none of some patterns."""

    def __init__(self, patterns: tuple[str, ...]) -> None:
        super().__init__()
        self._pattern = re.compile("|".join(patterns))

    def filter(self, record: logging.LogRecord) -> bool:
        return self._pattern.search(record.getMessage()) is None


def hide_library_warnings() -> None:
    """Hide them in this process; calling it again changes nothing."""
    for category, message in _WARNED:
        warnings.filterwarnings("ignore", message=message, category=category)
    for name, patterns in _LOGGED.items():
        logger = logging.getLogger(name)
        if not any(isinstance(found, _Unless) for found in logger.filters):
            logger.addFilter(_Unless(patterns))


@contextmanager
def output_sent_to(descriptor: int) -> Iterator[None]:
    """Send what this process, and those that it starts, write to stdout and stderr to an open file instead.

    Processes that outlive the block go on writing there.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = os.dup(1), os.dup(2)
    try:
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for number, before in enumerate(kept, 1):
            os.dup2(before, number)
            os.close(before)


@contextmanager
def engine_output_hidden() -> Iterator[None]:
    """Send what an engine in the process of a command prints to a file that is then gone.

    vLLM, transformers and torch tell of their own start there, and an engine that does not start says why in its error.
    """
    with tempfile.TemporaryFile() as file, output_sent_to(file.fileno()):
        yield
