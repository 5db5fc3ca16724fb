"""Masks for pictures and videos that have none: one more way to a dataset that can be captioned."""
