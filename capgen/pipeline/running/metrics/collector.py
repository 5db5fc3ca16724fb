"""A run's metrics as Prometheus takes them. Names and units follow prometheus.io/docs/practices/naming."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric

from capgen import __version__
from capgen.pipeline.running.metrics.run_metrics import MetricsSnapshot, RunMetrics


class RunCollector:
    """Gives the metrics of the snapshot that is there when it is asked; see ``prometheus_client.registry.Collector``.

    No text from data is in them: labels are capgen's own codes and states.
    """

    def __init__(self, metrics: RunMetrics) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        """The metrics; all are of one moment."""
        now = self._metrics.snapshot
        yield from _of_command(now)
        yield from _of_objects(now)
        yield from _of_engines(now)


def _of_command(now: MetricsSnapshot) -> Iterator[Metric]:
    yield InfoMetricFamily("capgen_build", "The capgen that runs.", {"version": __version__})
    yield _gauge("run_start_time_seconds", "When the command began, in seconds since 1970.", now.started_s)
    yield _gauge("run_finished", "Whether the release is written: 1, or 0.", now.finished)
    if now.left_s is not None:
        yield _gauge("run_left_seconds", "Seconds that the objects left take at the rate so far.", now.left_s)
    yield _labelled(GaugeMetricFamily, "shards", "Shards of the run by state.", "state", now.shards)


def _of_objects(now: MetricsSnapshot) -> Iterator[Metric]:
    counts = now.counts
    yield _gauge("objects_planned", "Objects of the run.", now.planned)
    yield _gauge("objects_settled", "Objects of the run that need no more asking, in all sessions.", now.settled)
    yield _gauge("objects_per_second", "Objects settled a second since the first engine was up.", now.per_s)
    yield _counter("objects", "Objects that this command settled.", counts.objects)
    yield _counter("objects_captioned", "Objects with a caption in shards that it worked on.", counts.captioned)
    yield _labelled(
        CounterMetricFamily,
        "objects_without_caption",
        "Objects without a caption in shards that it worked on, by their first reason.",
        "reason",
        counts.without_caption,
    )


def _of_engines(now: MetricsSnapshot) -> Iterator[Metric]:
    counts = now.counts
    yield _labelled(GaugeMetricFamily, "engines", "Engines of the run by state.", "state", now.engines)
    yield _counter("engines_lost", "Engines that died, stalled or did not start.", counts.lost)
    yield _gauge("requests_in_flight", "Requests that engines have in hand.", now.in_flight)
    yield _counter("prompt_tokens", "Prompt tokens of the shards committed.", counts.tokens["prompt_tokens"])
    cached = "Prompt tokens of the shards committed that an engine had cached."
    yield _counter("prompt_cached_tokens", cached, counts.tokens["cached_tokens"])
    yield _gauge("prompt_cached_ratio", "Share of these prompt tokens that were cached, 0 to 1.", now.cached_ratio)
    yield _counter("output_tokens", "Tokens of the answers in the shards committed.", counts.tokens["output_tokens"])


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(f"capgen_{name}", told, float(value))


def _counter(name: str, told: str, value: float) -> Metric:
    return CounterMetricFamily(f"capgen_{name}", told, float(value))


def _labelled(
    kind: type[GaugeMetricFamily | CounterMetricFamily], name: str, told: str, label: str, values: Mapping[str, int]
) -> Metric:
    family = kind(f"capgen_{name}", told, labels=[label])
    for one, value in sorted(values.items()):
        family.add_metric([one], value)
    return family
