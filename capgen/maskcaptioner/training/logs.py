"""What a training leaves to look at: CSV, the plot of the losses, and the line that shows where it is."""

from __future__ import annotations

import csv
import io
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.live import Live

from capgen.dataset.files import telling_disk_trouble, whole_file, write_whole
from capgen.display import mathless
from capgen.maskcaptioner.training.trackers import ScalarTracker
from capgen.text import duration

log = logging.getLogger(__name__)

_LOG_EVERY_S = 15.0
_SMOOTH = 0.05  # share of the plotted points that one of the smooth line averages over

Value = float | int | str


class ScalarLog:
    """A CSV that is appended to, and trackers beside it; on resuming, what came after the checkpoint is cut off.

    Args:
        name: of ``OUT/logs/<name>.csv``, with a column ``step``.
        trackers: take the numbers too; who opened them closes them.
    """

    def __init__(self, out: Path, name: str, *, step: int, trackers: Sequence[ScalarTracker] = ()) -> None:
        self._name, self._trackers = name, trackers
        self.path = out / "logs" / f"{name}.csv"
        self._columns: list[str] = []
        self.rows = [row for row in read_csv(self.path) if int(row["step"]) <= step]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._rewrite()

    def add(self, row: Mapping[str, Value]) -> None:
        """Append a row; a column that is new is added to the whole file."""
        said = {key: f"{value:.6g}" if isinstance(value, float) else str(value) for key, value in row.items()}
        self.rows.append(said)
        if set(said) - set(self._columns):
            self._rewrite()
        else:
            with telling_disk_trouble(self.path.parent), self.path.open("a", encoding="utf-8", newline="") as file:
                csv.DictWriter(file, self._columns, restval="").writerow(said)
        log.info("%s", ", ".join(f"{key} {value}" for key, value in said.items()))
        numbers = {key: value for key, value in row.items() if key != "step" and not isinstance(value, str)}
        for tracker in self._trackers:
            tracker.add(self._name, int(row["step"]), numbers)

    def _rewrite(self) -> None:
        self._columns = list(dict.fromkeys(key for row in self.rows for key in row))
        if self._columns:
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, self._columns, restval="")
            writer.writeheader()
            writer.writerows(self.rows)
            write_whole(self.path, text.getvalue().encode())


def read_csv(path: Path) -> list[dict[str, str]]:
    """The rows of a journal; none where there is no file. A last line cut short by a kill is left out."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {str(key): value for key, value in row.items() if value}
        for row in rows
        if row.get("step", "").isdigit() and None not in row.values()
    ]


def plot_losses(
    steps: Sequence[Mapping[str, str]], scores: Sequence[Mapping[str, str]], path: Path, title: str
) -> None:
    """Write ``loss_figure`` as a PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = loss_figure(steps, scores, title)
    FigureCanvasAgg(figure)
    with whole_file(path) as part:
        figure.savefig(part, dpi=120, format="png")


def loss_figure(steps: Sequence[Mapping[str, str]], scores: Sequence[Mapping[str, str]], title: str) -> Any:
    """Losses over steps, each part with its smooth line, and below them the validation's scores: a matplotlib Figure.

    A line marks where each stage begins.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7 if scores else 4.5), layout="constrained")
    axes = figure.subplots(2 if scores else 1, 1, squeeze=False)[:, 0]
    names = [name for name in dict.fromkeys(key for row in steps for key in row) if name.startswith("loss")]
    _lines(axes[0], steps, names, smooth=True)
    axes[0].set(title=mathless(title), ylabel="loss")
    if all(float(row.get("loss", 1)) > 0 for row in steps):
        _log_scale(axes[0])
    if scores:
        _lines(axes[1], scores, [name for name in dict.fromkeys(k for row in scores for k in row) if name != "step"])
        axes[1].set(ylabel="validation", ylim=(0, 1))
    for axis in axes:
        _mark_stages(axis, steps)
    axes[-1].set_xlabel("step")
    return figure


def _log_scale(axis: Any) -> None:
    """A logarithmic axis with plain numbers at 1, 2 and 5 of every decade: losses often stay within one."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_yscale("log")
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.yaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _mark_stages(axis: Any, steps: Sequence[Mapping[str, str]]) -> None:
    """A line with its name where each stage begins."""
    before = None
    for row in steps:
        stage = row.get("stage")
        if stage and stage != before:
            start = int(row["step"])
            axis.axvline(start, color="0.45", linewidth=0.8, linestyle=":")
            place = {"xycoords": ("data", "axes fraction"), "xytext": (3, -3), "textcoords": "offset points"}
            axis.annotate(mathless(stage), (start, 1), va="top", fontsize=8, color="0.35", **place)
            before = stage


