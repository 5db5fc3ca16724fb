"""Public benchmarks of region captions whose numbers a judge's answers give, read as their owners release them."""
