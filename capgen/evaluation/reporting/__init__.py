"""Results as tables, JSON and a page."""
