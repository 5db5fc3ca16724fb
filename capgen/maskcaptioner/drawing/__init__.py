"""Tracks drawn on frames: annotated video, contact sheet, legend."""
