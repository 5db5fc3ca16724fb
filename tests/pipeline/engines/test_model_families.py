"""The real picture processors of the families, on pictures as capgen sizes them: tokens are as the profile predicts.

No weights are needed: how a picture is cut is the processor's alone. Sizes and limits are those of the families'
published preprocessor configurations.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from PIL import Image

from capgen.pipeline.engines.chat_completions import template_messages
from capgen.pipeline.planning.config import load_settings
from capgen.pipeline.planning.model_profiles import model_profiles
from capgen.pipeline.rendering.highlights.base import Fit
from capgen.pipeline.view import Picture, View
from tests.tiny_models import character_tokenizer

transformers = pytest.importorskip("transformers")

SOURCES = ((640, 480), (480, 640), (500, 375), (1920, 1080), (427, 640), (96, 128), (1000, 60))


@dataclass(frozen=True)
class Family:
    """A picture processor's class and configuration, arguments of a call, and tokens from what it returns."""

    processor: str
    config: dict[str, Any]
    tokens: Any
    call: dict[str, Any]


def merged(out):
    """Patches of the vision tower, four to a token."""
    return int(np.prod(out["image_grid_thw"][0])) // 4


def rows(side):
    """Tokens of a row, and one at its end (Pixtral's rule)."""
    return lambda out: (out["image_sizes"][0][0] // side) * (out["image_sizes"][0][1] // side + 1)


def tiles(tokens, key="pixel_values", axis=1):
    return lambda out: tokens * out[key].shape[axis]


FAMILIES = {
    "qwen2.5-vl": Family(
        "Qwen2VLImageProcessor", {"size": {"shortest_edge": 3136, "longest_edge": 12845056}}, merged, {}
    ),
    "qwen3-vl": Family(
        "Qwen2VLImageProcessor",
        {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
        merged,
        {},
    ),
    "qwen3.5": Family(
        "Qwen2VLImageProcessor",
        {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
        merged,
        {},
    ),
    "llava-onevision2": Family(
        "Qwen2VLImageProcessor", {"size": {"shortest_edge": 200704, "longest_edge": 4000000}}, merged, {}
    ),
    "glm-5.3": Family("Glm5NextImageProcessorPil", {}, merged, {}),
    "glm-v": Family("Glm46VImageProcessor", {}, merged, {}),
    "pixtral": Family("PixtralImageProcessor", {}, rows(16), {}),
    "mistral3": Family("PixtralImageProcessor", {"patch_size": 14, "size": {"longest_edge": 1540}}, rows(28), {}),
    "internvl": Family(
        "GotOcr2ImageProcessor",
        {"crop_to_patches": True, "size": {"height": 448, "width": 448}},
        tiles(256, axis=0),
        {},
    ),
    "gemma4": Family("Gemma4ImageProcessor", {}, lambda out: int(out["num_soft_tokens_per_image"][0]), {}),
    "idefics3": Family("Idefics3ImageProcessor", {}, tiles(169), {"size": {"longest_edge": 364}}),
    "smolvlm": Family(
        "SmolVLMImageProcessor",
        {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512}},
        tiles(64),
        {"size": {"longest_edge": 512}},
    ),
}


def picture(width, height):
    pixels = np.random.default_rng(0).integers(1, 255, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(pixels)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_picture_becomes_as_many_tokens_as_the_profile_predicts(name):
    """For pictures of all shapes, clean and marked, at the sizes that a run with the family's profile sends."""
    family, profile = FAMILIES[name], model_profiles()[name]
    processor = getattr(transformers, family.processor)(**family.config)
    render = load_settings("lvis", {"model.id": "a/b"}, [f"model.profile={name}"]).render
    seen = set()
    for source in SOURCES:
        for pixels in (render.clean_pixels, render.marked_pixels):
            size = Fit(render.patch, pixels, render.square).size(*source)
            out = processor(images=[picture(*size)], return_tensors="np", **family.call)
            assert family.tokens(out) == profile.visual.count(*size), (source, size)
            seen.add(size)
    assert len(seen) == (1 if render.square else len(seen))


def test_the_arguments_of_the_engine_keep_idefics_from_cutting_a_picture_into_tiles():
    """Without them a picture of 364 x 364 is enlarged fourfold and becomes 17 tiles."""
    for name in ("idefics3", "smolvlm"):
        arguments = model_profiles()[name].engines["vllm"]["args"]["mm_processor_kwargs"]
        assert arguments == FAMILIES[name].call
    processor = transformers.Idefics3ImageProcessor()
    assert processor(images=[picture(364, 364)], return_tensors="np")["pixel_values"].shape[1] == 17


def tokenizer(**named):
    words = sorted({*named.values(), "<e>"})
    core = character_tokenizer(words, "<e>").backend_tokenizer
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=core, eos_token="<e>", pad_token="<e>", unk_token="<unk>", extra_special_tokens=named
    )


def test_gemma_3_gives_every_picture_as_many_tokens_as_predicted():
    """Its whole processor, with a tokenizer of single characters."""
    names = {"boi_token": "<boi>", "eoi_token": "<eoi>", "image_token": "<img>"}
    pictures = transformers.Gemma3ImageProcessor(size={"height": 896, "width": 896})
    processor = transformers.Gemma3Processor(pictures, tokenizer(**names))
    profile = model_profiles()["gemma3"]
    for size in ((896, 896), (640, 480)):
        ids = processor(text=["<boi>a<boi>"], images=[[picture(*size)] * 2], return_tensors="np")["input_ids"][0]
        token = processor.tokenizer.convert_tokens_to_ids("<img>")
        assert int((ids == token).sum()) == 2 * profile.visual.count(*size)


TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|image_pad|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}{% endif %}"
)
"""The switch as the templates of the families that think have it: without the argument, thinking is on."""


@pytest.mark.parametrize("name", [name for name, one in model_profiles().items() if one.thinking == "switch"])
def test_thinking_is_off_in_the_rendered_prompt(name):
    settings = load_settings("lvis", {"model.id": "a/b"}, [f"model.profile={name}"])
    template = settings.model.template
    if "enable_thinking" not in template:
        assert template == {"thinking": False}
        return
    view = View("k", "Be brief.", (), ("Look.", Picture(np.zeros((32, 32, 3), np.uint8), "d"), "What?"), "cup")
    tiny = tokenizer(image_token="<|image_pad|>")
    told = {"chat_template": TEMPLATE, "add_generation_prompt": True, "tokenize": False}
    assert tiny.apply_chat_template(template_messages(view), **told).endswith("<think>\n")
    assert tiny.apply_chat_template(template_messages(view), **told, **template).endswith("<think>\n\n</think>\n\n")
