"""The experiments on the sample world: worlds, captions by the pipeline, trainings, measurements, plots, page.

``python -m experiments.maskcaptioner.experiments --size tiny|cpu|gpu --out DIR`` does everything; killed and started
again it goes on, a finished part is not done again. ``--only main --minutes 40`` trains ``main`` for at most 40 minutes
of this start. A training that is not finished is measured only with ``--unfinished``, and then said to be unfinished.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from experiments.maskcaptioner import results, worlds
from experiments.maskcaptioner.backbone import train_backbone
from experiments.maskcaptioner.fit import Clock, Progress, train
from experiments.maskcaptioner.measure import measure, predict_all, sentence
from experiments.maskcaptioner.page import publish
from experiments.maskcaptioner.sizes import SIZES, Size
from experiments.maskcaptioner.variants import VARIANTS, Variant, assignments, in_order, steps_of


@dataclass(frozen=True, slots=True)
class Experiment:
    """One set of trainings in one folder; ``set_`` are assignments that all of them get."""

    out: Path
    size: Size
    releases: worlds.Releases
    test: worlds.UnseenVideos
    clock: Clock
    set_: tuple[str, ...] = ()
    unfinished: bool = False
    device: str | None = None

    def run(self, name: str, seed: int) -> None:
        """Train a variant as far as time allows, and measure it."""
        variant = VARIANTS[name]
        done = self.train(variant.evaluates or name, seed)
        print(f"{name}, seed {seed}: {done.step:,} of {done.steps:,} steps in {done.seconds / 60:.1f} min", flush=True)
        if done.model is not None and (done.finished or self.unfinished):
            self.measure(name, variant, seed, done)

    def train(self, name: str, seed: int) -> Progress:
        """Train a variant; nothing happens where its start is not there yet."""
        variant, folder = VARIANTS[name], self.folder(name, seed)
        steps = sum(steps_of(variant, self.size.steps))
        settings = [*self.size.set_, *self.set_, *assignments(variant, self.size.steps, seed)]
        if variant.start_from is not None:
            start = self.train(variant.start_from, seed)
            if not start.finished:
                return Progress(0, steps, 0.0, None)
            settings.append(f"model.init={json.dumps(str(start.model))}")
        else:
            settings.append(f"model.segmenter={json.dumps(str(self.backbone()))}")
        settings += self._cache(settings)
        data = worlds.releases_of(variant.data, self.out, self.releases)
        return train(folder, (data.images, data.videos), settings, steps, self.clock)

    def backbone(self) -> Path:
        """The Mask2Former that every training starts from; trained at the first call, of any invocation."""
        settings = [*self.size.set_, *self.set_]
        settings += [*self._cache(settings), f"stages.images.steps={max(1, self.size.backbone[1])}"]
        return train_backbone(self.out / "backbone", (self.releases.images,), settings, self.size.backbone, self.device)

    def _cache(self, settings: Sequence[str]) -> list[str]:
        """One cache of decoded frames for all trainings."""
        if any(setting.startswith("data.cache=") for setting in settings):
            return []
        return [f"data.cache_dir={json.dumps(str(self.out / 'cache'))}"]

    def folder(self, name: str, seed: int) -> Path:
        """Where a training lives."""
        return self.out / "runs" / f"{name}-seed{seed}"

    def measure(self, name: str, variant: Variant, seed: int, done: Progress) -> None:
        """Predict the test world and score it, unless that was done for this step."""
        file = self.out / "results" / f"{name}-seed{seed}.json"
        if file.is_file() and json.loads(file.read_bytes())["step"] == done.step:
            return
        from capgen.maskcaptioner.inference.load import open_model

        model = open_model(str(done.model), self.device)
        for key, value in variant.options:
            setattr(model.config, key, value)
        predictions = self.out / "predictions" / f"{name}-seed{seed}.json"
        rate = predict_all(model, self.test, predictions, captions=variant.captions)
        found = measure(self.test, predictions, captions=variant.captions)
        print(f"{name}, seed {seed}: {sentence(found)}", flush=True)
        run = self.folder(variant.evaluates or name, seed)
        data = json.loads((run / "settings.json").read_bytes())["data"]
        body = {"step": done.step, "steps": done.steps, "finished": done.finished, "seconds": done.seconds}
        size = {"parameters": sum(p.numel() for p in model.parameters()), "frames_per_s": round(rate, 2)}
        learning = {} if variant.evaluates else {"curves": results.curves(run)}
        results.write(file, {**body, **size, "data": data, **found, **learning})


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the experiments."""
    options = _options(arguments)
    size = _size(options)
    out: Path = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    lock = _alone(out)
    clock = Clock(None if options.minutes is None else time.monotonic() + 60 * options.minutes)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    given = (options.images, options.videos, options.world)
    pipeline = worlds.pipeline_releases(out, size, None if None in given else worlds.Releases(*given))
    experiment = Experiment(
        out=out,
        size=size,
        releases=pipeline,
        test=worlds.unseen_videos(out, size, options.test_world),
        clock=clock,
        set_=tuple(options.set) + ((f"run.threads={options.threads}",) if options.threads else ()),
        unfinished=options.unfinished,
        device=options.device,
    )
    head = _header(options, size, experiment)
    for seed in size.seeds:
        for name in in_order(tuple(options.only)):
            experiment.run(name, seed)
            results.write(out / "results.json", results.collect(out, head))
    publish(out / "results.json", options.docs or out / "docs")
    lock.close()


