"""Measures how far capgen's own quality control can be trusted, on sample worlds whose truth is known."""