def _lines(axis: Any, rows: Sequence[Mapping[str, str]], names: Sequence[str], *, smooth: bool = False) -> None:
    import numpy as np

    for name in names:
        points = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        if not points:
            continue
        x, y = np.array(points).T
        label = name.removeprefix("loss/")
        width = max(1, round(len(y) * _SMOOTH)) if smooth else 1
        if width > 1:
            faint = axis.plot(x, y, linewidth=0.5, alpha=0.3)[0]
            mean = np.convolve(y, np.ones(width) / width, mode="valid")
            axis.plot(x[width - 1 :], mean, color=faint.get_color(), linewidth=1.5, label=label)
        else:
            axis.plot(x, y, marker="" if smooth else "o", linewidth=1.2, label=label)
    if axis.lines:
        axis.legend(fontsize=8, ncols=3)
    axis.grid(alpha=0.3)


@dataclass(slots=True)
class Meter:
    """Means over the steps since they were last asked for, and how long the model waited for data."""

    sums: dict[str, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    clips: int = 0
    waited: float = 0.0
    begun: float = field(default_factory=time.monotonic)

    def add(self, values: Mapping[str, float], *, clips: int, waited: float) -> None:
        """Count one step."""
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value
            self.counts[key] = self.counts.get(key, 0) + 1
        self.clips += clips
        self.waited += waited

    def means(self) -> dict[str, float]:
        """Means of what was added, clips a second, and the share of time that was spent waiting; starts anew."""
        now = time.monotonic()
        seconds = max(1e-9, now - self.begun)
        found = {key: total / self.counts[key] for key, total in self.sums.items()}
        found |= {"clips_per_s": self.clips / seconds, "waiting": self.waited / seconds}
        self.sums, self.counts, self.clips, self.waited, self.begun = {}, {}, 0, 0.0, now
        return found


class TrainingProgress:
    """Where a training stands: one line that is rewritten on a terminal, a line now and then in a log."""

    def __init__(self, console: Console, steps: int) -> None:
        self._console, self._steps = console, steps
        self._live: Live | None = None
        self._next_line = 0.0
        self._begun: tuple[float, int] | None = None

    def __enter__(self) -> TrainingProgress:
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def step(self, step: int, stage: str, loss: float) -> None:
        """Show that so many steps are done."""
        now = time.monotonic()
        if self._begun is None:
            self._begun = now, step
        line = self.sentence(step, stage, loss, now)
        if self._live is not None:
            self._live.update(line)
        elif now >= self._next_line or step == self._steps:
            self._console.print(line, highlight=False)
            self._next_line = now + _LOG_EVERY_S

    def note(self, line: str) -> None:
        """Say something that stays."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def sentence(self, step: int, stage: str, loss: float, now: float) -> str:
        """``step 120/2,000 (clips), loss 3.21, 1.4 steps/s, 22 min 10 s left``."""
        head = f"step {step:,}/{self._steps:,} ({stage}), loss {loss:.3g}"
        began, first = self._begun or (now, step)
        if step > first and now > began:
            rate = (step - first) / (now - began)
            head += f", {rate:.2g} steps/s, {duration((self._steps - step) / rate)} left"
        return head
