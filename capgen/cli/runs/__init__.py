"""Verbs and options around ``capgen run``: resume, dry runs, how much is printed."""
