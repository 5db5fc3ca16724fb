"""The same objects under several settings, asked by one engine for each model, as one table."""
