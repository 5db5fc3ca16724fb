"""Metrics over matched tracks, detections and captions."""
