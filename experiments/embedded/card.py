"""Write the model's card from the result files and the configuration; nothing in it is typed by hand.

::

    python -m experiments.embedded.card --log /tmp/train/log.csv
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from pathlib import Path
from typing import Any

from capgen.sample.embedded_model import model_dir
from experiments.embedded.config import Config, load_config
from experiments.embedded.scoring.evaluate import ATTRIBUTES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
LEGS = ("config.toml", "second.toml", "third.toml")
"""The settings of the training, one after the other on the same state."""
_HEAD = """---
license: apache-2.0
pipeline_tag: image-text-to-text
tags: [capgen, idefics3]
---
# {name}: the captioner that comes with capgen

A vision-language model of {millions:.2f} million parameters ({megabytes:.1f} MB, float32) for capgen's sample world and
nothing else: it knows {tokens} words, 20 kinds of objects, 8 colours, 4 textures, 3 sizes and 7 movements. It exists so
that the pipeline runs on any machine with a real engine, and so that its captions can be checked against what is true.
Stock transformers and vLLM load it (architecture Idefics3: a vision tower {vision},
one linear connector with {visual} visual tokens a picture, and a Llama {text}).

It says `A large dotted blue pine tree moving left.` of the object in the box of the close-ups. The prompt that it was
measured with (`{prompt}`, category untold) contains neither category nor colour.

## Data
Scenes of `capgen.sample`, drawn for this training alone: image worlds of even seeds, video worlds of the odd ones
between. Pictures and prompts are made by the pipeline's own renderer. {told:.0%} of the requests tell the category.
Validation uses seed {validation}, the tables below seeds {test} and {piped}, the comparison seed {test_next}.

{legs}
The first leg's pictures were drawn while the pipeline still chose green for most boxes; the second and third go on
with 50 of its image chunks beside their own.

## Recipe
`experiments/embedded/` ({minutes:.0f} minutes on 2 shared CPU cores; {close_ups:,} close-ups and {captions:,} captions
seen): stage T trains a small convolutional network on close-ups, which guides the vision tower; stage A trains the
tower on category, colour, texture and the target's mask; stage B writes captions as well. AdamW, gradients clipped, the
learning rate held and then lowered in a straight line, anew in each leg. `experiments/embedded/README.md` has the
commands.
"""


_PIPELINE = """`capgen sample`, `capgen run` with real vLLM on the CPU, `capgen score`, on a world of seed {seed:,}.
Right / (right + wrong + unsaid); *chance* is what naming any object of the same scene would score. Made by
`experiments/embedded/scoring/measure.py`.
"""
GOALS = {"category": 0.95, "colour": 0.95, "texture": 0.90, "size": 0.85, "motion": 0.90}
_HOW = """Right / (right + wrong + unsaid), greedy captions, transformers. *Against another object*: the same captions
held against the next object of the scene. *Without mark*: the clean picture in place of the close-ups, no place told.
"""
_VLLM = """vLLM on the CPU and transformers wrote the same caption for {equal} of {objects} objects (seed {seed:,});
{rate} objects a second through the pipeline's engine, start {start} s, {cached} of the prompt tokens from the cache.
"""


def percent(value: float) -> str:
    """A share as text."""
    return f"{100 * value:.1f} %"


def rows(head: list[str], body: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *body]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def accuracy(found: dict[str, Any]) -> str:
    """Right / (right + wrong + unsaid) by attribute for every question."""
    names = [*ATTRIBUTES, "whole"]
    questions = ("plain", "category told", "against another object of the scene", "without mark and close-up")
    body = []
    for kind in ("image", "video"):
        for question in questions:
            cells = found[kind][question]
            shown = [percent(cells[name]["accuracy"]) if name in cells else "-" for name in names]
            body.append([kind, question, str(max(cell["n"] for cell in cells.values())), *shown])
    return rows(["", "question", "objects", *ATTRIBUTES, "whole caption"], body)


def piped(measured: dict[str, Any]) -> str:
    """Accuracy through the whole pipeline, beside the goals and chance, and how fast it was."""
    body = [["", "goal", "", *(f">= {GOALS[name]:.2f}" for name in ATTRIBUTES), "", ""]]
    for kind in ("images", "videos"):
        for way, made in measured[kind].items():
            if way == "chance":
                body.append(
                    [kind, way, "", *(percent(made[name]) if name in made else "-" for name in ATTRIBUTES), "", ""]
                )
                continue
            score, report = made["score"], made["report"]
            shown = [percent(score[name]["rate"]) if score[name]["rate"] is not None else "-" for name in ATTRIBUTES]
            cached = percent(report["cached_tokens"] / report["prompt_tokens"])
            body.append([kind, way, str(score["objects"]), *shown, f"{report['requests_per_s']:.0f}", cached])
    return rows(["", "prompt", "objects", *ATTRIBUTES, "requests/s", "cached tokens"], body)


def binned(measured: dict[str, Any], name: str, title: str) -> str:
    """Accuracy of the plain way against the object's area, or against the share of it that is hidden."""
    body = []
    for kind in ("images", "videos"):
        for group in measured[kind]["as the pipeline asks"]["score"][name]:
            span = f"{100 * group['low']:.2f} % to {100 * group['high']:.2f} %"
            shown = [percent(group[part]["rate"]) for part in ("category", "colour", "texture")]
            body.append(
                [kind, span, str(sum(group["category"][verdict] for verdict in ("right", "wrong", "unsaid"))), *shown]
            )
    return rows(["", title, "objects", "category", "colour", "texture"], body)


