"""Conversations about objects, as LLaVA, ms-swift and PixelRefer read them.

LLaVA: a JSON list of ``id``, ``image`` and ``conversations`` (github.com/haotian-liu/LLaVA, Finetune_Custom_Data.md).
ms-swift: JSON Lines of ``messages``, ``images`` and ``objects`` (ms-swift 4, Custom-dataset.md, "Grounding").
PixelRefer: LLaVA's list with ``<region>`` in questions and ``masks`` in the same order (its README, "Training").

Captions and categories are somebody else's text: a token of the form in them would be taken for a picture or a region,
so it is broken up by a blank, and counted.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Any

import msgspec

from capgen.dataset.row import ReleasedMedia, ReleasedObject
from capgen.dataset.types import Kind
from capgen.errors import UserError
from capgen.exporting.base import BoxScale, ExportSplit, SplitWriter, corners
from capgen.exporting.forms.questions import Questions, load_questions
from capgen.exporting.forms.sections import pictures_of
from capgen.exporting.media import area_at, caption_of, mask_at
from capgen.exporting.pictures import SplitPictures, copied_name
from capgen.videos.frames import split_frame_name

_TOKEN = re.compile(r"<(?=(?:image|video|audio|region|bbox|ref-object)>|\|[^|<>]*\|>)|\0")
_REGION = "\0"  # stands for {region} until the form says what it is there; no text from data keeps one
_Asked = tuple[ReleasedObject, str, str]


@dataclass(slots=True)
class Conversation:
    """A conversation in the making.

    Args:
        name: its id.
        frames: the frames that are shown, by index.
        asked: objects with their questions and answers, in which ``_REGION`` stands for the object.
    """

    name: str
    media: ReleasedMedia
    frames: tuple[int, ...]
    asked: list[_Asked] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class ConversationForm(ABC):
    """What the three forms share.

    Args:
        questions: a shipped template (``caption``, ``several``), or a TOML file.
        boxes: the scale of boxes, which are x1, y1, x2, y2.
        frames: so many frames of a video at most are shown.
    """

    questions: str = "caption"
    boxes: BoxScale = "pixels"
    frames: int = 4

    def __post_init__(self) -> None:
        if self.frames < 1:
            raise UserError(f"--frames {self.frames} shows nothing", "give 1 or more")

    def pictures_in(self, kind: Kind) -> str:  # noqa: ARG002 - the same for both
        """Below a folder of the split."""
        return "images/{split}"

    def described(self) -> dict[str, Any]:
        """The options with the template's text: what decides the bytes."""
        return asdict(self) | {"questions": load_questions(self.questions).model_dump(mode="json")}

    def writer(self, split: ExportSplit) -> SplitWriter:
        """A writer of a split."""
        pictures = pictures_of(split, self.pictures_in(split.kind))
        prefix = f"images/{split.name}/" if split.mode != "reference" else ""
        return _Writer(self, split, load_questions(self.questions), pictures, prefix)

    @property
    def lines(self) -> bool:
        """Whether the file is JSON Lines; else a JSON list."""
        return False

    def shown(self, media: ReleasedMedia, one: ReleasedObject | None) -> tuple[int, ...]:
        """The frames that a conversation about an object shows, or one about the whole medium."""
        frames = range(len(media.file_names)) if one is None else one.frame_index
        count = min(self.frames, len(frames))
        return tuple(frames[i * len(frames) // count] for i in range(count))

    def fits(self, media: ReleasedMedia, one: ReleasedObject, frames: Sequence[int]) -> bool:  # noqa: ARG002
        """Whether the form can point at an object on the frames that are shown."""
        return any(frame in frames for frame in one.frame_index)

    def box(self, conversation: Conversation, one: ReleasedObject) -> str:
        """The boxes of an object on the frames that are shown, in numbers."""
        found = [self.numbers(box) for _, box in self.boxes_of(conversation, one)]
        return self.listed(conversation, one, found)

    def boxes_of(
        self, conversation: Conversation, one: ReleasedObject
    ) -> Iterator[tuple[int, tuple[float, float, float, float]]]:
        """The number of each shown frame that an object is on, from 0, with its box x1, y1, x2, y2 in the scale."""
        media = conversation.media
        for number, frame in enumerate(conversation.frames):
            if frame in one.frame_index:
                box = one.bbox[one.frame_index.index(frame)]
                yield number, corners(box, media.width, media.height, self.boxes)

    def numbers(self, box: Sequence[float]) -> str:
        """A box as text: ``[12, 30, 80, 92]``, of at most three decimals."""
        return f"[{', '.join(f'{round(value, 3):g}' for value in box)}]"

    def listed(self, conversation: Conversation, one: ReleasedObject, texts: Sequence[str]) -> str:
        """One text alone, or ``frame 1: A, frame 3: B`` where several frames are shown."""
        if len(conversation.frames) == 1:
            return texts[0]
        numbers = [number for number, _ in self.boxes_of(conversation, one)]
        return ", ".join(f"frame {number + 1}: {text}" for number, text in zip(numbers, texts, strict=True))

    @abstractmethod
    def sample(self, conversation: Conversation, names: Sequence[str]) -> dict[str, Any]:
        """The row of a conversation; ``names`` are the files of the medium's frames."""


def _turns(
    human: str, conversation: Conversation, region: Any, *, keys: tuple[str, str], roles: tuple[str, str]
) -> Any:
    """The turns with what points at objects filled in; the tokens of the pictures stand before the first question."""
    turns: list[dict[str, str]] = []
    for number, (one, question, answer) in enumerate(conversation.asked):
        texts = (f"{human}{question}" if number == 0 else question, answer)
        for role, text in zip(roles, texts, strict=True):
            filled = re.sub(_REGION, lambda _, one=one: region(one), text)  # type: ignore[misc]
            turns.append({keys[0]: role, keys[1]: filled})
    return turns


@dataclass(frozen=True, slots=True)
class Llava(ConversationForm):
    """``{split}.json``; ``image`` is one name, or a list where several frames are shown."""

    def sample(self, conversation: Conversation, names: Sequence[str]) -> dict[str, Any]:
        """``id``, ``image``, ``conversations``."""
        shown = [names[frame] for frame in conversation.frames]

        def region(one: ReleasedObject) -> str:
            return self.box(conversation, one)

        turns = _turns("<image>\n" * len(shown), conversation, region, keys=("from", "value"), roles=("human", "gpt"))
        image: Any = shown[0] if len(shown) == 1 else shown
        return {"id": conversation.name, "image": image, "conversations": turns}


@dataclass(frozen=True, slots=True)
class MsSwift(ConversationForm):
    """``{split}.jsonl``; pixels and 0 to 1 are ms-swift's ``real`` and ``norm1``, which it rescales for each model.

    From 0 to 1000 it knows no such type: boxes then stand in the text as they are, in a model's own form.
    """

    @property
    def lines(self) -> bool:
        """JSON Lines."""
        return True

    def sample(self, conversation: Conversation, names: Sequence[str]) -> dict[str, Any]:
        """``messages``, ``images`` and ``objects``."""
        boxes: list[list[float]] = []
        places: list[int] = []

        def region(one: ReleasedObject) -> str:
            if self.boxes == "thousand":
                return self.box(conversation, one)
            found = list(self.boxes_of(conversation, one))
            places.extend(number for number, _ in found)
            boxes.extend(list(box) for _, box in found)
            return self.listed(conversation, one, ["<bbox>"] * len(found))

        shown = [names[frame] for frame in conversation.frames]
        turns = _turns(
            "<image>" * len(shown), conversation, region, keys=("role", "content"), roles=("user", "assistant")
        )
        row: dict[str, Any] = {"messages": turns, "images": shown}
        if self.boxes == "thousand":
            return row
        kind = "real" if self.boxes == "pixels" else "norm1"
        return row | {"objects": {"ref": [], "bbox": boxes, "bbox_type": kind, "image_id": places}}


@dataclass(frozen=True, slots=True)
class PixelRefer(ConversationForm):
    """``{split}.json``; a mask for each ``<region>``: of a video the one on the frame where the object is largest.

    ``video`` is the folder of its frames, in which PixelRefer numbers the sorted files; one whose frames are not sorted
    in one folder of their own is left out.
    """

    def shown(self, media: ReleasedMedia, one: ReleasedObject | None) -> tuple[int, ...]:
        """All frames: a video is given by its folder."""
        del one
        return tuple(range(len(media.file_names)))

    def fits(self, media: ReleasedMedia, one: ReleasedObject, frames: Sequence[int]) -> bool:
        """Whether the object has a mask, and the video a folder."""
        del frames
        return _largest(one) is not None and (media.kind == "image" or _folder(media) is not None)

    def sample(self, conversation: Conversation, names: Sequence[str]) -> dict[str, Any]:
        """``image`` or ``video``, ``conversations``, ``masks``, ``width``, ``height``."""
        media = conversation.media
        masks: list[Any] = []
        numbers = _numbers(media, names)

        def region(one: ReleasedObject) -> str:
            position = _largest(one)
            assert position is not None  # `fits` has left such objects out
            mask = mask_at(one, position)
            masks.append(mask if media.kind == "image" else {str(numbers[one.frame_index[position]]): mask})
            return "<region>"

        still = media.kind == "image"
        token = "<image>\n" if still else "<video>\n"
        turns = _turns(token, conversation, region, keys=("from", "value"), roles=("human", "gpt"))
        place = {"image": names[0]} if still else {"video": [_video(names)]}
        size = {"width": media.width, "height": media.height}
        return {"id": conversation.name, **place, "conversations": turns, "masks": masks, **size}


def _largest(one: ReleasedObject) -> int | None:
    """The position of the object's largest mask; None where it has none."""
    areas = [(area_at(one, i) or 0.0, -i) for i in range(len(one.frame_index)) if mask_at(one, i)]
    return -max(areas)[1] if areas else None


def _folder(media: ReleasedMedia) -> PurePosixPath | None:
    """The folder of a video's frames, or its file; None where frames are not sorted or have no folder of their own."""
    folders = {PurePosixPath(copied_name(name)).parent for name in media.file_names}
    names = [copied_name(name) for name in media.file_names]
    in_order = all(a < b for a, b in pairwise(names))
    return folders.pop() if len(folders) == 1 and in_order and PurePosixPath() not in folders else None


def _video(names: Sequence[str]) -> str:
    """What PixelRefer opens: the folder of the frames, or the video file that they lie in."""
    file, number = split_frame_name(names[0])
    return file if number is not None else PurePosixPath(names[0]).parent.as_posix()


def _numbers(media: ReleasedMedia, names: Sequence[str]) -> list[int]:
    """The number by which PixelRefer finds each frame: its place in the folder, or in the video file."""
    found = [split_frame_name(name)[1] for name in names]
    return [index if number is None else number for index, number in enumerate(found[: len(media.file_names)])]


@dataclass(slots=True)
class _Writer:
    form: ConversationForm
    split: ExportSplit
    questions: Questions
    pictures: SplitPictures | None
    prefix: str

    @property
    def _piece(self) -> str:
        return f"grown/{self.split.name}.jsonl" if self.form.lines else f"pieces/{self.split.name}.list"

    def skip(self, media: ReleasedMedia) -> None:
        del media

    def add(self, media: ReleasedMedia) -> None:
        names = list(media.file_names)
        if self.split.mode != "reference":
            names = [self.prefix + copied_name(name) for name in names]
        for conversation in self._conversations(media):
            line = msgspec.json.encode(self.form.sample(conversation, names))
            self.split.folder.counts["conversations"] += 1
            if self.form.lines:
                self.split.folder.append(self._piece, line + b"\n")
            else:
                start = b",\n" if self.split.folder.size(self._piece) else b"\n"
                self.split.folder.append(self._piece, start + line)
        if self.pictures:
            self.pictures.add(media)

    def finish(self) -> Sequence[str]:
        tars = self.pictures.finish() if self.pictures else ()
        if self.form.lines:
            self.split.folder.append(self._piece, b"")
            return [self._piece, *tars]
        self.split.folder.assemble(f"{self.split.name}.json", [b"[", self._piece, b"\n]\n"])
        return tars

    def _conversations(self, media: ReleasedMedia) -> Iterator[Conversation]:
        if self.questions.conversation == "object":
            for one in media.objects:
                if one.frame_index:
                    talk = Conversation(media.key_of(one.object_id), media, self.form.shown(media, one))
                    if self._ask(talk, one):
                        yield talk
                elif caption_of(one):
                    self.split.folder.counts["left_out"] += 1
            return
        frames = self.form.shown(media, None) if media.file_names else ()
        talk, objects, number = Conversation(media.name, media, frames), 0, 0
        for one in media.objects:
            objects += self._ask(talk, one)
            if objects and objects == self.questions.max_objects:
                yield talk
                number += 1
                talk, objects = Conversation(f"{media.name}#{number}", media, frames), 0
        if objects:
            yield talk

    def _ask(self, talk: Conversation, one: ReleasedObject) -> bool:
        """Ask of an object what the template asks; whether anything was."""
        known = {
            "region": _REGION,
            "category": self._defused(one.category.replace("_", " ")) if one.category else None,
            "caption": self._defused(caption.strip()) if (caption := caption_of(one)) else None,
        }
        fits = bool(one.frame_index) and self.form.fits(talk.media, one, talk.frames)

        def value(name: str) -> str | None:
            return self.form.box(talk, one) if name == "box" else known[name]

        asked = self.questions.ask(talk.media.key_of(one.object_id), value) if fits else []
        if not fits and known["caption"]:
            self.split.folder.counts["left_out"] += 1
        talk.asked += [(one, question, answer) for question, answer in asked]
        return bool(asked)

    def _defused(self, text: str) -> str:
        """The text with no token of the form in it."""
        found = _TOKEN.sub(lambda match: "< " if match[0] == "<" else " ", text)
        self.split.folder.counts["defused"] += found != text
        return found
