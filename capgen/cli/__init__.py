"""The command line: a file for each group of verbs; the only package that knows every other."""
