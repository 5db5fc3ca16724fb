"""Ways to show which object is meant, each a file; a new one is a file and a line here."""

HIGHLIGHTS = {
    "box": "capgen.pipeline.highlights.box:Box",
    "contour": "capgen.pipeline.highlights.contour:Contour",
    "tint": "capgen.pipeline.highlights.tint:Tint",
    "spotlight": "capgen.pipeline.highlights.spotlight:Spotlight",
    "crop": "capgen.pipeline.highlights.crop:Crop",
    "none": "capgen.pipeline.highlights.none:Nothing",
}
