"""Releases in the forms that other trainers read; each form is a file, and a line here."""

from capgen.registry import Registry

FORMATS = Registry(
    "export form",
    "capgen.exports",
    {
        "official": "capgen.exporting.forms.official:OfficialForm",
        "coco": "capgen.exporting.forms.coco:CocoForm",
        "youtube-vis": "capgen.exporting.forms.youtube_vis:YoutubeVisForm",
        "llava": "capgen.exporting.forms.conversations:Llava",
        "ms-swift": "capgen.exporting.forms.conversations:MsSwift",
        "pixelrefer": "capgen.exporting.forms.conversations:PixelRefer",
        "webdataset": "capgen.exporting.forms.records:WebDataset",
        "jsonl": "capgen.exporting.forms.records:JsonLines",
    },
)
