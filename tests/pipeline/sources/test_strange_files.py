"""Files that somebody has damaged: either one line for the user, or media whose objects each have a key."""

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capgen.errors import UserError
from capgen.pipeline.sources import SOURCES
from capgen.pipeline.sources.reading.decode import decode_media
from capgen.pipeline.sources.recognise import recognise
from tests.pipeline.sources.files import damaged, mutated
from tests.pipeline.sources.images import test_boxes, test_coco, test_coco_panoptic, test_sa_1b
from tests.pipeline.sources.test_recognise import WRITERS
from tests.pipeline.sources.videos import test_burst, test_sa_v, test_tracks, test_vipseg, test_youtube_vis

SA_1B = {
    "image": {"image_id": 1, "width": 8, "height": 6, "file_name": "sa_1.jpg"},
    "annotations": [
        test_sa_1b.annotation(1, test_sa_1b.WHOLE),
        test_sa_1b.annotation(2, test_sa_1b.PART),
        test_sa_1b.annotation(3, test_sa_1b.OTHER),
    ],
}
FILES = {
    "coco": ("annotations/instances_val2017.json", test_coco.coco()),
    "coco-panoptic": ("annotations/panoptic_val2017.json", test_coco_panoptic.panoptic()),
    "boxes": ("annotations/instances_val.json", test_boxes.boxes()),
    "youtube-vis": ("train.json", test_youtube_vis.youtube_vis()),
    "vipseg": ("panoptic_gt_VIPSeg_val.json", test_vipseg.vipseg()),
    "burst": ("val/all_classes.json", test_burst.burst()),
    "tracks": ("tracks.json", test_tracks.tracks()),
    "sa-1b": ("sa_1.json", SA_1B),
    "sa-v": ("sav_000001_manual.json", test_sa_v.masklets()),
}
OPTIONS = {
    "sa-1b": {"min_predicted_iou": 0.5, "min_stability": 0.5, "max_overlap": 0.5},
    "sa-v": {"unannotated": "show"},
    "burst": {"unannotated": "show"},
    "tracks": {"min_score": 0.5},
    "coco-panoptic": {"stuff": "keep", "crowds": "keep"},
    "vipseg": {"stuff": "keep", "crowds": "keep"},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A complete folder of each source, whose annotation file is then replaced."""
    root = tmp_path_factory.mktemp("sources")
    for name in FILES:
        WRITERS[name](root / name) if name != "sa-1b" else test_sa_1b.written(root / name, number=1)
    return root


def check(name, root, text):
    (root / FILES[name][0]).write_bytes(text)
    source = SOURCES.load(name)(root, **OPTIONS.get(name, {}))
    media, refusal = [], None
    try:
        media = list(source.scan())
    except UserError as error:
        refusal = str(error)
    assert refusal is None or (refusal and "\n" not in refusal)
    keys = [medium.key_of(item.object_id) for medium in media for item in medium.objects]
    assert len(keys) == len(set(keys))
    for medium in media:
        assert all(not file.startswith("/") and ".." not in file.split("/") for file in medium.file_names)
        for item in decode_media(medium, root).objects:
            assert (item.fault is None) == bool(item.visible)
            assert len(item.counts) == len(item.boxes) == len(item.areas) == len(medium.file_names)


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_values_that_make_no_sense_cost_a_line_or_their_objects(folders, name, data):
    body = data.draw(mutated(FILES[name][1]))
    check(name, folders / name, json.dumps(body).encode())


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_bytes_that_are_cut_or_overwritten_cost_a_line_or_their_objects(folders, name, data):
    check(name, folders / name, data.draw(damaged(FILES[name][1])))


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_folder_of_strange_files_is_recognised_or_refused(data):
    with tempfile.TemporaryDirectory() as folder:
        for name, (_, body) in FILES.items():
            (Path(folder) / f"{name}.json").write_bytes(data.draw(damaged(body)))
        found, refusal = [], ""
        try:
            found = recognise(Path(folder))
        except UserError as error:
            refusal = str(error)
        assert all(one.name in SOURCES for one in found)
        assert bool(found) != bool(refusal)
        assert "\n" not in refusal
