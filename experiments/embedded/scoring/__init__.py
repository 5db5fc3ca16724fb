"""How good the embedded captioner is: against the truth, through the whole pipeline, and beside transformers."""
