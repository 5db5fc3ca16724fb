"""Asks a model folder through capgen's vllm engine on the CPU, as a run would, and prints what happened as JSON.

    python -m tests.families.probe NAME [FOLDER]

NAME is one of ``tests.families.models``, whose folder is built first if it is not there.

One process a model: vLLM starts one engine in a process.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SAID = "A red cup."
THOUGHT = "I look at it."
BOXES = {1: [(60, 80, 120, 200), (320, 200, 200, 100), (10, 300, 150, 120)], 2: [(200, 150, 90, 90)]}
"""Objects of each photograph: left, top, width, height in pixels."""


def requests(settings: Any, root: Path) -> list[Any]:
    """Requests as a run makes them: three objects of one photograph, and one of another."""
    from capgen.pipeline.planning.prepare import build_source
    from capgen.pipeline.rendering.prompt import load_prompt
    from capgen.pipeline.rendering.render import Renderer, render_media
    from capgen.pipeline.sources.reading.decode import decode_media

    renderer = Renderer(settings.render, load_prompt(settings.prompt.name, category=settings.prompt.category))
    media = [decode_media(planned, root) for planned in build_source(settings).scan()]
    return [view for medium in media for view in render_media(medium, renderer)]


def photographs(root: Path) -> Path:
    """Two pictures of 640 x 480 with three objects on the first and one on the second, in LVIS's form."""
    (root / "train2017").mkdir(parents=True)
    rng = np.random.default_rng(5)
    images, annotations = [], []
    for image, boxes in (
        (1, [(60, 80, 120, 200), (320, 200, 200, 100), (10, 300, 150, 120)]),
        (2, [(200, 150, 90, 90)]),
    ):
        cv2.imwrite(str(root / f"train2017/{image:012d}.jpg"), rng.integers(0, 255, (480, 640, 3), dtype=np.uint8))
        url = f"http://images.cocodataset.org/train2017/{image:012d}.jpg"
        images.append({"id": image, "width": 640, "height": 480, "coco_url": url})
        for x, y, w, h in boxes:
            shape = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            body = {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "bbox": [x, y, w, h]}
            annotations.append(body | {"segmentation": shape, "area": w * h})
    categories = [{"id": 1, "name": "cup", "synonyms": ["cup"]}]
    body = {"images": images, "annotations": annotations, "categories": categories}
    (root / "lvis_v1_train.json").write_text(json.dumps(body))
    return root


async def rendered(session: Any, view: Any, **template: Any) -> tuple[Any, str]:
    """A request as the engine gets it, and its text; ``template`` overrides arguments of the chat template."""
    from vllm.renderers.params import ChatParams

    from capgen.pipeline.engines.vllm import messages

    chat = session.chat
    if template:
        given = {key: value for key, value in (chat.chat_template_kwargs | template).items() if value is not None}
        chat = ChatParams(chat_template_kwargs=given)
    _, prompts = await session.engine.renderer.render_chat_async([messages(view)], chat)
    text = session.engine.renderer.tokenizer.decode(prompts[0]["prompt_token_ids"])
    return prompts[0], text


async def endless(session: Any, view: Any) -> list[str]:
    """What a request whose chat template loops for ever ends as, and what the next one does."""
    from vllm.renderers.params import ChatParams

    from capgen.pipeline.engines.base import EngineFault
    from capgen.pipeline.engines.vllm import limit_template

    usual = session.chat
    limit_template(session.engine, "m", 0.2)
    loops = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
    session.chat = ChatParams(chat_template=loops, chat_template_kwargs=dict(usual.chat_template_kwargs))
    try:
        ended = await session.answer(view)
    except EngineFault as fault:
        ended = f"{type(fault).__name__}: {fault}"
    session.chat = usual
    return [str(ended), (await session.answer(view)).finish_reason]


async def made_to_say(session: Any, view: Any, thought: str = "") -> dict[str, Any]:
    """The engine's answer where the model is made to say ``thought`` and then ``SAID``, and to end."""
    tokenizer = session.engine.renderer.tokenizer
    tokens = tokenizer.encode(f"{thought}{SAID}", add_special_tokens=False)
    ends = session.engine.model_config.hf_config.get_text_config().eos_token_id
    usual, sampling = session.sampling, session.sampling.clone()
    sampling.max_tokens, sampling.extra_args = len(tokens) + 1, {"answer": [*tokens, ends]}
    session.sampling = sampling
    answer = await session.answer(view)
    session.sampling = usual
    said = dataclasses.asdict(answer)
    return {name: said[name] for name in ("text", "finish_reason", "logprob_min", "logprob_mean")}


