"""The training loop: stages, checkpoints, validation, logs."""
