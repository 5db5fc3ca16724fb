"""Readers of datasets, each a file; a new one is a file and a line here."""

from capgen.registry import Registry

SOURCES = Registry(
    "source",
    "capgen.sources",
    {
        "lvis": "capgen.pipeline.sources.lvis:Lvis",
        "lv-vis": "capgen.pipeline.sources.lvvis:LvVis",
        "coco": "capgen.pipeline.sources.coco:Coco",
        "youtube-vis": "capgen.pipeline.sources.youtube_vis:YoutubeVis",
    },
)
