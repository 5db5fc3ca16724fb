"""Speed and memory, each beside its baseline; results are written to results/."""
