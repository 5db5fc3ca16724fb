"""What each reason code that is no check's means and what to do about it, for reports and documents."""

from __future__ import annotations

from typing import Literal, NamedTuple


class ReasonMeaning(NamedTuple):
    """What a code means.

    Args:
        part: where it arises: the pictures, the annotations, asking, or the release.
        example: a message as a row has it.
    """

    part: Literal["picture", "annotation", "asking", "release"]
    meaning: str
    example: str
    remedy: str


_RESTORE = "restore the file, then `capgen retry`"
_MEND = "mend the annotation file and start a new run: the file is part of what a run is"

REASONS: dict[str, ReasonMeaning] = {
    "duplicate": ReasonMeaning(
        "release",
        "the same caption, or nearly the same, was already said of another object of its category in the same image or "
        "video (in the whole release with `dedup.scope = release`)",
        "the same caption as lvis/train/7/24",
        "nothing, or `dedup.enabled=false`; the `media` config keeps the object",
    ),
    "said_too_often": ReasonMeaning(
        "release",
        "the sentence already stands for `dedup.per_sentence` objects of the category",
        "its category has this sentence as often as dedup.per_sentence allows, first at lvis/train/7/24",
        "raise `dedup.per_sentence`",
    ),
    "not_distinct": ReasonMeaning(
        "release",
        "the caption has the words of a neighbour of its category, or (`distinct.fit`) is more probable for that "
        "neighbour, also after it was asked for what differs",
        "says the same as the caption of lvis/train/7/24",
        "`distinct.keep` says where such captions go; `distinct.again` how they are asked again",
    ),
    "flagged": ReasonMeaning(
        "release",
        "a person found the caption wrong in the gallery",
        "a person found it wrong: wrong colour",
        "`capgen retry OUT --flagged` asks again",
    ),
    "judged_wrong": ReasonMeaning(
        "release",
        "a judge, or a file given with `--refused`, found the caption wrong: another answer is preferred",
        "somebody found this caption wrong",
        "nothing: it was asked again",
    ),
    "no_caption": ReasonMeaning(
        "release",
        "an imported file has no caption for the object",
        "the file has no caption for it",
        "add it to the file and import again",
    ),
    "picture_missing": ReasonMeaning(
        "picture", "no picture or video file of that name", "no file 000000000139.jpg", _RESTORE
    ),
    "picture_unreadable": ReasonMeaning(
        "picture",
        "the picture or video is damaged, or no picture",
        "000000000139.jpg is damaged and cannot be decoded",
        _RESTORE,
    ),
    "picture_too_large": ReasonMeaning(
        "picture",
        "the picture claims more pixels, bytes or frames than are decoded",
        "a.png claims more than 268435456 pixels",
        _RESTORE,
    ),
    "picture_size": ReasonMeaning(
        "picture",
        "the picture has another size than the annotations say, so masks would not fit",
        "a.jpg is 640x427, the annotations say 640x480",
        "give the folder of the original pictures with `--root`",
    ),
    "bad_path": ReasonMeaning(
        "picture",
        "the file's name leads out of the dataset's folder",
        "'../../etc/passwd' is not a name under the root folder",
        "mend the name; links out of the folder need `--follow-links`",
    ),
    "bad_frames": ReasonMeaning(
        "picture",
        "it is not clear which frames of a video are meant",
        "the names of its frames do not say which frames of the video file they are",
        "give frames as pictures, or `frame_numbers` in the annotation file",
    ),
    "mask_missing": ReasonMeaning(
        "picture", "no mask file of that name", "no file Annotations/bear/00000.png", _RESTORE
    ),
    "mask_unreadable": ReasonMeaning(
        "picture",
        "the mask file is damaged, or of a kind that keeps no labels",
        "its mask cannot be read: it is a JPEG",
        _RESTORE,
    ),
    "mask_size": ReasonMeaning(
        "picture",
        "the mask has another size than its picture",
        "its mask cannot be read: 00000.png is 854x480, its picture 1920x1080",
        _RESTORE,
    ),
    "mask_too_large": ReasonMeaning(
        "picture",
        "the mask file claims more pixels than are decoded",
        "m.png claims more than 268435456 pixels",
        _RESTORE,
    ),
    "empty_mask": ReasonMeaning(
        "annotation",
        "the mask has no pixel on any frame",
        "the object is visible on no frame",
        "nothing: there is nothing to show",
    ),
    "bad_mask": ReasonMeaning(
        "annotation",
        "polygon or run lengths cannot be a mask of that size",
        "the segmentation has no polygon of three points or more",
        _MEND,
    ),
    "not_shown": ReasonMeaning(
        "annotation",
        "a request was about several objects of a video, and this one is on none of the frames that it shows",
        "the object is on none of the frames that its request shows",
        "more frames (`prompt.marked_frames`), or a prompt about one object",
    ),
    "no_mask": ReasonMeaning(
        "annotation",
        "the object has a box only, and the prompt's highlight needs a mask",
        "the object has a box and no mask, which contour needs",
        "a prompt with `crop` and `box` alone",
    ),
    "bad_size": ReasonMeaning(
        "annotation",
        "width or height of the image or video is no size",
        "its size is 0 x -1, which no picture has",
        _MEND,
    ),
    "bad_id": ReasonMeaning(
        "annotation",
        "the annotation's id cannot be part of a key",
        "the annotation's id 'a/b' cannot be part of a key",
        _MEND,
    ),
    "duplicate_id": ReasonMeaning(
        "annotation",
        "the id stands more than once in its image or video",
        "the annotation id 7 stands more than once in its image or video",
        _MEND,
    ),
    "duplicate_media": ReasonMeaning(
        "annotation",
        "the file describes an image or video twice, and differently",
        "the file describes image 139 twice and differently",
        _MEND,
    ),
    "unknown_media": ReasonMeaning(
        "annotation",
        "the annotation is of an image or video that the file does not list",
        "the annotation is of image 9, which the file does not list",
        _MEND,
    ),
    "unknown_category": ReasonMeaning(
        "annotation",
        "the category's id is not among the file's categories",
        "category 1204 is not among the file's categories",
        _MEND,
    ),
    "bad_annotation": ReasonMeaning(
        "annotation",
        "the entry is no annotation at all, or its file cannot be read",
        "sa_1.json cannot be read: it is cut off",
        _MEND,
    ),
    "engine_failed": ReasonMeaning(
        "asking",
        "every attempt ended in an error that may pass: a time-out, a lost connection, an overloaded server",
        "vLLM ended the request without an answer",
        "see that the server is up, then `capgen retry OUT`",
    ),
    "request_refused": ReasonMeaning(
        "asking",
        "the engine will never take this request: too many tokens or pictures, a parameter that it does not know",
        "transformers: 5000 tokens of prompt and 96 of answer are more than the model's maximum of 4096",
        "smaller pictures (`render.clean_pixels`), a larger `max_model_len`, or `engine.options.omit`",
    ),
    "not_in_answer": ReasonMeaning(
        "asking",
        "a request was about several numbered objects, and the answer has no caption for this one's number",
        'the answer about 12 objects has no caption for number 7: {"1": "A red cup.", ...',
        "`capgen retry`, or a prompt about one object (`prompt.name=shared-crop_v1`)",
    ),
    "engine_killed": ReasonMeaning(
        "asking",
        "this request ended an engine, alone, as often as `run.attempts` allows",
        "the engine died of this request 4 times, 3 of them with no other in flight",
        "look at `OUT/logs/`; a newer vLLM, or smaller pictures",
    ),
    "engine_stalled": ReasonMeaning(
        "asking",
        "this request made an engine hang, alone, as often as `run.attempts` allows",
        "the engine did not answer this request 4 times, 3 of them with no other in flight",
        "as for `engine_killed`",
    ),
}
"""By code, all that are no check's."""

LEFT_OUT: dict[str, str] = {
    "crowd": "a region of many objects (`iscrowd`); `source.crowds=keep` captions it",
    "stuff": "a segment of a category that is no thing; `source.stuff=keep` captions it",
    "small": "fewer pixels than `source.min_area` on every frame",
    "score": "a predicted track with a lower score than `source.min_score`",
    "predicted_iou": "SA-1B: lower than `source.min_predicted_iou`",
    "stability": "SA-1B: lower than `source.min_stability`",
    "overlap": "SA-1B: a larger share than `source.max_overlap` lies in a larger mask",
}
"""By code, annotations that are no objects of a run."""
