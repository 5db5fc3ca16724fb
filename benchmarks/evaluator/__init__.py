"""Benchmarks of the evaluator: its speed, and how often its intervals hold."""