def against(found: dict[str, Any], name: str) -> str:
    """Accuracy by groups of extent or of the hidden share."""
    body = []
    for kind in ("image", "video"):
        for group, cells in found[kind][f"by {name}"].items():
            shown = [percent(cells[a]["accuracy"]) for a in ("category", "colour", "texture", "size")]
            body.append([kind, group, str(cells["whole"]["n"]), *shown])
    return rows(["", name, "objects", "category", "colour", "texture", "size"], body)


def curve(log: list[dict[str, str]]) -> str:
    """The validation accuracies over time, about a dozen rows of the log."""
    columns = {
        "minutes": "minutes",
        "stage": "stage",
        "close_ups": "close-ups",
        "captions": "captions",
        "image_category": "category (head)",
        "image_colour": "colour (head)",
        "image_texture": "texture (head)",
        "image_said_whole": "image caption",
        "video_said_whole": "video caption",
    }
    step = max(1, len(log) // 14)
    kept = [*log[step - 1 : -1 : step], log[-1]]
    return rows(list(columns.values()), [[row.get(key) or "-" for key in columns] for row in kept])


def legs(configs: list[Config]) -> str:
    """What each leg of the training added: until when, how fast, on which scenes."""
    body = []
    for number, config in enumerate(configs, 1):
        data, train = config.data, config.train
        videos = data.video_chunks * data.videos_per_chunk
        body.append(
            [
                str(number),
                f"{train.teacher_minutes + train.stage_a_minutes + train.stage_b_minutes:.0f}",
                f"{train.lr:g}",
                f"{data.image_chunks * data.images_per_chunk:,}",
                f"{videos:,}" if videos else "those of leg 2",
                f"{data.first_seed:,}",
            ]
        )
    return rows(["leg", "until minute", "learning rate", "pictures", "videos", "seeds from"], body)


def card(configs: list[Config], folder: Path, results: dict[str, dict[str, Any]], log: list[dict[str, str]]) -> str:
    """The card's text."""
    from safetensors import safe_open

    found, compared, measured = results["evaluate"], results["compare"], results["measure"]
    weights = folder / "model.safetensors"
    with safe_open(weights, "np") as file:
        count = sum(file.get_tensor(name).size for name in file.keys())  # noqa: SIM118 - not a mapping
    config = configs[0]
    data, vision, text = config.data, config.vision, config.text
    head = _HEAD.format(
        name=config.name,
        millions=count / 1e6,
        megabytes=weights.stat().st_size / 1e6,
        tokens=json.loads((folder / "config.json").read_text())["text_config"]["vocab_size"],
        vision=f"{vision.width} wide, {vision.layers} layers, {config.render.side} pixels in patches of {vision.patch}",
        visual=config.tokens,
        text=f"{text.width} wide, {text.layers} layers",
        prompt=data.prompt,
        legs=legs(configs),
        piped=f"{measured['seed']:,}",
        told=data.category_share,
        validation=f"{data.validation_seed:,}",
        test=f"{found['seed']:,}",
        test_next=f"{compared['seed']:,}",
        minutes=float(log[-1]["minutes"]),
        close_ups=int(log[-1]["close_ups"]),
        captions=int(log[-1]["captions"]),
    )
    follows, wrong = [], []
    for kind in ("image", "video"):
        shares = found[kind]["caption follows the mark"]
        follows.append([kind, *(percent(shares[f"{who} object's category"]) for who in ("the marked", "the other"))])
        wrong.append(f"{kind}: " + ", ".join(f"{k} ({n})" for k, n in found[kind]["wrong categories"].items()))
    return "\n".join(
        [
            head,
            "## Accuracy through the whole pipeline, on a world that training never saw",
            _PIPELINE.format(seed=measured["seed"]),
            piped(measured),
            "\n### Against the object's area (share of the picture)\n",
            binned(measured, "by_area", "area"),
            "\n### Against the share that other objects hide\n",
            binned(measured, "by_hidden", "hidden"),
            "\n## With transformers alone: does the mark decide?",
            _HOW,
            accuracy(found),
            "\nThe mark decides: category named where the two objects differ in it.\n",
            rows(["", "the marked object's", "the other object's"], follows),
            f"\nWhat is mistaken for what: {'; '.join(wrong)}.\n",
            "### Against the object's extent (larger share of the picture that its box spans)\n",
            against(found, "extent"),
            "\n### Against the share that other objects hide\n",
            against(found, "hidden"),
            "\n## vLLM",
            _VLLM.format(
                equal=percent(compared["equal"]),
                objects=compared["objects"],
                seed=compared["seed"],
                rate=compared["objects_per_second"],
                start=compared["engine_start_s"],
                cached=percent(compared["cached_tokens"] / compared["prompt_tokens"]),
            ),
            "## The training's curve (validation; heads on close-ups, captions whole)\n",
            curve(log),
        ]
    )


def main() -> None:
    """Write README.md into the model's folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", type=Path, default=None, help="the training's log.csv, which is kept in results/")
    options = parser.parse_args()
    kept = RESULTS / "log.csv"
    if options.log:
        shutil.copyfile(options.log, kept)
    with kept.open(newline="", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    names = ("evaluate", "compare", "measure")
    results = {name: json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in names}
    folder = model_dir()
    configs = [load_config(HERE / name) for name in LEGS]
    text = card(configs, folder, results, log)
    (folder / "README.md").write_text(text.rstrip() + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
