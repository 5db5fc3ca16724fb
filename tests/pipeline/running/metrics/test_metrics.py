"""What Prometheus reads of a run, over loopback and with the parsers of its own client library."""

import http.client
import itertools
import sys
import threading
from collections import Counter
from contextlib import closing
from urllib.parse import urlsplit

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as plain_text

from capgen import __version__
from capgen.cli.main import app
from capgen.cli.providers import Providers
from capgen.errors import UserError
from capgen.listening import listen
from capgen.pipeline.asking.handed.open_shards import OpenShards, ShardCounts
from capgen.pipeline.running.metrics.run_metrics import RunMetrics
from capgen.pipeline.running.metrics.server import serving
from capgen.pipeline.running.run_progress import RunProgress
from capgen.pipeline.running.session import Devices
from tests.pipeline.running.test_run_progress import SIZE, entry, manifest
from tests.pipeline.runs import echo_settings, session


def fetched(url, path="/metrics", **headers):
    """Status, content type and text of a request."""
    at = urlsplit(url)
    with closing(http.client.HTTPConnection(at.hostname, at.port, timeout=10)) as connection:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read().decode()


def scraped(url):
    """Every sample by name and labels, as Prometheus would store it."""
    status, _, text = fetched(url)
    assert status == 200
    samples = [sample for family in plain_text(text) for sample in family.samples]
    found = {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}
    assert len(found) == len(samples), "no series comes twice"
    return found


def counters(found):
    return {name: value for name, value in found.items() if name[0].endswith("_total")}


def never_falls(scrapes):
    pairs = itertools.pairwise(scrapes)
    return all(after.get(name, 0) >= value for before, after in pairs for name, value in before.items())


def test_a_run_is_seen_while_it_goes_on_and_its_numbers_are_those_of_its_report(lvis_root, tmp_path):
    metrics, scrapes, ended = RunMetrics(), [], threading.Event()
    settings = echo_settings(
        lvis_root, "tries.again=[]", "engine.options.latency_s=0.02", "engine.options.concurrency=2"
    )
    with serving(metrics, "127.0.0.1", 0) as url:

        def scrape():
            while not ended.wait(0.02):
                scrapes.append(scraped(url))

        thread = threading.Thread(target=scrape)
        thread.start()
        out, report = session(settings, tmp_path / "out", metrics=metrics)
        ended.set()
        thread.join()
        last = scraped(url)
        session(settings, out, metrics=metrics, again=(), refused=frozenset({"lvis/train/1/100"}))
        scrapes += [last, scraped(url)]
    assert never_falls([counters(one) for one in scrapes])
    seen = {one[("capgen_objects_settled",)] for one in scrapes}
    assert len(seen) > 3, "it moves while the run goes on"
    assert {one[("capgen_engines", "up")] for one in scrapes} == {0, 1}
    assert max(one[("capgen_requests_in_flight",)] for one in scrapes) == 2
    assert last[("capgen_build_info", __version__)] == 1
    assert last[("capgen_objects_planned",)] == report.planned == last[("capgen_objects_total",)] == 15
    assert last[("capgen_objects_captioned_total",)] == report.kept
    lost = {name[1]: value for name, value in last.items() if name[0] == "capgen_objects_without_caption_total"}
    assert lost == report.dropped | report.failed
    assert last[("capgen_prompt_tokens_total",)] == report.prompt_tokens
    assert last[("capgen_prompt_cached_tokens_total",)] == report.cached_tokens
    assert last[("capgen_output_tokens_total",)] == report.output_tokens > 0
    assert [last[("capgen_shards", state)] for state in ("committed", "open", "waiting")] == [3, 0, 0]
    assert (last[("capgen_run_finished",)], last[("capgen_run_left_seconds",)]) == (1, 0)
    again = scrapes[-1]
    assert again[("capgen_objects_total",)] == 16, "the command goes on counting where an object is asked again"
    assert again[("capgen_run_start_time_seconds",)] == last[("capgen_run_start_time_seconds",)]


