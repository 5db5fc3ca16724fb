"""Is a machine fit for a run: asked before an engine is placed there, and by ``capgen doctor``."""
