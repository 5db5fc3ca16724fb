"""Ways to show which object is meant, each a file; a new one is a file and a line here."""

from capgen.registry import Registry

HIGHLIGHTS = Registry(
    "highlight",
    "capgen.highlights",
    {
        "box": "capgen.pipeline.rendering.highlights.box:BoxOutline",
        "contour": "capgen.pipeline.rendering.highlights.contour:Contour",
        "tint": "capgen.pipeline.rendering.highlights.tint:Tint",
        "spotlight": "capgen.pipeline.rendering.highlights.spotlight:Spotlight",
        "crop": "capgen.pipeline.rendering.highlights.crop:Crop",
        "number": "capgen.pipeline.rendering.highlights.number:NumberTag",
        "none": "capgen.pipeline.rendering.highlights.none:Nothing",
    },
)
