"""The experiments on MaskCaptioner, and its packaged checkpoint: how they are made."""
