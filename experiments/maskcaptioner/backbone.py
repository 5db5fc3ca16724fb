"""A backbone and pixel decoder that know what things look like, before there are queries: the start of every variant.

Mask2Former is always started from a backbone that was trained to name things (on ImageNet, elsewhere). The sample world
has none, so one is trained here: the features under each object's mask, averaged, tell its category and which words
the pipeline's caption has (words as labels: Joulin et al., arXiv 1511.02251). Each map has a linear reader of its own,
which is thrown away. What is left is a Mask2Former in transformers' format, for ``model.segmenter``.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, cross_entropy

from capgen.cli.training import Seams, build, captions, parts_of
from capgen.maskcaptioner.data.loader import batches
from capgen.maskcaptioner.data.release_rows import count
from capgen.maskcaptioner.settings import TrainSettings, load_train_settings
from capgen.maskcaptioner.training.loop import Data, feed_of
from experiments.maskcaptioner.closeups import cut, draws

_WORD = re.compile(r"[a-z]+")
_RARE, _COMMON = 0.004, 0.6
_LOG_EVERY = 20
_CLOSE_UPS = 64
_LR = 1e-3


def words_of(caption: str) -> set[str]:
    """The words of a caption, in lower case."""
    return set(_WORD.findall(caption.lower()))


def vocabulary(sentences: Iterator[str]) -> list[str]:
    """The words that tell something: in more than one of 250 captions and in fewer than three of five."""
    total, found = 0, Counter[str]()
    for sentence in sentences:
        total += 1
        found.update(words_of(sentence))
    return sorted(word for word, n in found.items() if _RARE * total < n < _COMMON * total)


def pooled(maps_FDhw: torch.Tensor, masks: Sequence[torch.Tensor]) -> torch.Tensor:
    """Features of every object of F pictures, averaged under its mask, [N, D].

    Args:
        masks: of each picture, bool [n, H, W].
    """
    rows = []
    for maps_Dhw, masks_nHW in zip(maps_FDhw, masks, strict=True):
        shares = adaptive_avg_pool2d(masks_nHW[None].float(), maps_Dhw.shape[-2:])[0].flatten(1)
        rows.append(shares @ maps_Dhw.flatten(1).T / shares.sum(1, keepdim=True).clamp(min=1e-6))
    return torch.cat(rows)


class LinearProbes(nn.Module):  # type: ignore[misc]
    """A linear probe for each map: logits of the classes, then of the words."""

    def __init__(self, widths: Sequence[int], classes: int, words: int) -> None:
        super().__init__()
        self.classes = classes
        self.norms = nn.ModuleList(nn.LayerNorm(width) for width in widths)
        self.heads = nn.ModuleList(nn.Linear(width, classes + words) for width in widths)

    def forward(self, maps: Sequence[torch.Tensor], masks: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Logits [N, classes + words] of each map."""
        return [head(norm(pooled(one, masks))) for one, norm, head in zip(maps, self.norms, self.heads, strict=True)]


