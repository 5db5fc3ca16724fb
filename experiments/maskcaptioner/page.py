"""``docs/experiments.md``: what was asked, what came out, and what was not run, from the sets' ``results.json``.

``python -m experiments.maskcaptioner.page RESULTS.json [...] --docs docs`` adds finished sets and writes the page
again; without files it only writes the page from the sets that are in ``docs/experiments/``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import mean
from typing import Any, Final

from experiments.maskcaptioner.plots import draw, scaling, slope
from experiments.maskcaptioner.results import value_at, values, write
from experiments.maskcaptioner.variants import LONGER, MAIN, PACKAGED, VARIANTS, Variant

Results = Mapping[str, Any]
GOALS: Final = (
    ("DetA", "clean.DetA", 0.60),
    ("AssA", "clean.AssA", 0.80),
    ("category right", "tracks.category.rate", 0.85),
    ("colour right", "tracks.colour.rate", 0.85),
)
_TABLE: Final = (
    ("CHOTA", "clean.CHOTA"),
    ("DetA", "clean.DetA"),
    ("AssA", "clean.AssA"),
    ("CapA", "clean.CapA"),
    ("AP", "clean.AP"),
    ("recall", "tracks.recall"),
    ("category", "tracks.category.rate"),
    ("colour", "tracks.colour.rate"),
    ("texture", "tracks.texture.rate"),
    ("size", "tracks.size.rate"),
    ("motion", "tracks.motion.rate"),
    ("whole", "tracks.whole_caption"),
)
_OFFICIAL: Final = ("CHOTA", "DetA", "AssA", "CapA")
_LABELS: Final = {path: name for name, path in _TABLE}
_INTRO: Final = """# Experiments on the sample world
Does MaskCaptioner learn from captions that the pipeline made, and do the paper's claims hold here? Training: a sample
world of seed {train:,}, captioned by `capgen run` with the embedded captioner; no caption of the truth is seen, except
in `true_captions`. Test: videos of another world, seed {test:,}, against the truth. All models start from the same
backbone, which was trained from random weights to name the category and the caption's words of single objects, as
others start from one that was trained on ImageNet. Made by `python -m experiments.maskcaptioner.experiments`; this page
is written by it and holds what it measured, no more. The sample world is simple: shapes of one colour on drawn
backdrops. What holds here need not hold for photographs.

