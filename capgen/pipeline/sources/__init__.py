"""Readers of datasets, each a file; a new one is a file and a line here."""

from capgen.registry import Registry

SOURCES = Registry(
    "source",
    "capgen.sources",
    {
        "lvis": "capgen.pipeline.sources.images.lvis:Lvis",
        "lv-vis": "capgen.pipeline.sources.videos.lvvis:LvVis",
        "coco": "capgen.pipeline.sources.images.coco:Coco",
        "coco-panoptic": "capgen.pipeline.sources.images.coco_panoptic:CocoPanoptic",
        "youtube-vis": "capgen.pipeline.sources.videos.youtube_vis:YoutubeVis",
        "sa-1b": "capgen.pipeline.sources.images.sa_1b:Sa1b",
        "sa-v": "capgen.pipeline.sources.videos.sa_v:SaV",
        "masks": "capgen.pipeline.sources.videos.masks:Masks",
        "burst": "capgen.pipeline.sources.videos.burst:Burst",
        "vipseg": "capgen.pipeline.sources.videos.vipseg:VipSeg",
        "boxes": "capgen.pipeline.sources.images.boxes:Boxes",
        "tracks": "capgen.pipeline.sources.videos.tracks:PredictedTracks",
    },
)
