"""Whether machines are fit for a run."""
