"""What is remembered of each session of a run: when it asked, how fast, and on which engines."""
