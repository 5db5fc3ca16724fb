"""Trains the captioner's language model to answer the yes/no questions of ``capgen judge``: its eyes stay."""