def train_backbone(
    out: Path,
    data: Sequence[Path],
    assignments: Sequence[str],
    steps: tuple[int, int],
    device: str | None = None,
    report: Callable[[str], None] = print,
) -> Path:
    """Train on close-ups, then on whole pictures; the Mask2Former's folder. What is there is not trained again.

    Args:
        assignments: as for ``capgen train sample``.
        steps: on close-ups and on pictures.
        device: as torch names it; None is a GPU where there is one.
    """
    done = out / "segmenter"
    if (done / "config.json").is_file():
        return done
    out.mkdir(parents=True, exist_ok=True)
    settings = load_train_settings("sample", {"data.releases": [str(path) for path in data]}, assignments)
    if settings.run.threads:
        torch.set_num_threads(settings.run.threads)
    parts = parts_of(settings, settings.data.split, settings.data.limit, Seams())
    census = count(parts)
    model = build(settings, census, parts)
    words = vocabulary(captions(parts))
    begun = time.monotonic()
    model.to(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    learner = _Learner(settings, model, words, report)
    learner.learn("close-ups", _close_ups(parts, model, settings.run.seed), steps[0])
    learner.learn("pictures", _pictures(settings, model, Data(parts, census), out), steps[1])
    record = {"steps": steps, "seconds": round(time.monotonic() - begun, 1), "words": words, "log": learner.log}
    (out / "backbone.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    model.segmenter.mask2former.cpu().save_pretrained(done)
    return done


@dataclass(frozen=True, slots=True)
class Lesson:
    """Pictures [F, 3, H, W], normalised, the masks of their objects, and of all objects what is true."""

    pixels_FCHW: torch.Tensor
    masks: list[torch.Tensor]
    classes_N: torch.Tensor
    captions: list[str | None]


def _close_ups(parts: Any, model: Any, seed: int) -> Iterator[Lesson]:
    picture = model.config.picture
    row = {name: n for n, name in enumerate(model.config.classes)}
    mean, std = (torch.tensor(picture[key]).view(3, 1, 1) for key in ("mean", "std"))
    for draw in draws(cut(parts), _CLOSE_UPS, np.random.default_rng(seed)):
        classes = torch.tensor([row.get(name, -1) if name else -1 for name in draw.categories])
        pixels = ((draw.pixels_NCHW / 255 - mean) / std).to(model.device)
        yield Lesson(pixels, list(draw.masks_NHW[:, None]), classes, draw.captions)


def _pictures(settings: TrainSettings, model: Any, data: Data, out: Path) -> Iterator[Lesson]:
    picture = model.config.picture
    feed = feed_of(settings, 0, model, data, out)
    with closing(
        batches(feed, start=0, workers=0, threads=settings.data.threads, prefetch=settings.data.prefetch)
    ) as stream:
        for batch in stream:
            yield Lesson(
                batch.pixels(picture["mean"], picture["std"], model.device).flatten(0, 1),
                [target.masks_NTHW[:, 0] for target in batch.targets if target.masks_NTHW is not None],
                torch.cat([target.class_ids_N for target in batch.targets]),
                [caption for target in batch.targets for caption in target.captions],
            )


class _Learner:
    """Maps and their linear probes, through both phases."""

    def __init__(
        self, settings: TrainSettings, model: Any, words: Sequence[str], report: Callable[[str], None]
    ) -> None:
        self.module = model.segmenter.mask2former.pixel_level_module.train()
        self.words, self.report = words, report
        config = model.segmenter.mask2former.config
        widths = [*self.module.encoder.channels, *[config.feature_size] * 3, config.mask_feature_size]
        self.device = model.device
        self.probes = LinearProbes(widths, len(model.config.classes), len(words)).to(self.device)
        self.parameters = [*self.module.parameters(), *self.probes.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, weight_decay=settings.optimizer.weight_decay)
        self.log: list[dict[str, Any]] = []

    def learn(self, name: str, lessons: Iterator[Lesson], steps: int) -> None:
        """One phase, with a learning rate that rises and falls."""
        rows: list[list[float]] = []
        for step, lesson in zip(range(steps), lessons, strict=False):
            for group in self.optimizer.param_groups:
                group["lr"] = _LR * min(1.0, (step + 1) / 50) * 0.5 * (1.02 + math.cos(math.pi * step / steps))
            loss, right = self._judged(lesson)
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.parameters, 1.0)
            self.optimizer.step()
            rows.append([loss.item(), *right])
            if (step + 1) % _LOG_EVERY == 0 or step + 1 == steps:
                means = [sum(column) / len(rows) for column in zip(*rows, strict=True)]
                self.log.append(
                    {"phase": name, "step": step + 1, **dict(zip(("loss", "category", "words"), means, strict=True))}
                )
                self.report(
                    f"backbone, {name}, step {step + 1:,}/{steps:,}: loss {means[0]:.2f}, "
                    f"category {means[1]:.3f}, words {means[2]:.3f}"
                )
                rows = []

    def _maps(self, pixels_FCHW: torch.Tensor) -> list[torch.Tensor]:
        stages = self.module.encoder(pixels_FCHW).feature_maps
        decoded = self.module.decoder(stages)
        return [*stages, *decoded.multi_scale_features, decoded.mask_features]

    def _judged(self, lesson: Lesson) -> tuple[torch.Tensor, list[float]]:
        """The loss; how often the mean of all probes names the category; the share of the words that it says."""
        logits = self.probes(self._maps(lesson.pixels_FCHW), [mask.to(self.device) for mask in lesson.masks])
        words_NW, told_N = (table.to(self.device) for table in self._words(lesson.captions))
        truth_N, classes = lesson.classes_N.to(self.device), self.probes.classes
        loss = torch.zeros((), device=self.device)
        for one in logits:
            loss = loss + cross_entropy(one[:, :classes], truth_N, ignore_index=-1)
            if told_N.any():
                said = binary_cross_entropy_with_logits(one[told_N, classes:], words_NW[told_N], reduction="none")
                loss = loss + said.sum(1).mean()
        with torch.no_grad():
            mean = torch.stack(logits).mean(0)
            right = (mean[:, :classes].argmax(1) == truth_N).float().mean().item()
            hit = (mean[:, classes:] > 0) & (words_NW > 0)
        return loss / len(logits), [right, hit.sum().item() / max(1.0, words_NW.sum().item())]

    def _words(self, sentences: Sequence[str | None]) -> tuple[torch.Tensor, torch.Tensor]:
        """Which words each caption has, [N, W], and whether there is one, [N]."""
        said = [words_of(sentence) if sentence else set() for sentence in sentences]
        table = torch.tensor([[word in row for word in self.words] for row in said], dtype=torch.float32)
        return table.view(len(said), len(self.words)), torch.tensor([sentence is not None for sentence in sentences])
