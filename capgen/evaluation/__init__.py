"""SCORES captions and tracks: CHOTA, HOTA, caption metrics, the sample world's truth."""
