"""A time limit for chat templates: a model folder brings its own, and a template may loop for ever.

Jinja's sandbox keeps a template from files and code, but not from the clock. A template is rendered in a thread of this
process, so it is ended by an exception that is raised in that thread. This works for everything that Jinja does in
Python. The operator that can compute for ever inside a single step of the interpreter, ``**``, is refused beforehand.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, wraps
from itertools import pairwise
from typing import Any

from capgen.errors import UserError

LIMIT_S = 10.0
"""Seconds that a template has for one request. Real ones take a millisecond."""

_AFTER_OVERRUN_S = 1.0
"""Seconds for the requests that follow one that took too long, until one is rendered in time."""

_LOOK_S = 0.1
_REMEDY = "use a model whose chat template you trust"


class _Overrun(Exception):
    """Raised in the thread that renders."""


class _Watch:
    """Follows the threads that render; one thread of its own raises ``_Overrun`` in those that take too long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._deadlines: dict[int, float] = {}
        self._thread: threading.Thread | None = None

    @contextmanager
    def limit(self, seconds: float) -> Iterator[None]:
        """Raise ``_Overrun`` in this thread if the block lasts longer."""
        me = threading.get_ident()
        with self._lock:
            self._deadlines[me] = time.monotonic() + seconds
            if self._thread is None or not self._thread.is_alive():
                self._thread = threading.Thread(target=self._follow, name="chat templates", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                if self._deadlines.pop(me, None) is None:  # sent, but perhaps not raised yet: take it back
                    _raise_in(me, None)

    def _follow(self) -> None:
        while True:
            time.sleep(_LOOK_S)
            now = time.monotonic()
            with self._lock:
                for thread in [thread for thread, end in self._deadlines.items() if end < now]:
                    del self._deadlines[thread]
                    _raise_in(thread, _Overrun)


_WATCH = _Watch()


def limited(render: Callable[..., Any], model: str, seconds: float = LIMIT_S) -> Callable[..., Any]:
    """``apply_chat_template`` of a tokenizer or a processor with a time limit for each call.

    Args:
        render: the bound method; its signature is kept, because vLLM looks at it.
        model: what errors call the model.
        seconds: of one call.

    Raises:
        UserError: from the function returned, where a call took longer.
    """
    allowed = seconds

    @wraps(render)
    def rendered(*args: Any, **options: Any) -> Any:
        nonlocal allowed
        template = options.get("chat_template")
        if isinstance(template, str):
            refuse_endless_operators(template, model)
        within = allowed
        try:
            with _WATCH.limit(within):
                text = render(*args, **options)
        except _Overrun:
            allowed = min(seconds, _AFTER_OVERRUN_S)
            what = f"the chat template of model {model!r} was not done after {within:g} s"
            raise UserError(what, _REMEDY) from None
        allowed = seconds
        return text

    return rendered


def check_templates(templates: str | Mapping[str, str] | None, model: str) -> None:
    """Refuse the templates of a tokenizer or a processor that could not be ended.

    Raises:
        UserError: one uses ``**``.
    """
    for template in templates.values() if isinstance(templates, Mapping) else [templates or ""]:
        refuse_endless_operators(template, model)


@lru_cache(maxsize=16)
def refuse_endless_operators(template: str, model: str) -> None:
    """Refuse a template that uses ``**``: one number may take hours, and no other thread runs meanwhile.

    Raises:
        UserError: it does.
    """
    from jinja2 import Environment, TemplateSyntaxError

    try:
        tokens = [token[1:] for token in Environment().lex(template) if token[1] != "whitespace"]
    except TemplateSyntaxError:
        return  # whoever renders it says what is wrong with it
    begins = {("operator", "("), ("operator", ",")}  # before the ** of f(**arguments), which computes nothing
    if any(token == ("operator", "**") and before not in begins for before, token in pairwise(tokens)):
        raise UserError(f"the chat template of model {model!r} uses the operator **", _REMEDY)


def _raise_in(thread: int, error: type[Exception] | None) -> None:
    """Raise an exception in another thread at its next step; None takes back one that was not raised yet."""
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(error) if error else None)
