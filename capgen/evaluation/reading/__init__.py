"""Ground truth and predictions from JSON files to tracks."""
