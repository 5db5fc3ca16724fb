"""Requests as one HTML page that needs nothing else: what all share once, then each object's pictures and texts.

Pictures are inside the page, every text from data is escaped, and no script runs.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import cv2

from capgen.dataset.files import whole_file
from capgen.dataset.types import Fault, MediaObject
from capgen.display import html, html_head
from capgen.pipeline.pages.answers import PreviewAnswer
from capgen.pipeline.view import Picture, TokenCounter, View

_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 95, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
html { background: Canvas; color: CanvasText; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
article, section { border: 1px solid #8886; border-radius: .5rem; margin: 1.5rem 0; padding: 0 1rem 1rem; }
section { background: #8881; }
h2 { font-size: 1rem; }
.part { margin: .75rem 0; }
.part > small, summary, figcaption, .note { opacity: .75; }
p, pre { white-space: pre-wrap; margin: .25rem 0; font-size: inherit; }
pre { font: .85rem/1.4 ui-monospace, monospace; }
.frames { display: flex; gap: .75rem; margin: .75rem 0; overflow-x: auto; }
.frames > figure { margin: 0; flex: 0 1 auto; min-width: 9rem; }
figcaption { font-size: .8rem; }
img { display: block; max-width: 100%; height: auto; }
body:has(#actual:checked) .frames > figure { flex-shrink: 0; }
body:has(#actual:checked) img { max-width: none; }
.answer { border-left: 4px solid #2a7; padding-left: .75rem; }
.dropped { border-left-color: #c33; }
"""
_ACTUAL = '<p class=note><label><input type="checkbox" id="actual"> pictures in their actual size</label></p>\n'


@dataclass(frozen=True, slots=True)
class PreviewItem:
    """An object on the page.

    Args:
        shown: its request, or why there is none.
        labels: what each picture of the request is; none says nothing.
        answer: what the engine said; None where nothing was asked.
    """

    obj: MediaObject
    shown: View | Fault
    labels: Sequence[str] = ()
    answer: PreviewAnswer | None = None


def write_preview(items: Iterable[PreviewItem], file: Path, title: str, counter: TokenCounter | None = None) -> int:
    """Write the requests of some objects, part by part in the order the model gets them; how many they were.

    Args:
        counter: says how many tokens each part has; None says nothing of tokens.

    Raises:
        OSError: ``file`` cannot be written.
    """
    with whole_file(file) as part, part.open("w", encoding="utf-8", errors="replace") as page:
        page.write(f"{html_head(title, style=_STYLE)}<main><h1>{html(title)}</h1>\n{_ACTUAL}")
        writer = _Page(counter)
        for item in items:
            page.write(writer.article(item))
        page.write(f"<p>{writer.count} objects{writer.together}</p>\n</main></body></html>\n")
    return writer.count


