"""Captions marked by a judge: questions, prompts, what a judge must be able to do, its answers kept by content."""
