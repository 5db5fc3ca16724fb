"""Captions scored by models that compare meanings, given by Hub name or folder: sentence encoders, BERT, CLIP."""
