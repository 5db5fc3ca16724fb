"""CVAT: masks with their captions as attributes, in the form *CVAT for images 1.1*, and reviews from such a file.

Form: https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/ (a mask's run lengths go row by row through its
rectangle, background first).
"""

from __future__ import annotations

import re
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import msgspec
import numpy as np
from numpy.typing import NDArray

from capgen.dataset.files import whole_file, write_whole
from capgen.errors import UserError
from capgen.pipeline.reviewing.objects import ReviewObject, ReviewPicture
from capgen.pipeline.reviewing.said import Said

ANNOTATIONS, LABELS = "annotations.xml", "labels.json"
_LARGEST = 2**31  # bytes of the XML, in an archive or not
_DEEPEST = 50  # elements inside each other; CVAT writes four
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped."""
_VERDICTS = ("none", "good", "bad")
_REMEDY = "give what CVAT exports as 'CVAT for images 1.1'"
_TEXTS = ("key", "category", "caption", "said", "why")
_ATTRIBUTES: list[dict[str, Any]] = [
    *({"name": name, "input_type": "text", "default_value": "", "values": []} for name in _TEXTS),
    {"name": "verdict", "input_type": "select", "default_value": _VERDICTS[0], "values": list(_VERDICTS)},
]
_LABEL = {"name": "object", "attributes": [{"mutable": False, **one} for one in _ATTRIBUTES]}


def write_cvat(pictures: Iterable[ReviewPicture], folder: Path) -> int:
    """Write ``annotations.xml`` and ``labels.json`` (the raw form of a project's labels); how many objects."""
    count = 0
    with whole_file(folder / ANNOTATIONS) as part, part.open("w", encoding="utf-8", errors="replace") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n')
        file.write(_meta())
        for number, picture in enumerate(pictures):
            name = quoteattr(picture.name)
            file.write(f'<image id="{number}" name={name} width="{picture.width}" height="{picture.height}">\n')
            for one in picture.objects:
                file.write(_mask(one))
                count += 1
            file.write("</image>\n")
        file.write("</annotations>\n")
    write_whole(folder / LABELS, msgspec.json.format(msgspec.json.encode([_LABEL]), indent=1) + b"\n")
    return count


def _meta() -> str:
    """The label and its attributes, which readers of such files look for (CVAT itself has them from its task)."""
    attributes = "".join(map(_described, _ATTRIBUTES))
    label = f"<label><name>object</name><type>mask</type><attributes>\n{attributes}</attributes></label>"
    return f"<meta><task><mode>annotation</mode><labels>\n{label}\n</labels></task></meta>\n"


def _described(one: Mapping[str, Any]) -> str:
    values = "\n".join(one["values"])
    return (
        f"<attribute><name>{one['name']}</name><mutable>False</mutable><input_type>{one['input_type']}</input_type>"
        f"<default_value>{one['default_value']}</default_value><values>{values}</values></attribute>\n"
    )


def _mask(one: ReviewObject) -> str:
    row = one.row
    left, top, counts, width, height = _runs(one.mask)
    told = {
        "key": row.key,
        "category": row.category or "",
        "caption": row.caption or "",
        "said": row.caption or "",
        "why": "",
        "verdict": row.verdict if row.verdict in _VERDICTS else _VERDICTS[0],
    }
    attributes = "".join(f"<attribute name={quoteattr(k)}>{_text(v or '')}</attribute>\n" for k, v in told.items())
    return (
        f'<mask label="object" source="file" occluded="0" rle="{", ".join(map(str, counts))}" left="{left}" '
        f'top="{top}" width="{width}" height="{height}" z_order="0">\n{attributes}</mask>\n'
    )


def _text(value: str) -> str:
    """Text as XML can hold it."""
    return escape(_NO_XML.sub("\ufffd", value))


def _runs(mask: NDArray[np.bool_]) -> tuple[int, int, list[int], int, int]:
    """Left, top, run lengths, width and height of a mask's rectangle."""
    ys, xs = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(ys):
        return 0, 0, [1], 1, 1
    piece = mask[ys[0] : ys[-1] + 1, xs[0] : xs[-1] + 1]
    flat = np.concatenate(([False], piece.ravel(), [not piece.ravel()[-1]]))
    changes = np.flatnonzero(flat[1:] != flat[:-1])
    counts = np.diff(np.concatenate(([0], changes)))
    return int(xs[0]), int(ys[0]), counts.tolist(), piece.shape[1], piece.shape[0]


def read_cvat(data: bytes, file: Path) -> Iterator[Said]:
    """What people said in the attributes of a CVAT file, or of the archive that CVAT exports.

    Raises:
        UserError: the file is none.
    """
    from defusedxml.common import DefusedXmlException
    from defusedxml.ElementTree import ParseError

    try:
        if zipfile.is_zipfile(BytesIO(data)):
            with zipfile.ZipFile(BytesIO(data)) as archive:
                if archive.getinfo(ANNOTATIONS).file_size > _LARGEST:
                    raise UserError(f"{file}: {ANNOTATIONS} in it is larger than 2 GiB", _REMEDY)
                with archive.open(ANNOTATIONS) as xml:
                    yield from _shapes(xml, file)
        else:
            yield from _shapes(BytesIO(data), file)
    except (KeyError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
        raise UserError(f"{file} has no {ANNOTATIONS}: {error}", _REMEDY) from None
    except (ParseError, DefusedXmlException, ValueError, LookupError) as error:
        raise UserError(f"{file} is no usable XML: {error}", _REMEDY) from None


def _shapes(xml: Any, file: Path) -> Iterator[Said]:
    """What is said of each shape, one image in memory at a time.

    Raises:
        UserError: its elements are other ones, or nest too deeply.
    """
    from defusedxml.ElementTree import iterparse

    above: list[Any] = []
    for event, element in iterparse(xml, events=("start", "end"), forbid_dtd=True):
        if event == "start":
            if not above and element.tag != "annotations":
                raise UserError(f"{file} has <{element.tag}> where <annotations> should be", _REMEDY)
            above.append(element)
            if len(above) > _DEEPEST:
                raise UserError(f"{file} nests its elements more than {_DEEPEST} deep", _REMEDY)
            continue
        above.pop()
        if len(above) == 1:  # an image, or what stands beside the images
            if element.tag == "image":
                yield from filter(None, map(_said, element))
            above[0].clear()


def _said(shape: Any) -> Said | None:
    told = {one.get("name"): (one.text or "").strip() for one in shape.iterfind("attribute")}
    if not told.get("key"):
        return None
    verdict = told.get("verdict")
    return Said(
        key=told["key"],
        said=told.get("said") or None,
        verdict=None if verdict == _VERDICTS[0] else verdict,
        caption=told.get("caption") or None,
        why=told.get("why") or None,
        by="CVAT",
    )