class _Page:
    """The articles, and what was said before them once."""

    def __init__(self, counter: TokenCounter | None) -> None:
        self.count = 0
        self._counter = counter
        self._shared: View | None = None
        self._before: View | None = None
        self._grouped = False

    @property
    def together(self) -> str:
        """How many requests the objects are."""
        return ", several in one request." if self._grouped else ", each as one request."

    def article(self, item: PreviewItem) -> str:
        """An object; before the first request also what all of them share."""
        self.count += 1
        head = f"<article>{_heading(item.obj)}"
        if isinstance(item.shown, Fault):
            fault = item.shown
            return f"{head}<p>not asked: {html(fault.reason)}, {html(fault.message)}</p></article>\n"
        view = item.shown
        shared = "" if self._shared else self._said_once(view)
        self._shared = self._shared or view
        numbered = view.numbered
        if numbered is not None and self._before is not None and self._before.parts is view.parts:
            self._grouped = True
            body = f"<p class=note>The same request as above; this object has the number {numbered.number}.</p>"
        else:
            body = self._request(view, item.labels)
        self._before = view
        frames = ", ".join(str(i + 1) for i in view.marked_frames)
        marked = f"<p class=note>marked on frame {frames}</p>" if frames and not item.labels else ""
        return f"{shared}{head}{body}{marked}{_answer(item.answer) if item.answer else ''}</article>\n"

    def _said_once(self, view: View) -> str:
        """System text, examples and the fixed text before the pictures, with their tokens."""
        texts = [("system text", html(view.system))] if view.system else []
        texts += [("example", f"{html(one.user)}\n→ {html(one.assistant)}") for one in view.examples]
        fixed = view.parts[: _fixed(view)]
        texts += [("text before the pictures", html(str(part))) for part in fixed]
        note = self._how(view)
        blocks = "".join(f"<div class=part><small>{name}</small><p>{text}</p></div>\n" for name, text in texts)
        tokens = f", {self._counter.beginning(view, len(fixed)):,} tokens" if self._counter else ""
        return f"<section><h2>Shared by all requests{tokens}</h2>\n{blocks}{note}</section>\n"

    def _how(self, view: View) -> str:
        """How tokens are counted, and why the chat template's text is not shown where it is not."""
        if self._counter is None:
            return ""
        said = "Tokens are counted by the model's own processor."
        if self._counter.text(view) is None:
            said = f"The chat template's text is not shown, and tokens are estimated: {self._counter.how}."
        return f"<p class=note>{html(said)}</p>\n"

    def _request(self, view: View, labels: Sequence[str]) -> str:
        """The parts of a request that not all have alike, pictures that follow each other side by side."""
        start = _fixed(view) if self._shared is not None and _same_beginning(self._shared, view) else 0
        ends = [self._counter.beginning(view, n) for n in range(len(view.parts) + 1)] if self._counter else []
        names = iter(labels if len(labels) == len(view.pictures) else [""] * len(view.pictures))
        blocks = []
        numbered = list(enumerate(view.parts))[start:]
        for pictures, group in groupby(numbered, lambda one: isinstance(one[1], Picture)):
            shown = []
            for index, part in group:
                tokens = f"{ends[index + 1] - ends[index]:,} tokens" if ends else ""
                if isinstance(part, Picture):
                    shown.append(_figure(part, next(names), tokens))
                else:
                    small = " · ".join(filter(None, ("text", tokens)))
                    shown.append(f"<div class=part><small>{small}</small><p>{html(part)}</p></div>\n")
            blocks.append(f"<div class=frames>{''.join(shown)}</div>\n" if pictures else "".join(shown))
        return "".join(blocks) + self._as_the_template_writes_it(view)

    def _as_the_template_writes_it(self, view: View) -> str:
        if self._counter is None:
            return ""
        whole, text = f"{self._counter.prompt(view):,} tokens in all", self._counter.text(view)
        if text is None:
            return f"<p class=note>{whole}</p>\n"
        return f"<details><summary>{whole}; as the chat template writes it</summary><pre>{html(text)}</pre></details>\n"


def _fixed(view: View) -> int:
    """How many of the first parts are text that stands before every picture."""
    return int(len(view.parts) > 1 and isinstance(view.parts[0], str))


def _same_beginning(one: View, other: View) -> bool:
    return (one.system, one.examples, one.parts[:1]) == (other.system, other.examples, other.parts[:1])


def _heading(obj: MediaObject) -> str:
    category = f" · {html(obj.category)}" if obj.category else ""
    return f"<h2>{html(obj.key)}{category}</h2>\n"


def _figure(picture: Picture, label: str, tokens: str) -> str:
    """Nearly without loss, and colours at full resolution, so that a line of one pixel is as the model sees it."""
    height, width = picture.pixels.shape[:2]
    _, data = cv2.imencode(".jpg", cv2.cvtColor(picture.pixels, cv2.COLOR_RGB2BGR), _JPEG)
    source = "data:image/jpeg;base64," + b64encode(data.tobytes()).decode("ascii")
    caption = " · ".join(filter(None, (html(label), f"{width} x {height}", tokens)))
    image = f'<img src="{source}" width="{width}" height="{height}" alt="{html(label)}">'
    return f"<figure>{image}<figcaption>{caption}</figcaption></figure>"


def _answer(answer: PreviewAnswer) -> str:
    """What the engine said, and what the checks say of it."""
    settled = answer.settled
    if settled.fault is not None:
        return f"<p class='answer dropped'>no answer: {html(settled.fault)}, {html(settled.message or '')}</p>"
    verdict = "; ".join(f"{html(code)}: {html(said)}" for code, said in answer.findings)
    advice = "; ".join(f"{html(code)}: {html(said)}" for code, said in answer.advice)
    told = [f"dropped ({verdict})" if verdict else "kept", f"advised against ({advice})" if advice else ""]
    told += [f"finish reason {html(settled.finish_reason)}"]
    told += [f"{settled.prompt_tokens:,} prompt tokens, {settled.cached_tokens:,} of them cached"]
    told += [f"{settled.output_tokens:,} tokens in the answer"]
    kind = "answer dropped" if verdict else "answer"
    return f"<p class='{kind}'>{html(settled.text)}</p><p class=note>{'; '.join(filter(None, told))}</p>"
