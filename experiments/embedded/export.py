"""Write a checkpoint as the model folder of the package: weights, configs, tokenizer, render profile, hashes.

::

    python -m experiments.embedded.export --state /tmp/train/state.pt --out capgen/sample/embedded
"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from capgen.pipeline.rendering.prompt import load_prompt
from experiments.embedded.config import Config, load_config
from experiments.embedded.data import MAX_CAPTION
from experiments.embedded.model import build_model
from experiments.embedded.tokenizer import BOS, EOS, PAD, build_tokenizer

HASHED = ("model.safetensors", "config.json", "tokenizer.json")
PROFILE = """# What this model needs otherwise than a pipeline file says; capgen lays it over the file.
profile = "embedded"

[render]
patch = {patch}
clean_pixels = {pixels}
marked_pixels = {pixels}
square = true
margin = {margin}
"""


def export(
    config: Config, weights: dict[str, Any], out: Path, texts: Iterable[str] = (), stored: torch.dtype | None = None
) -> None:
    """Write everything that transformers, vLLM and capgen read, and the hashes last.

    Args:
        texts: what the model reads beside its prompt; see ``vocabulary``.
        stored: the type of the numbers in the file, which are computed with in float32 all the same.
    """
    from transformers import GenerationConfig

    tokenizer = build_tokenizer(load_prompt(config.data.prompt, category=True), texts)
    model = build_model(config, len(tokenizer))
    model.load_state_dict(weights)
    model.generation_config = GenerationConfig(
        bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD, do_sample=False, max_new_tokens=4 * MAX_CAPTION
    )
    out.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(out)
    if stored is not None:
        narrow(out / "model.safetensors", stored)
    processor(config, tokenizer).save_pretrained(out)
    side = config.render.side
    profile = PROFILE.format(patch=config.vision.patch, pixels=side * side, margin=config.render.margin)
    (out / "capgen.toml").write_text(profile, encoding="utf-8")
    for file in out.iterdir():
        file.chmod(0o644)
    sums = {name: [(out / name).stat().st_size, _sha256(out / name)] for name in HASHED}
    (out / "sha256.json").write_text(json.dumps(sums, indent=2) + "\n", encoding="utf-8")


def narrow(file: Path, stored: torch.dtype) -> None:
    """Write the weights of a file in a shorter type; whoever loads them into float32 gets float32."""
    from safetensors.torch import load_file, save_file

    save_file({name: value.to(stored) for name, value in load_file(file).items()}, file, {"format": "pt"})


def processor(config: Config, tokenizer: Any) -> Any:
    """The stock processor: one size, no splitting, and a chat template in which a picture is ``<image>``."""
    from transformers import Idefics3Processor
    from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

    size = {"longest_edge": config.render.side}
    images = Idefics3ImageProcessorPil(
        size=size,
        max_image_size=size,
        do_image_splitting=False,
        do_resize=True,
        image_mean=[0.5] * 3,
        image_std=[0.5] * 3,
    )
    return Idefics3Processor(images, tokenizer, image_seq_len=config.tokens, chat_template=tokenizer.chat_template)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def main() -> None:
    """Export a checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    options = parser.parse_args()
    state = torch.load(options.state, map_location="cpu", weights_only=True)
    export(load_config(options.config), state["model"], options.out)
    print(f"{options.out}: after {state['minutes']:.1f} minutes, {state['captions']} captions")


if __name__ == "__main__":
    main()