**Scores.** CHOTA and its parts over masks at alpha 0.5, clean protocol unless said otherwise (its version 1 where a
run's record in `docs/experiments` names no other; see `docs/evaluation.md`), CIDEr as the only caption metric
(CapA is in 0 to 1; by the official protocol CIDEr, and so CapA, is in 0 to 10 and CHOTA may pass 1). Every track
that the model gives counts. `recall` is the share of true tracks that a predicted one covers with an IoU of a half or
more over all frames; `category` to `motion` are the shares of these tracks' captions that say the truth, counted as
`capgen score` does; `whole` is the share that say all of it in the truth's words. Brackets are 95 % intervals over test
videos; they say nothing of what another seed of training would give.
"""


def publish(results: Path | None, docs: Path) -> Path:
    """Add a set to the docs folder and write the page; its path."""
    sets = docs / "experiments"
    if results is not None:
        found = json.loads(results.read_bytes())
        write(sets / found["name"] / "results.json", found)
    all_ = [json.loads(file.read_bytes()) for file in sorted(sets.glob("*/results.json"))]
    parts = []
    for one in all_:
        pictures = draw(one, sets / one["name"])
        parts.append(section(one, [f"experiments/{one['name']}/{name}" for name in pictures]))
    seeds = all_[0]["world_seeds"] if all_ else {"train": 0, "test": 0}
    page = docs / "experiments.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join([_INTRO.format(**seeds), *parts]), encoding="utf-8")
    return page


def section(results: Results, pictures: Iterable[str]) -> str:
    """One set: how it was run, the goals, the table, the claims, the plots."""
    blocks = [
        f"## {results['name']}",
        _circumstances(results),
        "### Goals\n" + _goals(results),
        "### All variants\n" + _table(results),
        "### The paper's claims\n" + _claims(results),
        "\n".join(f"![{Path(path).stem}]({path})" for path in pictures),
        f"Made by `{results['command']}`.",
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def _circumstances(results: Results) -> str:
    machine, settings = results["machine"], results["settings"]
    where = f"{machine['gpu']}, " if "gpu" in machine else ""
    where += f"{machine['cores']} cores of {machine['processor']}, shared with other work at times"
    world = results["world"]
    lines = [
        f"{results['date']}; {where}. World: {world['images']:,} images and {world['videos']:,} videos, a fifth "
        f"held out; test: {results['test']['videos']:,} videos with {results['test']['tracks']:,} tracks. "
        f"Steps: {settings['steps'][0]:,} on images, then {settings['steps'][1]:,} on clips."
    ]
    if "backbone" in results:
        lines.append(_backbone(results["backbone"]))
    if "note" in results:
        lines.append(results["note"])
    if results["size"] == "tiny":
        lines.append("**A trial of the program only: after so few steps no number here means anything.**")
    for kind, taught in results["learnt_captions"].items():
        rates = ", ".join(f"{k} {v:.3f}" for k, v in taught.items() if isinstance(v, float))
        lines.append(
            f"- The pipeline's captions of the {kind}: {taught['captions']:,} ({taught['objects_without']:,} objects "
            f"without one); right: {rates}. A pupil is not expected to be better than that."
        )
    return "\n".join(lines)


def _backbone(made: Mapping[str, Any]) -> str:
    ends = [row for row, after in zip(made["log"], [*made["log"][1:], None], strict=True) if ends_phase(row, after)]
    reached = "; ".join(
        f"{row['step']:,} steps of {row['phase']}, at whose end it named {row['category']:.3f} of the categories"
        for row in ends
    )
    return f"The backbone of all: {made['seconds'] / 60:.0f} minutes; {reached} (of what it learnt from)."


def ends_phase(row: Mapping[str, Any], after: Mapping[str, Any] | None) -> bool:
    """Whether a row of the backbone's log is its phase's last."""
    return after is None or after["phase"] != row["phase"]


def _goals(results: Results) -> str:
    rows = ["| goal | wanted | reached | |", "|---|---:|---:|---|"]
    for name, path, wanted in GOALS:
        found = values(results, MAIN, path)
        if found:
            rows.append(f"| {name} | {wanted:.2f} | {_spread(found)} | {_met(found, wanted)} |")
        else:
            rows.append(f"| {name} | {wanted:.2f} | – | {_state(results, MAIN)} |")
    return "\n".join([*rows, *(_goals_of(results, name) for name in (LONGER, PACKAGED))]).rstrip()


def _goals_of(results: Results, name: str) -> str:
    """A line for a model that goes on from ``main``; empty where it was not trained."""
    reached = [
        f"{label} {_spread(found)}, {_met(found, wanted)}"
        for label, path, wanted in GOALS
        if (found := values(results, name, path))
    ]
    return f"\n`{name}`: {'; '.join(reached)}." if reached else ""


def _met(found: list[float], wanted: float) -> str:
    return "met" if min(found) >= wanted else "met by some seeds" if max(found) >= wanted else "not met"


def _state(results: Results, name: str) -> str:
    """Why a variant has no finished numbers."""
    begun = results["unfinished"].get(name, {})
    if not begun and values(results, name, "clean.DetA"):
        return "no caption to count"
    if not begun:
        return "not run"
    return "stopped at " + ", ".join(f"step {step:,} of {steps:,}" for step, steps in begun.values())


def _spread(found: list[float]) -> str:
    if len(found) == 1:
        return f"{found[0]:.3f}"
    return f"{mean(found):.3f} ({min(found):.3f} to {max(found):.3f})"


def _table(results: Results) -> str:
    rows = [
        "| | seeds | steps | minutes | "
        + " | ".join(name for name, _ in _TABLE)
        + " | official CHOTA, DetA, AssA, CapA |",
        "|---" * (len(_TABLE) + 5) + "|",
    ]
    for name, variant in VARIANTS.items():
        runs = results["variants"].get(name, {})
        if runs:
            rows.append(_row(name, variant, runs))
    missing = [name for name in VARIANTS if name not in results["variants"]]
    lines = ["\n".join(rows), *(f"- `{name}`: {VARIANTS[name].says}." for name in results["variants"])]
    if missing:
        lines.append("- **No numbers**: " + ", ".join(f"`{name}` ({_state(results, name)})" for name in missing) + ".")
    return "\n".join([lines[0], "", *lines[1:]])


def _row(name: str, variant: Variant, runs: Mapping[str, Any]) -> str:
    all_ = list(runs.values())
    steps = ", ".join(sorted({_steps(run) for run in all_}))
    minutes = "–" if variant.evaluates else f"{mean(run['seconds'] for run in all_) / 60:.0f}"
    cells = [f"`{name}`", ", ".join(runs), steps, minutes]
    cells += [_cell(all_, path) for _, path in _TABLE]
    cells.append(", ".join(_cell(all_, f"official.{key}") for key in _OFFICIAL))
    return "| " + " | ".join(cells) + " |"


def _steps(run: Mapping[str, Any]) -> str:
    return f"{run['step']:,}" if run["finished"] else f"**{run['step']:,} of {run['steps']:,}**"


def _cell(runs: list[Mapping[str, Any]], path: str) -> str:
    found = [value for run in runs if (value := value_at(run, path)) is not None]
    return _spread(found) if found else "–"


def _claims(results: Results) -> str:
    """What each claim came to; those of which nothing was run share a line."""
    claims = {name: variant for name, variant in VARIANTS.items() if variant.claim}
    idle = [name for name in claims if _state(results, name) == "not run" and not values(results, name, "clean.DetA")]
    lines = [_claim(results, name, variant) for name, variant in claims.items() if name not in idle]
    if idle:
        lines.append("- Not run in this set: " + ", ".join(f"`{name}`" for name in idle) + ".")
    return "\n".join(lines)


def _claim(results: Results, name: str, variant: Variant) -> str:
    head = f"- *{variant.claim[0].upper()}{variant.claim[1:]}* (`{MAIN}` against `{name}`): "
    if not values(results, name, "clean.DetA") or not values(results, MAIN, "clean.DetA"):
        states = {one: _state(results, one) for one in (MAIN, name) if not values(results, one, "clean.DetA")}
        return head + "; ".join(f"`{one}` {state}" for one, state in states.items()) + "."
    said = []
    for path in variant.scores:
        ours, theirs = values(results, MAIN, path), values(results, name, path)
        if ours and theirs:
            both = [f"{_spread(v)}{_interval(results, one, path)}" for one, v in ((MAIN, ours), (name, theirs))]
            said.append(f"{_LABELS[path]} {both[0]} against {both[1]}, {verdict(ours, theirs)}")
    line = head + ("; ".join(said) or "no caption to count") + "."
    return line + _scaling(results) if name == "captions_1_16" else line


def _interval(results: Results, name: str, path: str) -> str:
    """The interval over test videos, where there is one seed to which it belongs."""
    runs = [run for run in results["variants"][name].values() if run["finished"]]
    protocol, _, key = path.partition(".")
    bounds = runs[0].get(protocol, {}).get("intervals", {}).get(key) if len(runs) == 1 else None
    return f" [{bounds[0]:.3f}, {bounds[1]:.3f}]" if bounds else ""


def verdict(ours: list[float], theirs: list[float]) -> str:
    """Whether ``main`` is better, in words that claim no more than the seeds allow."""
    gap = mean(ours) - mean(theirs)
    if min(len(ours), len(theirs)) == 1:
        return f"{gap:+.3f} (one seed: chance is not excluded)"
    if min(ours) > max(theirs):
        return f"{gap:+.3f}, better in every seed"
    return f"{gap:+.3f}, worse in every seed" if max(ours) < min(theirs) else f"{gap:+.3f}, within the seeds' spread"


def _scaling(results: Results) -> str:
    points = scaling(results)
    if len(points) < 2 or min(points) < 1:
        return ""
    listed = ", ".join(f"{_spread(scores)} with {count:,}" for count, scores in points.items())
    gain = f"{slope(points)[0]:+.3f} a fourfold"
    return f" CapA by captions: {listed}; the straight line that fits best over their logarithm gains {gain}."


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, nargs="*", help="results.json of finished sets")
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    options = parser.parse_args()
    for path in options.results:
        publish(path, options.docs)
    print(publish(None, options.docs))


if __name__ == "__main__":
    main()
