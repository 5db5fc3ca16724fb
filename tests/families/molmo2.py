"""Molmo 2 as the Hub has it: a folder that brings code of its own, with which vLLM's model of it runs.

The processors are those of transformers 5.20 to 5.22, whose files are written into the folder as its own code: vLLM
0.32 takes no such transformers. They are read from an installation that is kept aside (``PROCESSORS``). Two things are
as the published folders have them, which vLLM reads, and not as transformers has them since: the names of the
configuration's fields, and the numbers of the patches of a token, which begin anew with each picture.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

from tests.families import tiny_tokenizers
from tests.families.chats import MOLMO2
from tests.families.parts import CHATML, LAYERS, TEXT, WIDE

PROCESSORS = Path(sys.prefix) / "share" / "transformers" / "transformers" / "models" / "molmo2"
REMEDY = ".venv/bin/pip install --no-deps --target .venv/share/transformers transformers==5.22.2"

_FILES = ("image_processing_molmo2.py", "video_processing_molmo2.py", "processing_molmo2.py")
_CONFIGURATION = """
from transformers import PreTrainedConfig


class Molmo2TextConfig(PreTrainedConfig):
    model_type = "molmo2_text"
    base_config_key = "text_config"


class Molmo2VitConfig(PreTrainedConfig):
    model_type = "molmo2_vit"
    base_config_key = "vit_config"


class Molmo2AdapterConfig(PreTrainedConfig):
    model_type = "molmo2_adapter"
    base_config_key = "adapter_config"


class Molmo2Config(PreTrainedConfig):
    model_type = "molmo2"
    sub_configs = {
        "text_config": Molmo2TextConfig,
        "vit_config": Molmo2VitConfig,
        "adapter_config": Molmo2AdapterConfig,
    }

    def __init__(self, text_config=None, vit_config=None, adapter_config=None, **more):
        self.text_config = Molmo2TextConfig(**(text_config or {}))
        self.vit_config = Molmo2VitConfig(**(vit_config or {}))
        self.adapter_config = Molmo2AdapterConfig(**(adapter_config or {}))
        super().__init__(**more)
"""
_PICTURES = """
from .image_processing_molmo2 import Molmo2ImageProcessor as CountsThrough


class Molmo2ImageProcessor(CountsThrough):
    def _preprocess(self, *args, **options):
        found = super()._preprocess(*args, **options)
        token = patch = 0
        for grid, crops in zip(found["image_grids"].tolist(), found["image_num_crops"].tolist()):
            tokens = grid[0] * grid[1] + grid[2] * grid[3]
            of_picture = found["image_token_pooling"][token : token + tokens]
            of_picture[of_picture >= 0] -= patch
            token += tokens
            patch += crops * found["pixel_values"].shape[1]
        return found
"""
_OF_PICTURES = {
    "image_patch_id": "<im_patch>",
    "image_col_id": "<im_col>",
    "image_start_token_id": "<im_start>",
    "low_res_image_start_token_id": "<low_res_im_start>",
    "image_end_token_id": "<im_end>",
    "image_low_res_id": "<im_low>",
    "frame_start_token_id": "<frame_start>",
    "frame_end_token_id": "<frame_end>",
}


def write(folder: Path) -> None:
    """Write the model folder, without weights.

    Raises:
        FileNotFoundError: the processors are not here; ``REMEDY`` brings them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        text = (PROCESSORS / name).read_text("utf-8")
        (folder / name).write_text(re.sub(r"^from \.\.\.(\w)", r"from transformers.\1", text, flags=re.MULTILINE))
    (folder / "configuration_molmo2.py").write_text(_CONFIGURATION)
    (folder / "pictures_molmo2.py").write_text(_PICTURES)
    tokenizer = tiny_tokenizers.qwen2("<|im_end|>", (*CHATML, "<|image|>", "<|video|>", *_OF_PICTURES.values()))
    tokenizer.chat_template = MOLMO2.template
    tokenizer.save_pretrained(folder)
    end = tokenizer.convert_tokens_to_ids("<|im_end|>")
    _write(folder / "config.json", _config(tokenizer, end))
    _write(folder / "generation_config.json", {"eos_token_id": end, "pad_token_id": end})
    own = {"AutoProcessor": "processing_molmo2.Molmo2Processor"}
    about = {"processor_class": "Molmo2Processor", "auto_map": own}
    _write(folder / "processor_config.json", about | {"use_single_crop_col_tokens": False})
    pictures = own | {"AutoImageProcessor": "pictures_molmo2.Molmo2ImageProcessor"}
    kind = {"image_processor_type": "Molmo2ImageProcessor", "size": {"height": 378, "width": 378}, "max_crops": 8}
    _write(folder / "preprocessor_config.json", about | kind | {"auto_map": pictures})
    videos = own | {"AutoVideoProcessor": "video_processing_molmo2.Molmo2VideoProcessor"}
    kind = {"video_processor_type": "Molmo2VideoProcessor"}
    _write(folder / "video_preprocessor_config.json", about | kind | {"auto_map": videos})


def _config(tokenizer: Any, end: int) -> dict[str, Any]:
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "head_dim": 32}
    tower = {"hidden_size": WIDE, "intermediate_size": 128, "hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6}
    tower |= {"num_hidden_layers": LAYERS, "image_default_input_size": [378, 378], "image_patch_size": 14}
    adapter = {"hidden_size": WIDE, "intermediate_size": 128, "text_hidden_size": WIDE, "hidden_act": "silu"}
    adapter |= {"vit_layers": [-1, -2], "pooling_attention_mask": True}
    text = TEXT | {"vocab_size": len(tokenizer), "additional_vocab_size": 128, "hidden_act": "silu", "qkv_bias": False}
    text |= {"use_qk_norm": True, "qk_norm_type": "qwen3", "layer_norm_eps": 1e-6, "norm_after": False}
    text |= {"rope_theta": 10000.0, "rope_scaling_layers": None, "tie_word_embeddings": False, "eos_token_id": end}
    return {
        "architectures": ["Molmo2ForConditionalGeneration"],
        "model_type": "molmo2",
        "auto_map": {"AutoConfig": "configuration_molmo2.Molmo2Config"},
        "text_config": text,
        "vit_config": tower | heads | {"image_num_pos": 729},
        "adapter_config": adapter | heads,
        "tie_word_embeddings": False,
        **{name: tokenizer.convert_tokens_to_ids(token) for name, token in _OF_PICTURES.items()},
    }


def _write(path: Path, body: dict[str, Any]) -> None:
    path.write_text(json.dumps(body, indent=1))
