"""The clean protocol: its matching and its numbers."""
