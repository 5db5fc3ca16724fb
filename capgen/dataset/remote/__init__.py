"""Runs whose OUT, and datasets whose root, is in a bucket: copies on this machine that are kept equal to it."""
