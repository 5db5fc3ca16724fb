"""Makes a trained model the package's ``--model sample``, with a card that tells how it was made and what it reaches.

``python -m experiments.maskcaptioner.package --model OUT/runs/main-seed0`` takes the scores from ``OUT/results.json``.
Weights that would be larger than 25 MB are stored in half precision and come back in single precision; what was
written is opened again and compared with the original before the command ends. ``--refresh`` instead brings the section
"Measured again" of the packaged card up to ``remeasured.json``, which says by the digest of the weights what later
measurements found.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from capgen.errors import UserError
from experiments.maskcaptioner.page import GOALS
from experiments.maskcaptioner.results import value_at
from experiments.maskcaptioner.variants import in_order

MOST_BYTES: Final = 25 * 10**6
PRETRAINED: Final = Path(__file__).resolve().parents[2] / "capgen" / "maskcaptioner" / "pretrained" / "sample"
_FILES: Final = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_SCORES: Final = (
    ("CHOTA", "CHOTA"),
    ("DetA", "DetA"),
    ("AssA", "AssA"),
    ("CapA", "CapA"),
    ("AP", "AP"),
)
_REMEASURED: Final = Path(__file__).with_name("remeasured.json")
_ATTRIBUTES: Final = ("category", "colour", "texture", "size", "motion")


def package(
    run: Path,
    target: Path,
    scores: Mapping[str, Any],
    results: Mapping[str, Any],
    command: str,
    before: Sequence[tuple[Path, float]] = (),
) -> Path:
    """Copy the model of a training to ``target`` and write its card; the folder.

    Args:
        run: what ``capgen train`` wrote.
        before: the trainings that led to its start, the first one first, and the seconds that each took.
        scores: the measurement of this model, ``results`` the set it belongs to.

    Raises:
        UserError: the training is not finished, the weights are too large even in half precision, or the copy does
            not open as the same model.
    """
    model = run / "model"
    if not (model / "model.safetensors").is_file():
        raise UserError(f"{run} has no finished model", "train it to the end first")
    part = target.with_name(target.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    for name in _FILES:
        if (model / name).is_file():
            shutil.copyfile(model / name, part / name)
    precision = _store(model / "model.safetensors", part / "model.safetensors")
    _compare(model, part, exact=precision == "float32")
    settings = json.loads((run / "settings.json").read_bytes())
    earlier = [json.loads((folder / "settings.json").read_bytes())["settings"] for folder, _ in before]
    seconds = scores["seconds"] + sum(spent for _, spent in before)
    recipe = _recipe([*earlier, settings["settings"]], seconds, results)
    (part / "README.md").write_text(
        _card(part, precision, settings, scores, results, recipe, command), encoding="utf-8"
    )
    shutil.rmtree(target, ignore_errors=True)
    part.rename(target)
    return target


def _store(source: Path, target: Path) -> str:
    """Copy weights, in half precision if they would be too large; the precision."""
    if source.stat().st_size <= MOST_BYTES:
        shutil.copyfile(source, target)
        return "float32"
    from safetensors.torch import load_file, save_file

    halved = {
        name: weight.half() if weight.is_floating_point() else weight for name, weight in load_file(source).items()
    }
    save_file(halved, target, metadata={"format": "pt"})
    target.chmod(0o644)
    if target.stat().st_size > MOST_BYTES:
        shutil.rmtree(target.parent)
        raise UserError(f"{source} is too large for the package", f"it may have {MOST_BYTES:,} bytes in half precision")
    return "float16"


def _compare(model: Path, copy: Path, *, exact: bool) -> None:
    """Open both and compare every weight.

    Raises:
        UserError: they differ by more than storing explains.
    """
    import torch

    from capgen.maskcaptioner.inference.load import open_model

    ours, theirs = open_model(str(model), "cpu").state_dict(), open_model(str(copy), "cpu").state_dict()
    for name, weight in ours.items():
        other = theirs[name]
        near = torch.equal(weight, other) if exact else torch.allclose(weight, other, rtol=1e-3, atol=1e-6)
        if other.dtype != weight.dtype or not near:
            raise UserError(f"{copy}: {name} does not come back as it was stored", "report this as a defect")


def _card(
    folder: Path,
    precision: str,
    settings: Mapping[str, Any],
    scores: Mapping[str, Any],
    results: Mapping[str, Any],
    recipe: str,
    command: str,
) -> str:
    size = (folder / "model.safetensors").stat().st_size / 1e6
    return _CARD.format(
        parameters=scores["parameters"] / 1e6,
        size=size,
        precision=precision,
        classes=len(json.loads((folder / "config.json").read_bytes())["classes"]),
        data=_data(settings, results),
        recipe=recipe,
        table=_table(scores),
        goals=_goals(scores),
        remeasured=_remeasured(folder / "model.safetensors"),
        videos=results["test"]["videos"],
        tracks=scores["tracks"]["true"],
        test_seed=results["world_seeds"]["test"],
        made=results["command"],
        packed=command,
    )


def _remeasured(weights: Path) -> str:
    """The section on what later measurements of these very weights found; empty where there were none."""
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    found = json.loads(_REMEASURED.read_bytes()).get(digest, [])
    return "".join(["\n## Measured again\n", *(f"- {line}\n" for line in found)]) if found else ""


def refresh_card(folder: Path, scores: Mapping[str, Any] | None = None) -> Path:
    """Write the section "Measured again" of a packaged model's card anew, and its scores where there are new ones.

    Args:
        scores: what ``experiments.maskcaptioner.measure`` wrote for this model on the world that the card names.

    Returns:
        The card.

    Raises:
        UserError: the card has not the form that ``package`` writes.
    """
    card = folder / "README.md"
    text = card.read_text(encoding="utf-8")
    head, goals, rest = text.partition("\nGoals: ")
    said, made, end = rest.partition("\n## Made by\n")
    if not goals or not made:
        raise UserError(f"{card} has no goals or does not say how it was made", "package the model again")
    said = said.partition("\n## Measured again\n")[0].rstrip("\n") + "\n"
    if scores is not None:
        head, said = head.partition(_BEFORE_TABLE)[0] + _BEFORE_TABLE + _table(scores) + "\n", _goals(scores) + "\n"
    card.write_text(head + goals + said + _remeasured(folder / "model.safetensors") + made + end, encoding="utf-8")
    return card


def _data(settings: Mapping[str, Any], results: Mapping[str, Any]) -> str:
    data = settings["data"]
    media = " and ".join(f"{count:,} {kind}s" for kind, count in sorted(data["media"].items()))
    right = [
        f"{kind}: " + ", ".join(f"{name} {rate:.3f}" for name, rate in taught.items() if isinstance(rate, float))
        for kind, taught in results["learnt_captions"].items()
    ]
    taught = f" Of these captions are right ({'; '.join(right)})." if right else ""
    return (
        f"{media} with {data['objects']:,} objects, the training split of a sample world of seed "
        f"{results['world_seeds']['train']:,}. Its {data['captions']:,} captions were written by `capgen run` with the "
        f"embedded captioner, not taken from the truth.{taught}"
    )


def _stages(settings: Mapping[str, Any]) -> list[str]:
    return [
        f"{stage['steps']:,} steps of {stage['batch'] * stage['accumulate']} {name} at {stage['lr']:g} "
        f"({', '.join([stage['schedule']['name'], *(f'{part} alone' for part in stage['train'])])})"
        for name, stage in settings["stages"].items()
        if stage["steps"]
    ]


def _recipe(trainings: Sequence[Mapping[str, Any]], seconds: float, results: Mapping[str, Any]) -> str:
    """How it was trained: the settings of the trainings that led here, and the seconds of all of them."""
    settings = trainings[-1]
    stages = [stage for one in trainings for stage in _stages(one)]
    machine = results["machine"]
    where = machine.get("gpu") or f"{machine['cores']} shared cores of {machine['processor']}"
    first = "from random weights"
    if "backbone" in results:
        closeups, pictures = results["backbone"]["steps"]
        seconds += results["backbone"]["seconds"]
        first = (
            f"the backbone first (`experiments/maskcaptioner/backbone.py`), {closeups:,} steps of close-ups and "
            f"{pictures:,} of pictures, then the whole"
        )
    return (
        f"`pipelines/train/sample.toml`, {first}: {', then '.join(stages)}; AdamW, seed "
        f"{settings['run']['seed']}; {seconds / 60:.0f} minutes on {where}."
        + (f" {results['note']}" if "note" in results else "")
    )


def _table(scores: Mapping[str, Any]) -> str:
    version = scores["clean"].get("protocol_version", 1)
    rows = [f"| | clean (version {version}) | official |", "|---|---:|---:|"]
    rows += [
        f"| {label} | {_number(scores, f'clean.{key}')} | {_number(scores, f'official.{key}')} |"
        for label, key in _SCORES
    ]
    tracks = scores["tracks"]
    rows += ["", "| captions of matched tracks | right | wrong | unsaid | rate |", "|---|---:|---:|---:|---:|"]
    for name in _ATTRIBUTES:
        if name in tracks:
            one = tracks[name]
            rows.append(
                f"| {name} | {one['right']} | {one['wrong']} | {one['unsaid']} | {_number(tracks, f'{name}.rate')} |"
            )
    rows += ["", f"{tracks['matched']} of {tracks['true']} tracks are found (recall {tracks['recall']:.3f}); "]
    rows[-1] += f"{tracks['predicted']} are predicted."
    return "\n".join(rows)


def _number(scores: Mapping[str, Any], path: str) -> str:
    value = value_at(scores, path)
    return "–" if value is None else f"{value:.3f}"


def _goals(scores: Mapping[str, Any]) -> str:
    said = []
    for name, path, wanted in GOALS:
        value = value_at(scores, path)
        met = value is not None and value >= wanted
        said.append(f"{name} {_number(scores, path)} (wanted {wanted:.2f}, {'met' if met else 'not met'})")
    return "; ".join(said) + "."


_BEFORE_TABLE: Final = "(0 to 10 in the official protocol).\n\n"

_CARD: Final = """---
license: apache-2.0
pipeline_tag: image-segmentation
tags: [capgen, maskcaptioner]
---
# MaskCaptioner, trained on the sample world
`capgen predict INPUT --model sample` uses it. {parameters:.2f} million parameters, {size:.1f} MB in {precision}. It
detects, segments, tracks and captions the {classes} kinds of objects of `capgen sample`'s videos and nothing else: it
shows how the whole works on any machine. Do not expect anything of it on photographs.

