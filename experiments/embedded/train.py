"""Train the captioner. Resumes where it was stopped.

Stage T trains the teacher, stage A the vision tower on what close-ups show; stage B writes captions as well, in turn
with steps of stage A.

::

    python -m experiments.embedded.data --out /tmp/pool --workers 2 &
    python -m experiments.embedded.train --pool /tmp/pool --out /tmp/train --processes 2

Several processes with one thread each, gradients averaged once a step: on a machine that does other work too, threads
that wait for each other inside every operation lose far more.
"""

from __future__ import annotations

import argparse
import csv
import math
import time
from collections import deque
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn

from capgen.pipeline.rendering.prompt import load_prompt
from experiments.embedded.config import Config, load_config
from experiments.embedded.data import Chunk, chunk_name, load, make_chunk, save
from experiments.embedded.model import Heads, build_model, number_codes
from experiments.embedded.packing import Pack, caption_loss, encode, joined, pixels
from experiments.embedded.pool import Batch, Pool, batch_of
from experiments.embedded.scoring.score import caption_accuracy, looks_accuracy
from experiments.embedded.teacher import Guide, Teacher
from experiments.embedded.tokenizer import EOS, SPECIAL, build_tokenizer


@dataclass(slots=True)
class Learner:
    """The model with its heads, optimizers and texts, and how far it is."""

    config: Config
    model: Any
    heads: Heads
    teacher: Teacher
    guide: Guide
    fixed: Tensor
    assistant: list[int]
    optimizers: list[torch.optim.Optimizer]
    minutes: float = 0.0
    steps: int = 0
    stage_steps: int = 0
    close_ups: int = 0
    captions: int = 0
    starts: int = 0
    rates: list[float] = field(default_factory=list)
    seen: deque[Pack] = field(default_factory=lambda: deque(maxlen=300))

    @classmethod
    def fresh(cls, config: Config, device: str) -> Learner:
        """An untrained one; equal on every process."""
        torch.manual_seed(config.train.seed)
        prompt = load_prompt(config.data.prompt, category=True)
        tokenizer = build_tokenizer(prompt)
        model = build_model(config, len(tokenizer))
        with torch.no_grad():
            table = model.model.text_model.embed_tokens.weight
            table[len(SPECIAL) : len(SPECIAL) + 101] = 0.7 * number_codes(config.text.width)
        heads, teacher, guide = Heads(config), Teacher(config), Guide(config)
        fixed = tokenizer(
            tokenizer.apply_chat_template(
                [
                    {"role": "system", "content": prompt.system},
                    {"role": "user", "content": prompt.before},
                ],
                tokenize=False,
            ),
            add_special_tokens=False,
        ).input_ids
        assert fixed.pop() == EOS
        assistant = tokenizer("Assistant:", add_special_tokens=False).input_ids
        for module in (model, heads, teacher, guide):
            module.to(device)
        optimizers = _optimizers(config, model, heads, teacher, guide)
        rates = [group["lr"] for optimizer in optimizers for group in optimizer.param_groups]
        return cls(
            config, model, heads, teacher, guide, torch.tensor(fixed, device=device), assistant, optimizers, rates=rates
        )

    def parameters(self) -> list[nn.Parameter]:
        """Those that the present stage trains."""
        modules = (self.teacher,) if self.stage == "T" else (self.model, self.heads, self.guide)
        return [p for module in modules for p in module.parameters()]

    def save(self, path: Path) -> None:
        """Write everything that resuming needs, or nothing."""
        part = path.with_suffix(".part")
        state = {name: getattr(self, name) for name in _PROGRESS}
        state |= {name: getattr(self, name).state_dict() for name in _MODULES}
        torch.save(state | {"optimizers": [o.state_dict() for o in self.optimizers]}, part)
        part.replace(path)

    def resume(self, path: Path) -> None:
        """Take up where ``save`` left off, with other batches than before."""
        state = torch.load(path, map_location="cpu", weights_only=True)
        for name in _MODULES:
            getattr(self, name).load_state_dict(state[name])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        for name in _PROGRESS:
            setattr(self, name, state[name])
        self.starts += 1

    @property
    def stage(self) -> str:
        """T, A or B."""
        train = self.config.train
        if self.minutes < train.teacher_minutes:
            return "T"
        return "A" if self.minutes < train.teacher_minutes + train.stage_a_minutes else "B"

    def set_rate(self) -> None:
        """Warm up, hold, and late in stages T and B go down in a straight line."""
        train = self.config.train
        if self.stage == "T":
            done, start = self.minutes / train.teacher_minutes, 0.4
        else:
            begin = train.teacher_minutes + train.stage_a_minutes
            done, start = (self.minutes - begin) / train.stage_b_minutes, train.decay_from
        left = 1.0 if done < start else max(0.0, 1 - done) / (1 - start)
        factor = min(1.0, (self.stage_steps + 1) / 100) * max(left, train.final_lr)
        factor *= train.teacher_lr if self.stage == "T" else 1.0
        groups = (group for optimizer in self.optimizers for group in optimizer.param_groups)
        for group, rate in zip(groups, self.rates, strict=True):
            group["lr"] = rate * factor

    def step_t(self, pool: Pool) -> Tensor:
        """The teacher's loss of close-ups."""
        x, looks, cover = self._close_ups(pool)
        return self.teacher.heads.loss(self.teacher(x)[1], looks, cover, self.config.train.mask_weight)

    def step_a(self, pool: Pool) -> Tensor:
        """The tower's loss of close-ups."""
        x, looks, cover = self._close_ups(pool)
        layers: list[Tensor] = []
        z = encode(self.model, x, layers)
        return self.heads.loss(z, looks, cover, self.config.train.mask_weight) + self.guidance(x, layers)

    def _close_ups(self, pool: Pool) -> tuple[Tensor, Tensor, Tensor]:
        train, device = self.config.train, self.fixed.device
        pictures, looks, cover = pool.close_ups(train.batch_a // pool.world, train.video_share)
        self.close_ups += train.batch_a
        return pixels(pictures.to(device)), looks.to(device), cover.to(device).float() / 255

    def guidance(self, x: Tensor, layers: list[Tensor]) -> Tensor:
        """The weighted loss against the teacher; nothing once the learning rate goes down."""
        train = self.config.train
        end = train.teacher_minutes + train.stage_a_minutes + train.decay_from * train.stage_b_minutes
        if self.minutes >= end:
            return torch.zeros((), device=x.device)
        with torch.no_grad():
            self.teacher.eval()
            near, far = self.teacher(x)
        return train.guide_weight * self.guide.loss(layers, near, far)

    def step_b(self, pool: Pool) -> Tensor:
        """The loss of captions, and a share of stage A's loss, for images and videos at once."""
        train, total = self.config.train, torch.zeros((), device=self.fixed.device)
        image = pool.scenes("image", train.batch_images // pool.world, train.objects)
        video = pool.scenes("video", train.batch_videos // pool.world, train.objects)
        rows = len(image.scene) + len(video.scene)
        looks, covers, features, guided = [], [], [], torch.zeros((), device=total.device)
        for batch in (image, video):
            layers: list[Tensor] = []
            z_close, pack = self.pack(batch, layers)
            shown = pixels(batch.close.to(total.device))
            guided = guided + self.guidance(shown, layers) * (len(batch.close) / (len(image.close) + len(video.close)))
            said = caption_loss(self.model, self.config, self.fixed, pack, self.assistant)
            total = total + said * (len(batch.scene) / rows)
            features.append(z_close)
            looks.append(batch.looks)
            covers.append(batch.cover)
        total = total + self.replay(pool, pack)
        cover = torch.cat(covers).to(self.fixed.device).float() / 255
        named = self.heads.loss(torch.cat(features), torch.cat(looks).to(cover.device), cover, train.mask_weight)
        self.captions += rows * pool.world
        self.close_ups += len(cover) * pool.world
        return total + train.heads_weight * (named + guided)

    def replay(self, pool: Pool, video: Pack) -> Tensor:
        """The loss of videos seen before, their visual tokens as they were then.

        Movements stand in the numbers of the text, which takes the language model many examples and the tower none.
        """
        self.seen.append(joined([video]))
        picks = pool.rng.integers(0, len(self.seen), self.config.train.replays)
        pack = joined([self.seen[int(i)] for i in picks])
        return caption_loss(self.model, self.config, self.fixed, pack, self.assistant)

    def pack(self, batch: Batch, layers: list[Tensor] | None = None) -> tuple[Tensor, Pack]:
        """The tower's output for the close-ups, and the batch for the language model.

        The tower learns from close-ups alone: clean pictures cost a third more and teach it next to nothing.
        """
        device, connector = self.fixed.device, self.model.model.connector
        with torch.no_grad():
            z_clean = encode(self.model, pixels(batch.clean.to(device)))
        z_close = encode(self.model, pixels(batch.close.to(device)), layers)
        width = self.config.text.width
        clean = connector(z_clean).reshape(batch.scenes, -1, width)
        close = connector(z_close).reshape(len(batch.scene), -1, width)
        return z_close, Pack(clean, close, batch.scene.to(device), batch.text, batch.caption)

    def update(self, loss: Tensor, world: int) -> float:
        """One step of the optimizers; the gradient's norm before clipping."""
        loss.backward()
        average_gradients(self.parameters(), world)
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), self.config.train.clip)
        self.set_rate()
        for optimizer in self.optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        self.steps += 1
        self.stage_steps += 1
        return float(norm)


_MODULES = ("model", "heads", "teacher", "guide")
_PROGRESS = ("minutes", "steps", "close_ups", "captions", "starts")


def _optimizers(config: Config, *modules: nn.Module) -> list[torch.optim.Optimizer]:
    """AdamW for everything; parameters without gradient in the present stage are left as they are."""
    train = config.train
    every = [p for module in modules for p in module.parameters()]
    return [torch.optim.AdamW(every, lr=train.lr, betas=(0.9, 0.98), weight_decay=train.weight_decay)]


def average_gradients(parameters: list[nn.Parameter], world: int) -> None:
    """Make every process's gradients their mean; a parameter without gradient counts as zero."""
    if world == 1:
        return
    grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
    flat = torch.cat([g.reshape(-1) for g in grads])
    dist.all_reduce(flat)
    flat /= world
    for p, part in zip(parameters, flat.split([p.numel() for p in parameters]), strict=True):
        if p.grad is not None:
            p.grad.copy_(part.view_as(p))


def validation(config: Config, folder: Path) -> dict[str, Chunk]:
    """Held-out chunks of both kinds, made once."""
    found = {}
    for kind, count in (("image", 50), ("video", 30)):
        path = folder / f"validation-{chunk_name(kind, config.data.validation_seed)}"  # type: ignore[arg-type]
        if not path.is_file():
            save(make_chunk(config, kind, config.data.validation_seed, count), path)  # type: ignore[arg-type]
        found[kind] = load(path)
    return found


def evaluate(learner: Learner, held_out: dict[str, Chunk]) -> dict[str, float]:
    """Accuracies on the held-out chunks: of the heads, and in stage B of greedy captions."""
    row: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for kind, chunk in held_out.items():
        batch = batch_of(chunk, list(range(len(chunk.clean))), 4, rng)
        with torch.no_grad():
            if learner.stage == "T":
                learner.teacher.eval()
                z = learner.teacher(pixels(batch.close.to(learner.fixed.device)))[1]
                row |= {f"{kind}_{k}": v for k, v in looks_accuracy(learner.teacher.heads, z, batch).items()}
                continue
            z_close, pack = learner.pack(batch)
            row |= {f"{kind}_{name}": value for name, value in looks_accuracy(learner.heads, z_close, batch).items()}
            if learner.stage == "B":
                said = caption_accuracy(learner.model, learner.config, learner.fixed, pack, learner.assistant)
                row |= {f"{kind}_said_{name}": value for name, value in said.items()}
    return row


def write_row(path: Path, row: dict[str, float | str]) -> None:
    """Add a line to the log; columns that the file has not are added by writing it anew."""
    rows: list[dict[str, Any]] = []
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    rows.append({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()})
    names = list(dict.fromkeys(name for r in rows for name in r))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows(rows)


def work(rank: int, options: argparse.Namespace) -> None:
    """One process of the training."""
    config, world = load_config(options.config), options.processes
    torch.set_num_threads(options.threads)
    if world > 1:
        store = options.out / f"rendezvous-{options.stamp}"
        dist.init_process_group(
            "gloo", init_method=f"file://{store}", rank=rank, world_size=world, timeout=timedelta(minutes=20)
        )
    learner = Learner.fresh(config, options.device)
    state = options.out / "state.pt"
    if state.is_file():
        learner.resume(state)
    rng = np.random.default_rng((config.train.seed, learner.starts, rank))
    pool = Pool(options.pool, rank, world, rng)
    while not all(pool.chunks.values()):
        pool.refresh(most=12)
        time.sleep(1)
    held_out = validation(config, options.out) if rank == 0 else {}
    if world > 1:
        dist.barrier()
    _loop(learner, pool, held_out, options)
    if world > 1:
        dist.destroy_process_group()


def _loop(learner: Learner, pool: Pool, held_out: dict[str, Chunk], options: argparse.Namespace) -> None:
    train = learner.config.train
    whole = train.teacher_minutes + train.stage_a_minutes + train.stage_b_minutes
    end = min(whole, learner.minutes + options.minutes)
    evaluated = saved = refreshed = learner.minutes
    start, begun = time.monotonic(), learner.minutes
    losses: list[float] = []
    stage, steps = learner.stage, {"T": learner.step_t, "A": learner.step_a, "B": learner.step_b}
    while True:
        minutes = _agreed(begun + (time.monotonic() - start) / 60, pool.world)
        learner.minutes = minutes
        last = minutes >= end
        if pool.rank == 0 and (last or minutes - evaluated >= train.evaluate_minutes):
            evaluated = minutes
            scores = evaluate(learner, held_out)
            loss = float(np.mean(losses[-50:] or [math.nan]))
            head: dict[str, float | str] = {
                "minutes": minutes,
                "stage": learner.stage,
                "steps": learner.steps,
                "loss": loss,
            }
            counts = {"close_ups": learner.close_ups, "captions": learner.captions, "chunks": len(pool.names)}
            write_row(options.out / "log.csv", {**head, **counts, **scores})
        if pool.rank == 0 and (last or minutes - saved >= train.save_minutes):
            saved = minutes
            learner.save(options.out / "state.pt")
        if last:
            return
        if minutes - refreshed >= 0.5:
            refreshed = minutes
            pool.refresh(most=8)
        if learner.stage != stage:
            stage, learner.stage_steps = learner.stage, 0
        learner.teacher.train(stage == "T")
        named_only = stage == "B" and learner.steps % train.captions_every
        loss_t = steps["A" if named_only else stage](pool)
        learner.update(loss_t, pool.world)
        losses.append(float(loss_t.detach()))


def _agreed(minutes: float, world: int) -> float:
    """The first process's clock, so that all change stage and stop at the same step."""
    if world == 1:
        return minutes
    clock = torch.tensor([minutes], dtype=torch.float64)
    dist.broadcast(clock, 0)
    return float(clock)


def main() -> None:
    """Train, or go on training."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pool", type=Path, required=True, help="folder that experiments.embedded.data fills")
    parser.add_argument("--out", type=Path, required=True, help="folder for state.pt and log.csv")
    parser.add_argument("--config", type=Path, default=Path(__file__).with_name("config.toml"))
    parser.add_argument("--minutes", type=float, default=math.inf, help="stop (to be resumed) after so many")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each process")
    parser.add_argument("--device", default="cpu", help="cpu, or cuda with one process")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    options.stamp = time.time_ns()
    if options.processes == 1:
        work(0, options)
    else:
        torch.multiprocessing.spawn(work, (options,), nprocs=options.processes)


if __name__ == "__main__":
    main()