def progress_of(metrics, shards):
    progress = RunProgress(planned=shards * SIZE, show=metrics)
    metrics.begin(shards)
    progress.begin([entry(index) for index in range(shards)], {})
    return progress


def test_no_count_falls_where_a_manifest_or_another_session_says_less():
    metrics = RunMetrics()
    progress = progress_of(metrics, 2)
    progress.hear(OpenShards({(0, 0): ShardCounts(50, Counter(refusal=5), 45)}, workers=1))
    progress.engine_lost()
    progress.committed(manifest(0, kept=98, dropped={"refusal": 2}))
    counts = metrics.snapshot.counts
    assert (counts.without_caption, counts.captioned, counts.objects) == ({"refusal": 5}, 98, 100)
    assert metrics.snapshot.shards == {"committed": 1, "open": 0, "waiting": 1}
    again = progress_of(metrics, 1)
    assert metrics.snapshot.counts == counts | type(counts)(lost=1)
    again.hear(OpenShards({(0, 0): ShardCounts(7, Counter(refusal=1), 6)}))
    assert (metrics.snapshot.counts.objects, metrics.snapshot.counts.without_caption) == (107, {"refusal": 6})


def test_labels_are_a_closed_list_whatever_a_plug_in_calls_its_reasons():
    metrics = RunMetrics()
    reasons = Counter({"length": 1, "my.checks:Odd": 2, '"} evil{': 3})
    progress_of(metrics, 1).hear(OpenShards({(0, 0): ShardCounts(6, reasons)}))
    assert metrics.snapshot.counts.without_caption == {"length": 1, "other": 5}


def test_only_metrics_are_served_only_under_this_machines_names_in_both_formats():
    with serving(RunMetrics(), "127.0.0.1", 0) as url:
        port = urlsplit(url).port
        assert fetched(url, Host=f"localhost:{port}")[0] == 200
        assert fetched(url, Host="evil.example")[0] == 403
        assert fetched(url, Host=f"evil.example:{port}")[0] == 403
        assert fetched(url, "/")[0] == 404
        _, kind, text = fetched(url, Accept="application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert "capgen_objects" in {family.name for family in openmetrics(text)}
        with serving(RunMetrics(), "127.0.0.1", 0) as other:
            assert other != url, "several runs on a machine"
    with pytest.raises(ConnectionRefusedError):
        fetched(url)


def test_on_every_address_of_a_machine_it_answers_under_every_name():
    with serving(RunMetrics(), "0.0.0.0", 0) as url:
        port = urlsplit(url).port
        assert fetched(f"http://127.0.0.1:{port}", Host=f"node7.cluster.example:{port}")[0] == 200


def run(*flags):
    words = ("run", "--dataset", "lvis", "--engine", "echo", "--model", "none", "--gpus", "0", *flags)
    app([str(word) for word in words], standalone_mode=False, obj=Providers(devices=lambda *_: Devices(ray=False)))


def test_a_port_in_use_or_a_missing_library_ends_the_command_before_it_begins(tmp_path, monkeypatch):
    out = tmp_path / "out"
    with listen("127.0.0.1", 0, "") as taken, pytest.raises(UserError) as error:
        run("--out", out, "--metrics-port", taken.getsockname()[1])
    assert "Address already in use; give another --metrics-port" in str(error.value)
    with pytest.raises(UserError, match="give --metrics-port too"):
        run("--out", out, "--metrics-host", "127.0.0.1")
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(UserError, match=r"pip install .capgen\[metrics"):
        run("--out", out, "--metrics-port", 0)
    assert not out.exists()


def test_a_free_port_is_said_and_the_server_ends_with_the_command(lvis_root, tmp_path, capsys):
    run("--root", lvis_root, "--out", tmp_path / "out", "--metrics-port", 0, "--limit", 4, "--quiet")
    url = capsys.readouterr().err.strip().removeprefix("metrics: ")
    assert url.endswith("/metrics")
    with pytest.raises(ConnectionRefusedError):
        fetched(url)
