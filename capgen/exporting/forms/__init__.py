"""The forms, a file each kind."""
