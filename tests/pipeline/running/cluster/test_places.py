"""What a run says while an engine has no place."""

from capgen.pipeline.running.cluster.places import memory_pressure


def test_a_machine_without_memory_is_named_as_the_reason_for_waiting(monkeypatch):
    monkeypatch.setenv("RAY_memory_usage_threshold", "1.1")
    assert memory_pressure() is None
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    assert "of this machine's memory is in use, and Ray ends what it starts from 0% on" in memory_pressure()
