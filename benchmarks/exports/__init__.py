"""Benchmarks of exports and imports."""
