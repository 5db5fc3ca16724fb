"""Renders a request with processors alone, for families that vLLM's CPU build does not run; prints facts as JSON.

python -m tests.families.processors
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.families.models import PROCESSORS
from tests.families.probe import photographs, requests


def facts_of(name: str) -> dict[str, Any]:
    """The pictures' sizes with predicted and real tokens, and the ends of the prompt with and without thinking."""
    from PIL import Image

    from capgen.pipeline.engines.chat_completions import template_messages
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.model_profiles import model_profiles

    processor, written = PROCESSORS[name]()
    with tempfile.TemporaryDirectory() as temporary:
        root = photographs(Path(temporary) / "lvis")
        flags = {"model.id": "a/b", "source.root": root}
        settings = load_settings("lvis", flags, [f"model.profile={name}"])
        view = requests(settings, root)[0]

    def prompt(**template: Any) -> str:
        told = {"chat_template": written.template, "add_generation_prompt": True, "tokenize": False}
        return str(processor.tokenizer.apply_chat_template(template_messages(view), **told, **template))

    text = prompt(**settings.model.template)
    found = []
    for picture in view.pictures:
        image = Image.fromarray(picture.pixels)
        predicted = model_profiles()[name].visual.count(*image.size)
        found.append({"size": image.size, "predicted": predicted, "tokens": tokens(name, processor, image)})
    on = dict.fromkeys(settings.model.template, True)
    return {"pictures": found, "prompt_end": text[-120:], "prompt_end_thinking": prompt(**on)[-120:] if on else None}


def tokens(name: str, processor: Any, image: Any) -> int:
    """Tokens of one picture that stand for pixels."""
    if name == "ovis":
        _, _, grid = processor.preprocess_multidata(
            images=image, min_pixels=448 * 448, max_pixels=1792 * 1792, return_tensors="pt"
        )
        return int(grid.prod()) // 4
    mark = {"llama4": "<|patch|>", "kimi-vl": "<|media_pad|>"}[name]
    shown = {"llama4": "<|image|>", "kimi-vl": mark}[name]
    ids = processor(text=[shown], images=[[image]])["input_ids"][0]
    return list(ids).count(processor.tokenizer.convert_tokens_to_ids(mark))


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: facts_of(name) for name in PROCESSORS}) + "\n")
