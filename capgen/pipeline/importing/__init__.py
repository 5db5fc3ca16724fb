"""Captions of others as a release: the official JSON, and COCO and YouTube-VIS files with captions."""
