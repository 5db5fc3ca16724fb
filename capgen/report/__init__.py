"""The report of a run: its figures, counted by the same code as the data card, as a page, as Markdown and as JSON."""
