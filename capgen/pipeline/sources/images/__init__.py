"""Sources whose media are single pictures."""
