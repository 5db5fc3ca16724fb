"""Readers of the public benchmarks, each a file."""
