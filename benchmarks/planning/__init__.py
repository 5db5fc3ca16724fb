"""Benchmarks of planning: how fast sources are read, and in how much memory."""
