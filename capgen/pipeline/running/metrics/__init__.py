"""Prometheus metrics of a live run."""
