"""Mask2Former over clips: queries, heads, matching and losses."""