## Data
{data}

## Recipe
{recipe}

## Scores
On {videos} videos with {tracks} objects of a sample world of seed {test_seed:,}, which it has never seen. CHOTA's
parts are over masks, with CIDEr as the only caption metric (0 to 10 in the official protocol).

{table}

Goals: {goals}
{remeasured}
## Made by
```sh
{made}
{packed}
```
"""


def main() -> None:
    """Package a trained model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--model", type=Path, help="a training's folder, OUT/runs/NAME-seedN")
    what.add_argument("--refresh", action="store_true", help="only write the card's section on later measurements anew")
    parser.add_argument("--scores", type=Path, help="with --refresh: what measure wrote; its numbers go into the card")
    parser.add_argument("--results", type=Path, help="default: results.json of that OUT")
    parser.add_argument("--to", type=Path, default=PRETRAINED, help="default: the package's own")
    options = parser.parse_args()
    if options.refresh:
        print(refresh_card(options.to, json.loads(options.scores.read_bytes()) if options.scores else None))
        return
    results = json.loads((options.results or options.model.parents[1] / "results.json").read_bytes())
    name, _, seed = options.model.name.rpartition("-seed")
    command = f"python -m experiments.maskcaptioner.package --model DIR/runs/{options.model.name}"
    try:
        scores = results["variants"][name][seed]
    except KeyError:
        sys.exit(f"{options.model} was not measured: run experiments.maskcaptioner.experiments --only {name} first")
    if not scores["finished"]:
        sys.exit(f"{options.model} is at step {scores['step']:,} of {scores['steps']:,}: let it finish first")
    before = [
        (options.model.with_name(f"{one}-seed{seed}"), results["variants"][one][seed]["seconds"])
        for one in in_order((name,))[:-1]
    ]
    try:
        folder = package(options.model, options.to, scores, results, command, before)
    except UserError as error:
        sys.exit(str(error))
    print(f"{folder}: {sum(file.stat().st_size for file in folder.iterdir()):,} bytes")


if __name__ == "__main__":
    main()
