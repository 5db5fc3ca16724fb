"""The network: configuration, segmentation, captioning, losses."""