def tokens_of(prompt: Any, view: Any, profile: Any) -> list[dict[str, Any]]:
    """For each picture: its size, the tokens that the profile predicts, and those that the engine made."""
    places = prompt["mm_placeholders"]["image"]
    found = []
    for picture, place in zip(view.pictures, places, strict=True):
        height, width = picture.pixels.shape[:2]
        made = {"size": [width, height], "predicted": profile.visual.count(width, height)}
        found.append(made | {"tokens": int(place.get_num_embeds()), "length": place.length, "offset": place.offset})
    return found


async def ask(folder: Path, *, weights: bool) -> dict[str, Any]:
    """Everything that is measured of a model folder."""
    from capgen.pipeline.engines.base import EngineContext, build_engine
    from capgen.pipeline.planning.config import load_settings
    from capgen.pipeline.planning.model_profiles import find_profile, profile_named

    known = find_profile(str(folder))[0]
    code = known is not None and known.remote_code
    flags = {"model.id": str(folder), "engine.name": "vllm", "model.trust_remote_code": code}
    with tempfile.TemporaryDirectory() as temporary:
        root = photographs(Path(temporary) / "lvis")
        settings = load_settings("lvis", flags | {"source.root": root, "sampling.max_tokens": 6})
        views = requests(settings, root)
    profile = profile_named(settings.model.profile)
    assert profile is not None
    options = settings.engine.options
    args = {**options.get("args", {}), "logits_processors": ["tests.families.forced:ForcedAnswer"]}
    if not weights:
        args["load_format"] = "dummy"
    # bfloat16: vLLM's kernel for linear attention on the CPU takes nothing else
    given = options | {"dtype": "bfloat16", "max_num_seqs": 2, "max_model_len": 6144, "args": args}
    engine = build_engine(settings.engine.model_copy(update={"options": given}))
    begun = time.monotonic()
    session: Any = await engine.start(EngineContext(settings.model, settings.sampling, 0))
    up = time.monotonic() - begun
    try:
        facts = await measured(session, views, profile, settings)
    finally:
        await session.stop()
    return {"profile": profile.name, "why": find_profile(str(folder))[1], "up_s": round(up, 1), **facts}


async def measured(session: Any, views: list[Any], profile: Any, settings: Any) -> dict[str, Any]:
    """What a started engine does with the requests."""
    facts: dict[str, Any] = {}
    answers = [dataclasses.asdict(await session.answer(view)) for view in views]
    facts["answers"] = answers
    # after the answers: what was rendered once but never sent would be missing in the engine's own cache
    prompt, text = await rendered(session, views[0])
    facts["pictures"] = tokens_of(prompt, views[0], profile)
    facts["prompt_tokens"] = len(prompt["prompt_token_ids"])
    facts["prompt"] = [text[:120], text[-120:]]
    on = dict.fromkeys(settings.model.template, True)
    thinking = (await rendered(session, views[0], **on))[1]
    facts["prompt_thinking"] = [thinking[:120], thinking[-120:]] if on else None
    facts["shared_prefix"] = facts["pictures"][1]["offset"]
    facts["block"] = session.engine.vllm_config.cache_config.block_size
    facts["endless"] = await endless(session, views[-1])
    facts["said"] = await made_to_say(session, views[-1])
    marks = settings.model.reasoning
    facts["thought"] = [await made_to_say(session, views[-1], f"{begin}{THOUGHT}{end}") for begin, end in marks]
    return facts


def main() -> None:
    """Print the facts of a model as the last line."""
    from tests.families.models import build

    name = sys.argv[1]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[2] if len(sys.argv) > 2 else f"{temporary}/{name}")
        if not (folder / "config.json").is_file():
            build(name, folder)
        weights = any(folder.glob("*.safetensors"))
        sys.stdout.write(json.dumps(asyncio.run(ask(folder, weights=weights))) + "\n")


if __name__ == "__main__":
    main()
