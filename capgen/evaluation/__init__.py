"""SCORES captions and tracks: CHOTA, HOTA, caption metrics, the sample world's truth."""

THRESHOLD = 0.5
"""The public evaluators' own default; CaptionFormer's scripts pass 0, because the model has filtered already."""
