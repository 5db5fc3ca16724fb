"""Readers of datasets, each a file; a new one is a file and a line here."""

from capgen.registry import Registry

SOURCES = Registry(
    "source",
    "capgen.sources",
    {
        "lvis": "capgen.pipeline.sources.images.lvis:Lvis",
        "lv-vis": "capgen.pipeline.sources.videos.lvvis:LvVis",
        "coco": "capgen.pipeline.sources.images.coco:Coco",
        "youtube-vis": "capgen.pipeline.sources.videos.youtube_vis:YoutubeVis",
    },
)
