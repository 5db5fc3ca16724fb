"""MaskCaptioner: detects, segments, tracks and captions the objects of a video. Nothing heavy is imported here."""
