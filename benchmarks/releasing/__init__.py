"""Benchmarks of releasing."""
