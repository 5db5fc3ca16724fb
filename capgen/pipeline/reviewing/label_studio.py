"""Label Studio: a task an object, with its outline and caption as a prediction, and reviews from annotated tasks.

Form: https://labelstud.io/guide/task_format and https://labelstud.io/guide/predictions (polygons in percent of the
picture, texts as lists).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen.dataset.files import whole_file, write_whole
from capgen.errors import UserError
from capgen.pipeline.reviewing.objects import PICTURES, ReviewObject, ReviewPicture
from capgen.pipeline.reviewing.said import Said

TASKS, CONFIG = "tasks.json", "label_config.xml"
_LONGEST_NAME = 200  # characters of whoever reviewed
_CONFIG = """<View>
  <Header value="$category"/>
  <Image name="image" value="$image" zoom="true"/>
  <PolygonLabels name="object" toName="image" strokeWidth="2" opacity="0">
    <Label value="object" background="#ffcc00"/>
  </PolygonLabels>
  <TextArea name="caption" toName="image" rows="3" editable="true" maxSubmissions="1"/>
  <Choices name="verdict" toName="image" choice="single" showInline="true">
    <Choice value="good"/>
    <Choice value="bad"/>
  </Choices>
  <TextArea name="why" toName="image" placeholder="what is wrong" maxSubmissions="1"/>
</View>
"""


def write_label_studio(pictures: Iterable[ReviewPicture], folder: Path) -> int:
    """Write ``tasks.json`` and ``label_config.xml``; how many tasks.

    The pictures' addresses are those of a local storage whose folder is the one above ``folder``.
    """
    count = 0
    with whole_file(folder / TASKS) as part, part.open("wb") as file:
        file.write(b"[")
        for picture in pictures:
            for one in picture.objects:
                file.write((b",\n" if count else b"\n") + msgspec.json.encode(_task(picture, one, folder)))
                count += 1
        file.write(b"\n]\n")
    write_whole(folder / CONFIG, _CONFIG.encode())
    return count


def _task(picture: ReviewPicture, one: ReviewObject, folder: Path) -> dict[str, Any]:
    row = one.row
    place = quote(f"{folder.resolve().name}/{PICTURES}/{picture.name}")
    common = {"to_name": "image", "original_width": picture.width, "original_height": picture.height}
    regions = [
        common
        | {"id": f"piece-{number}", "from_name": "object", "type": "polygonlabels"}
        | {"value": {"points": points, "closed": True, "polygonlabels": ["object"]}}
        for number, points in enumerate(_polygons(one.mask))
    ]
    caption = {"id": "caption", "to_name": "image", "from_name": "caption", "type": "textarea"}
    said = [caption | {"value": {"text": [row.caption]}}] if row.caption else []
    return {
        "data": {
            "image": f"/data/local-files/?d={place}",
            "key": row.key,
            "category": row.category or "no category",
            "caption": row.caption,
            "status": row.status,
            "reasons": list(row.reasons),
        },
        "predictions": [{"model_version": row.model or "capgen", "result": [*regions, *said]}],
    }


def _polygons(mask: NDArray[np.bool_]) -> list[list[list[float]]]:
    """The outer borders of a mask's pieces, in percent of width and height."""
    pieces, _ = cv2.findContours(mask.view(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    height, width = mask.shape
    scale = np.array([100 / width, 100 / height])
    drawn = [cv2.approxPolyDP(piece, 0.5, closed=True).reshape(-1, 2) for piece in pieces]
    return [(points * scale).round(4).tolist() for points in drawn if len(points) > 2]


def is_label_studio(data: bytes) -> bool:
    """Whether bytes may be a JSON export of Label Studio."""
    return data.lstrip()[:1] == b"["


def read_label_studio(data: bytes, file: Path) -> Iterator[Said]:
    """What people said in the tasks of a JSON export, of each task in its last annotation that was not cancelled.

    Raises:
        UserError: the file is no such export.
    """
    remedy = "give the JSON that Label Studio exports (not JSON-MIN)"
    try:
        tasks = msgspec.json.decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{file} is no JSON: {error}", remedy) from None
    if not isinstance(tasks, list):
        raise UserError(f"{file} is no list of tasks", remedy)
    for number, task in enumerate(tasks, 1):
        try:
            said = _said(task)
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            raise UserError(f"{file}, task {number}, is none of capgen's: {error!r}", remedy) from None
        if said is not None:
            yield said


def _said(task: Mapping[str, Any]) -> Said | None:
    data = task["data"]
    key, before = _text(data["key"]), data["caption"] if data["caption"] is None else _text(data["caption"])
    done = [one for one in task["annotations"] if not one.get("was_cancelled")]
    if not done:
        return None
    last = max(done, key=lambda one: str(one.get("updated_at") or one.get("created_at") or ""))
    told: dict[str, str] = {}
    for region in last["result"]:
        kind = {"choices": "choices", "textarea": "text"}.get(region.get("type"))
        if kind:
            told[region["from_name"]] = "".join(region["value"][kind][:1])
    by = last.get("completed_by")
    name = by.get("email") if isinstance(by, dict) else by
    return Said(
        key=key,
        said=before,
        verdict=told.get("verdict"),
        caption=told.get("caption"),
        why=told.get("why"),
        by=f"Label Studio: {str(name)[:_LONGEST_NAME]}" if name is not None else "Label Studio",
    )


def _text(value: Any) -> str:
    """The value, which must be text.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"{str(value)[:40]} is no text")
    return value
