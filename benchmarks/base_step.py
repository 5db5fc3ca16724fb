"""One forward and one backward pass of the `base` preset on the CPU: does it fit, and what does it take?

    python -m benchmarks.base_step [--image PICTURE] [--frames 1]

Swin-B, nine decoder layers, a BLIP-2 vision tower, Q-Former and OPT-2.7B with random weights; vision and language are
frozen in bfloat16 as in `base` trainings, with gradient checkpointing. The peak is the process' resident memory.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path

import cv2
import numpy as np
import torch

from benchmarks.common import machine, save
from capgen.maskcaptioner.model.captioning.tokenizer import word_tokenizer
from capgen.maskcaptioner.model.maskcaptioner import MaskCaptioner, Target
from capgen.maskcaptioner.model.presets import preset

HEIGHT, WIDTH = 480, 640
CAPTIONS = ["A large dotted blue pine tree moving left.", "An orange cup."]


def peak_gib() -> float:
    """The largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def pixels(image: Path | None, frames: int) -> torch.Tensor:
    """A picture, or noise, as a clip [1, T, 3, H, W]."""
    if image is None:
        return torch.randn(1, frames, 3, HEIGHT, WIDTH)
    picture = cv2.imread(str(image))
    if picture is None:
        raise SystemExit(f"{image} is not a picture")
    shown = cv2.resize(picture, (WIDTH, HEIGHT))[..., ::-1].astype(np.float32) / 127.5 - 1
    return torch.from_numpy(shown).permute(2, 0, 1).repeat(1, frames, 1, 1, 1)


def target(frames: int) -> Target:
    """Two objects that are there all the time."""
    masks = torch.zeros(2, frames, HEIGHT, WIDTH, dtype=torch.bool)
    masks[0, :, 50:200, 50:200] = True
    masks[1, :, 250:400, 300:500] = True
    return Target(masks, None, torch.ones(2, frames, dtype=torch.bool), torch.tensor([0, 1]), CAPTIONS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--frames", type=int, default=1)
    flags = parser.parse_args()
    before, rows = machine(), []
    torch.manual_seed(0)

    begun = time.perf_counter()
    names = [f"class {i}" for i in range(1203)]
    model = MaskCaptioner.create(preset("base", classes=names), word_tokenizer(CAPTIONS)).train()
    model.gradient_checkpointing_enable()
    rows.append({"part": "build", "seconds": time.perf_counter() - begun, "peak_gib": peak_gib()})
    print(rows[-1], flush=True)

    begun = time.perf_counter()
    output = model(pixels(flags.image, flags.frames), targets=[target(flags.frames)])
    rows.append({"part": "forward", "seconds": time.perf_counter() - begun, "peak_gib": peak_gib()})
    print(rows[-1], flush=True)

    begun = time.perf_counter()
    output.loss.backward()
    rows.append({"part": "backward", "seconds": time.perf_counter() - begun, "peak_gib": peak_gib()})

    learning = [p for p in model.parameters() if p.requires_grad]
    wrong = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.isfinite().all()]
    if wrong or not bool(output.loss.isfinite()):
        raise SystemExit(f"not finite: loss {float(output.loss)}, gradients of {wrong[:5]}")
    losses = ", ".join(f"{name} {float(value):.2f}" for name, value in output.losses.items())
    note = (
        f"{sum(p.numel() for p in model.parameters()) / 1e9:.2f} G parameters, "
        f"{sum(p.numel() for p in learning) / 1e6:.0f} M of them learn; 1 clip of {flags.frames} frame(s), "
        f"{HEIGHT}x{WIDTH} px, {torch.get_num_threads()} threads; losses: {losses}. Goal: within 20 GiB."
    )
    save("base_step", rows, note, before)


if __name__ == "__main__":
    main()
