"""The training loop: stages over one stream of batches, from whatever checkpoint there is to the last step.

On several GPUs or nodes every process runs this under ``accelerate launch``; each sees its own share of the batches.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from torch import nn

from capgen.errors import CapgenError, Interrupted, UserError
from capgen.maskcaptioner.data.augment import canvas_of
from capgen.maskcaptioner.data.collate import Batch
from capgen.maskcaptioner.data.loader import Feed, batches, order_of
from capgen.maskcaptioner.data.pictures import FrameReader
from capgen.maskcaptioner.data.release_rows import Census, DataPart
from capgen.maskcaptioner.data.sampling import repeat_factors
from capgen.maskcaptioner.data.training_clip import ClipMaker
from capgen.maskcaptioner.settings import StageSettings, TrainSettings
from capgen.maskcaptioner.training import checkpoint, optim
from capgen.maskcaptioner.training.logs import Meter, ScalarLog, TrainingProgress, plot_losses
from capgen.maskcaptioner.training.trackers import open_trackers
from capgen.stop import Stop

Validate = Callable[[Any, int], Mapping[str, float]]
"""Scores a model at a step; it may be called on the main process only."""


class Diverged(CapgenError):
    """The loss or its gradient is no longer a number."""


@dataclass(frozen=True, slots=True)
class Data:
    """What is learnt from."""

    parts: tuple[DataPart, ...]
    census: Census


class Trainer:
    """Trains one model in one folder; ``run`` goes on where the last checkpoint ends.

    Args:
        model: called as ``model(pixels, targets=..., caption_loss=...)``, giving ``loss`` and ``losses`` by part; its
            ``config`` has ``picture``, ``classes``, ``clip_frames`` and ``losses``.
        stop: hears Ctrl-C and SIGTERM; the step that they come in is finished and saved.
    """

    def __init__(
        self,
        settings: TrainSettings,
        out: Path,
        model: Any,
        data: Data,
        show: TrainingProgress,
        validate: Validate | None = None,
        stop: Stop | None = None,
    ) -> None:
        self.settings, self.out, self.data, self.show, self.validate = settings, out, data, show, validate
        self.stop = stop or Stop()
        self.stages = list(settings.active.items())
        self.accelerator = accelerator_of(settings)
        self.model = model.to(self.accelerator.device)
        self.step = 0
        self._losses = dict(model.config.losses)
        self._wrapped: Any = None

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return bool(self.accelerator.is_main_process)

    def run(self) -> None:
        """Train to the last step.

        Raises:
            Diverged: a loss or gradient is NaN or infinite.
            Interrupted: somebody asked for an end; a checkpoint of the last step is there.
            UserError: the data or a checkpoint will not do.
        """
        state, folder = self._open()
        out = self.out if self.main else self.out / "logs" / f"process-{self.accelerator.process_index}"
        with ExitStack() as opened:
            trackers = open_trackers(self.settings, self.out, self.step) if self.main else []
            for tracker in trackers:
                opened.enter_context(closing(tracker))
            self.journal = ScalarLog(out, "steps", step=self.step, trackers=trackers)
            self.scores = ScalarLog(out, "validation", step=self.step, trackers=trackers)
            if self.step:
                self._validated(missing_only=True)
            number, done = optim.place([stage for _, stage in self.stages], self.step)
            for index in range(number, len(self.stages)):
                self._stage(index, done if index == number else 0, state, folder)
                state = None
            self._finish()

    def _open(self) -> tuple[dict[str, Any] | None, Path | None]:
        """The last checkpoint, its weights restored; a fresh start seeds each process differently."""
        set_seed(self.settings.run.seed + self.accelerator.process_index)
        folder = checkpoint.latest(self.out)
        if folder is None:
            return None, None
        state = checkpoint.load_state(folder, world=self.accelerator.num_processes)
        checkpoint.restore_weights(self.model, state, folder)
        self.step = state["position"]["step"]
        if self.main:
            self.show.note(f"going on from {folder}")
        return state, folder

    def _stage(self, index: int, done: int, state: Mapping[str, Any] | None, folder: Path | None) -> None:
        name, stage = self.stages[index]
        learning = optim.freeze(self.model, stage)
        if self.main:
            self.show.note(f"stage {name}: {stage.steps:,} steps, {learning / 1e6:.2f} M parameters learn")
        self.model.config.losses = self._losses | dict(stage.losses)
        optimizer = optim.optimizer_of(self.model, stage, self.settings.optimizer)
        if state is not None and done:
            checkpoint.restore_optimizer(optimizer, state, folder or self.out)
        if state is not None and folder is not None:
            checkpoint.restore_rng(folder, self.accelerator.process_index)
        self._wrapped = self.accelerator.prepare_model(_Loss(self.model, shared=self.accelerator.num_processes > 1))
        data = self.settings.data
        feed = feed_of(self.settings, index, self.model, self.data, self.out, self.accelerator)
        stream = batches(
            feed, start=done * stage.accumulate, workers=data.workers, threads=data.threads, prefetch=data.prefetch
        )
        with closing(stream), self.stop.orderly():
            self._steps(name, stage, done, optimizer, stream)
        self.accelerator.unwrap_model(self._wrapped, keep_fp32_wrapper=False)
        self.accelerator.free_memory()
        self.model.config.losses = self._losses

    def _steps(
        self, name: str, stage: StageSettings, done: int, optimizer: torch.optim.Optimizer, stream: Generator[Batch]
    ) -> None:
        meter = Meter()
        for at in range(done, stage.steps):
            rate = optim.set_rate(optimizer, stage, at)
            values, clips, waited = self._one(stage, optimizer, stream)
            self.step += 1
            meter.add(values, clips=clips, waited=waited)
            self._log(name, rate, meter, last=self.step == self.settings.steps)
            if self.main:
                self.show.step(self.step, name, values["loss"])
            last = self.step == self.settings.steps
            if self._asked_to_stop() and not last:
                folder = self._save(optimizer)
                raise Interrupted(f"step {self.step:,} of {self.settings.steps:,} is saved in {folder}")
            self._validated()
            if self.step % self.settings.run.checkpoint_every == 0 or last:
                self._save(optimizer)

    def _asked_to_stop(self) -> bool:
        """Whether any process was asked to, the same answer in all of them."""
        if self.accelerator.num_processes == 1:
            return self.stop.asked
        asked = torch.tensor(float(self.stop.asked), device=self.accelerator.device)
        return bool(self.accelerator.reduce(asked, "sum"))

    def _one(
        self, stage: StageSettings, optimizer: torch.optim.Optimizer, stream: Iterator[Batch]
    ) -> tuple[dict[str, float], int, float]:
        """One step of the optimizer: the mean of each loss, how many clips it saw, seconds it waited for them."""
        optimizer.zero_grad(set_to_none=True)
        parts: list[dict[str, torch.Tensor]] = []
        waited, clips, captions = 0.0, 0, 0
        for number in range(stage.accumulate):
            begun = time.monotonic()
            batch = next(stream)
            waited += time.monotonic() - begun
            clips, captions = clips + len(batch.keys), captions + batch.captions
            hold = number < stage.accumulate - 1
            parts.append(self._pass(batch, stage, hold=hold))
        values = self._means(parts)
        learning = [p for group in optimizer.param_groups for p in group["params"]]
        norm = float(nn.utils.clip_grad_norm_(learning, self.settings.optimizer.clip_norm or math.inf))
        self._check(values | {"gradient norm": norm})
        optimizer.step()
        values |= {"grad_norm": norm, "captions": float(captions)}
        return values, clips * self.accelerator.num_processes, waited

    def _pass(self, batch: Batch, stage: StageSettings, *, hold: bool) -> dict[str, torch.Tensor]:
        """Forward and backward of one batch; ``hold`` leaves gradients on this process for now."""
        picture = self.model.config.picture
        device = self.accelerator.device
        pixels = batch.pixels(picture["mean"], picture["std"], device)
        targets = [target.to(device) for target in batch.targets]
        with self.accelerator.no_sync(self._wrapped) if hold else nullcontext():
            loss, losses = self._wrapped(pixels, targets, stage.captions)
            # a frozen segmenter and no caption in sight: there is nothing to learn from this batch
            if loss.requires_grad:
                self.accelerator.backward(loss / stage.accumulate)
        return {"loss": loss.detach(), **{f"loss/{name}": value.detach() for name, value in losses.items()}}

    def _means(self, parts: list[dict[str, torch.Tensor]]) -> dict[str, float]:
        """Means over passes and processes, brought over in one transfer."""
        names = sorted({name for part in parts for name in part})
        zero = torch.zeros((), device=self.accelerator.device)
        rows = torch.stack([torch.stack([part.get(name, zero).float() for name in names]) for part in parts]).mean(0)
        if self.accelerator.num_processes > 1:
            rows = self.accelerator.reduce(rows, "mean")
        return dict(zip(names, rows.tolist(), strict=True))

    def _check(self, values: Mapping[str, float]) -> None:
        wrong = [name.removeprefix("loss/") for name, value in values.items() if not math.isfinite(value)]
        if wrong:
            name, stage = self.stages[optim.place([stage for _, stage in self.stages], self.step)[0]]
            precision = " and --set run.precision=fp32" if self.settings.run.precision != "fp32" else ""
            last = checkpoint.latest(self.out)
            kept = f"the last good weights are in {last}" if last else "nothing was saved before it"
            raise Diverged(
                f"step {self.step + 1} ({name}): {', '.join(wrong)} is not finite; lower --set stages.{name}.lr "
                f"(now {stage.lr:g}) or lengthen its warmup{precision}, with a new --out; {kept}"
            )

    def _log(self, name: str, rate: float, meter: Meter, *, last: bool) -> None:
        if (self.step % self.settings.run.log_every == 0 or last) and self.main:
            self.journal.add({"step": self.step, "stage": name, "lr": rate, **meter.means()})

    def _validated(self, *, missing_only: bool = False) -> None:
        """Score the model where it is time to; ``missing_only``: unless the scores of this step are there."""
        settings = self.settings.validation
        last = self.step == self.settings.steps and settings.final
        if self.validate is None or not (last or (settings.every and self.step % settings.every == 0)):
            return
        scored = missing_only and any(row["step"] == str(self.step) for row in self.scores.rows)
        if self.main and not scored:
            modes = [(module, module.training) for module in self.model.modules()]
            with torch.random.fork_rng(), torch.no_grad():
                scores = self.validate(self.model.eval(), self.step)
            for module, training in modes:
                module.training = training
            self.scores.add({"step": self.step, **scores})
            self.show.note(f"step {self.step}: " + ", ".join(f"{key} {value:.3f}" for key, value in scores.items()))
        self.accelerator.wait_for_everyone()

    def _save(self, optimizer: torch.optim.Optimizer) -> Path:
        rank, world = self.accelerator.process_index, self.accelerator.num_processes
        position = checkpoint.Position(self.step, world)
        wait = self.accelerator.wait_for_everyone
        self.model.config.losses, stage_losses = self._losses, self.model.config.losses
        keep = self.settings.run.keep
        folder = checkpoint.save(self.out, self.model, optimizer, position, rank=rank, keep=keep, wait=wait)
        self.model.config.losses = stage_losses
        if self.main:
            self._plot()
        return folder

    def _plot(self) -> None:
        plot_losses(self.journal.rows, self.scores.rows, self.out / "loss.png", self.settings.name)

    def _finish(self) -> None:
        if self.main:
            checkpoint.save_model(self.out, self.model)
            self._plot()
        self.accelerator.wait_for_everyone()


class _Loss(nn.Module):  # type: ignore[misc]
    """The model as a function to losses; ``shared``: every parameter takes part, as averaging gradients needs."""

    def __init__(self, model: nn.Module, *, shared: bool) -> None:
        super().__init__()
        self.model = model
        self._shared = shared

    def train(self, mode: bool = True) -> _Loss:
        """Leave modes as the stage set them."""
        self.training = mode
        return self

    def forward(
        self, pixels: torch.Tensor, targets: Any, captions: bool
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """The weighted sum and its parts."""
        output = self.model(pixels, targets=targets, caption_loss=captions)
        loss = output.loss
        if self._shared:
            loss = loss + sum(p.flatten()[0] * 0 for p in self.model.parameters() if p.requires_grad)
        return loss, dict(output.losses)


def accelerator_of(settings: TrainSettings) -> Accelerator:
    """The processes and the precision of a training."""
    if settings.run.threads:
        torch.set_num_threads(settings.run.threads)
    precision = "bf16" if settings.run.precision == "bf16" else "no"
    AcceleratorState._reset_state()  # a training after another in one process may have another precision
    try:
        return Accelerator(cpu=settings.run.device == "cpu", mixed_precision=precision)
    except ValueError as error:
        raise UserError(f"run.precision = {settings.run.precision!r}: {error}", "--set run.precision=fp32") from error


def feed_of(
    settings: TrainSettings, index: int, model: Any, data: Data, out: Path, accelerator: Accelerator | None = None
) -> Feed:
    """The batches of a stage, by its place among those that have steps."""
    stage = list(settings.active.values())[index]
    media = sum(data.census.media.values())
    factors = repeat_factors(data.census.categories, media, settings.data.repeat_threshold)
    seed = (settings.run.seed, index)
    order = order_of(data.parts, data.census, kind=stage.kind, factors=factors, buffer=settings.data.shuffle, seed=seed)
    cache = settings.data.cache_dir or out / "cache"
    maker = ClipMaker(
        augment=settings.augment,
        canvas=canvas_of(settings.augment, model.config.picture),
        frames=stage.frames or model.config.clip_frames,
        stride=stage.stride,
        reader=FrameReader(cache if settings.data.cache == "disk" else None),
    )
    feed = Feed(
        order=order,
        maker=maker,
        classes={name: row for row, name in enumerate(model.config.classes)},
        batch=stage.batch,
        divisor=model.config.picture["divisor"],
        federated=settings.data.federated,
    )
    if accelerator is None:
        return feed
    return replace(feed, rank=accelerator.process_index, world=accelerator.num_processes)
