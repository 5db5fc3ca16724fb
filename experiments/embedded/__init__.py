"""Trains the embedded captioner from scratch on worlds of its own seeds; see README.md."""
