"""Readers of the public benchmarks, each a file; a new one is a file and a line here."""

from capgen.registry import Registry

BENCHMARKS = Registry(
    "benchmark",
    "capgen.benchmarks",
    {
        "lv-viscap": "capgen.evaluation.benchmarks.lvviscap:LvVisCap",
        "vidstg": "capgen.evaluation.benchmarks.vidstg:VidStg",
        "vln": "capgen.evaluation.benchmarks.vln:Vln",
        "bensmot": "capgen.evaluation.benchmarks.bensmot:BenSmot",
    },
)
