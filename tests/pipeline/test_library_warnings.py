"""Warnings that users can do nothing about are kept from them, by name; every other warning is shown."""

import subprocess
import sys

CODE = """
import logging, sys, warnings
from capgen.pipeline.library_warnings import hide_library_warnings
logging.basicConfig(stream=sys.stderr, format="%(message)s")
hide_library_warnings()
hide_library_warnings()
warnings.warn("Tag data larger than file. Skipping tag 270")
warnings.warn("something else")
logger = logging.getLogger("transformers.configuration_utils")
logger.warning("Model config: pad_token_id must be `None` or an integer within the vocabulary")
logger.warning("the weights do not fit")
print(len(logger.filters))
"""


def test_only_the_named_warnings_are_hidden():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, timeout=60, check=True)
    assert "Tag data" not in done.stderr
    assert "pad_token_id" not in done.stderr
    assert "something else" in done.stderr
    assert "the weights do not fit" in done.stderr
    assert done.stdout.strip() == "1"


ENGINE = """
import os, subprocess, sys
from capgen.pipeline.library_warnings import engine_output_hidden
print("before")
try:
    with engine_output_hidden():
        print("an engine's words")
        print("and its warnings", file=sys.stderr)
        subprocess.run([sys.executable, "-c", "print('of a process of its own')"])
        raise ValueError("it does not start")
except ValueError as error:
    print(error)
print("after", file=sys.stderr)
"""


def test_what_an_engine_prints_is_hidden_and_what_went_wrong_is_told():
    done = subprocess.run([sys.executable, "-c", ENGINE], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["before", "it does not start"]
    assert done.stderr.splitlines() == ["after"]
