"""Whether a caption is one plain sentence: then questions about signs, numbers and a second sentence are settled."""

from __future__ import annotations

import string
from functools import lru_cache

_LETTERS = (string.ascii_letters + " ,'-").encode()


# Several checks of one caption ask for it, one after the other.
@lru_cache(maxsize=4)
def is_plain_sentence(caption: str) -> bool:
    """Whether it has nothing but ASCII letters, blanks, commas, apostrophes, hyphens and a full stop at its end."""
    return caption.isascii() and caption[-1:] == "." and caption.encode().translate(None, _LETTERS) == b"."
