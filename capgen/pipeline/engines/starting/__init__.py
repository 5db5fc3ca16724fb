"""Starting an engine, and why one did not start."""