def _alone(out: Path) -> IO[bytes]:
    """Hold the folder while this process lives: two that train in it would spoil each other's checkpoints."""
    lock = (out / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"another process runs the experiments in {out}: wait for it, or give another --out")
    return lock


def _header(options: argparse.Namespace, size: Size, experiment: Experiment) -> dict[str, Any]:
    captions = worlds.caption_scores(experiment.releases) if not size.engine else {}
    extra = [f"--set {shlex.quote(one)}" for one in options.set]
    words = ["python -m experiments.maskcaptioner.experiments", f"--size {options.size}", "--out DIR", *extra]
    words += [f"--steps {options.steps}"] if options.steps else []
    words += [f"--backbone {options.backbone}"] if options.backbone else []
    words += [f"--seeds {' '.join(str(seed) for seed in size.seeds)}"] if options.seeds else []
    head = results.header(options.name or options.size, options.size, size, captions, " ".join(words))
    world = json.loads((experiment.releases.world / "facts.json").read_bytes())
    head["world"] = {"images": world["images"], "videos": world["videos"]}
    if options.note:
        head["note"] = options.note
    head["test"] = {"videos": len(experiment.test.folders), "tracks": len(experiment.test.keys)}
    return head


def _size(options: argparse.Namespace) -> Size:
    size = SIZES[options.size]
    if options.steps:
        images, clips = (int(part) for part in options.steps.split(","))
        size = replace(size, steps=(images, clips))
    if options.backbone:
        first, then = (int(part) for part in options.backbone.split(","))
        size = replace(size, backbone=(first, then))
    if options.engine:
        size = replace(size, engine=options.engine)
    return replace(size, seeds=tuple(options.seeds)) if options.seeds else size


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=list(SIZES), required=True)
    parser.add_argument("--out", type=Path, required=True, help="everything is kept here")
    parser.add_argument("--only", nargs="+", choices=list(VARIANTS), default=list(VARIANTS), help="default: all")
    parser.add_argument("--minutes", type=float, help="stop training after so many; the same command goes on")
    parser.add_argument("--seeds", type=int, nargs="+", help="default: the size's")
    parser.add_argument("--steps", help="IMAGES,CLIPS instead of the size's")
    parser.add_argument("--backbone", help="CLOSEUPS,PICTURES: steps of the backbone that all start from")
    parser.add_argument("--set", action="append", default=[], help="table.key=value for every training; repeatable")
    parser.add_argument("--images", type=Path, help="a finished release of the world's images, with the next two")
    parser.add_argument("--videos", type=Path, help="a finished release of its videos")
    parser.add_argument("--world", type=Path, help="the world that both were made of")
    parser.add_argument("--test-world", type=Path, help="a world of another seed to test on")
    parser.add_argument("--engine", help="what captions the world, such as echo for a trial; default: the embedded one")
    parser.add_argument("--unfinished", action="store_true", help="measure trainings as far as they are")
    parser.add_argument("--name", help="of this set on the page; default: the size")
    parser.add_argument("--note", default="", help="what else a reader must know of this set; on the page and the card")
    parser.add_argument("--docs", type=Path, help="where experiments.md is written; default: OUT/docs")
    parser.add_argument("--device", help="of the measurement, as torch names it")
    parser.add_argument("--threads", type=int, default=0, help="of PyTorch; 0 leaves its default")
    options = parser.parse_args(arguments)
    if len({path is None for path in (options.images, options.videos, options.world)}) > 1:
        parser.error("--images, --videos and --world belong together")
    if options.minutes is not None and not (options.minutes >= 0 and math.isfinite(options.minutes)):
        parser.error("--minutes is a number of minutes")
    for name, wanted in (("steps", "IMAGES,CLIPS"), ("backbone", "CLOSEUPS,PICTURES")):
        given = (getattr(options, name) or "1,1").split(",")
        if len(given) != 2 or not all(part.isdigit() for part in given):
            parser.error(f"--{name} is {wanted}, such as 1500,2500")
    return options


if __name__ == "__main__":
    main()
