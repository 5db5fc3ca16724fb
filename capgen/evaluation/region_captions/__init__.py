"""Captions of regions by key, without tracking: against references, or by the verdicts of a judge."""
