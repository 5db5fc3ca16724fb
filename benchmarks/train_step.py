"""A training step of MaskCaptioner against one of transformers' own Mask2Former: same backbone, pictures and batch.

Both have the sizes of the ``sample`` preset, train masks and classes (no captions), and run in turn in one process, so
that whatever else the machine does hits both. Reported is the median of the ratios of neighbouring steps, by
processor time, which other programs disturb less than the clock.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

from benchmarks.common import machine, save
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner, Target
from capgen.maskcaptioner.model.presets import preset

HEIGHT, WIDTH, CLASSES, OBJECTS = 192, 256, 20, 6


def truth(batch: int) -> list[Target]:
    generator = torch.Generator().manual_seed(0)
    targets = []
    for _ in range(batch):
        masks = torch.zeros(OBJECTS, 1, HEIGHT, WIDTH, dtype=torch.bool)
        for mask in masks:
            y, x = (int(torch.randint(0, side - 48, (), generator=generator)) for side in (HEIGHT, WIDTH))
            mask[:, y : y + 48, x : x + 48] = True
        ids = torch.randint(0, CLASSES, (OBJECTS,), generator=generator)
        targets.append(Target(masks, None, torch.ones(OBJECTS, 1, dtype=torch.bool), ids))
    return targets


def ours(pixels: torch.Tensor, targets: list[Target]) -> Callable[[], torch.Tensor]:
    names = [f"class {i}" for i in range(CLASSES)]
    model = MaskCaptioner.create(preset("sample", classes=names, caption=None)).train()
    return stepper(model, lambda: model(pixels[:, None], targets=targets).loss)


def theirs(pixels: torch.Tensor, targets: list[Target]) -> Callable[[], torch.Tensor]:
    config = preset("sample")
    points = int(config.losses["points"])
    segmenter = Mask2FormerConfig(**config.segmenter, train_num_points=points, num_labels=CLASSES)
    model = Mask2FormerForUniversalSegmentation(segmenter).train()
    masks = [target.masks_NTHW[:, 0].float() for target in targets if target.masks_NTHW is not None]
    ids = [target.class_ids_N for target in targets]
    return stepper(model, lambda: model(pixel_values=pixels, mask_labels=masks, class_labels=ids).loss)


def stepper(model: torch.nn.Module, loss: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> torch.Tensor:
        value = loss()
        optimizer.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    return step


def timed(step: Callable[[], torch.Tensor]) -> tuple[float, float]:
    wall, work = time.perf_counter(), time.process_time()
    step()
    return time.perf_counter() - wall, time.process_time() - work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    flags = parser.parse_args()
    torch.set_num_threads(flags.threads)
    torch.manual_seed(0)
    before = machine()
    pixels, targets = torch.randn(flags.batch, 3, HEIGHT, WIDTH), truth(flags.batch)
    steps = {"transformers Mask2Former": theirs(pixels, targets), "capgen MaskCaptioner": ours(pixels, targets)}
    for step in steps.values():
        step()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in steps}
    for _ in range(flags.steps):
        for name, step in steps.items():
            times[name].append(timed(step))
    base, own = (times[name] for name in steps)
    ratio = statistics.median(b[1] / a[1] for a, b in zip(base, own, strict=True))
    rows = [
        {
            "step": name,
            "wall_s": statistics.median(wall for wall, _ in found),
            "processor_s": statistics.median(work for _, work in found),
            "ratio": 1.0 if found is base else ratio,
        }
        for name, found in times.items()
    ]
    note = f"batch {flags.batch}, {HEIGHT}x{WIDTH} px, {OBJECTS} objects, {flags.threads} threads, {flags.steps} steps"
    save("train_step", rows, f"{note}; goal: ratio at most 1.3", before)


if __name__ == "__main__":
    main()
