"""What an annotation tool's file says of an object, and the review that it makes."""

from __future__ import annotations

from dataclasses import dataclass

from capgen.pipeline.releasing.reviews import Review, review


@dataclass(frozen=True, slots=True)
class Said:
    """One person's entries at one object.

    Args:
        said: the caption that the tool was given.
        caption: the caption that stands there now.
        by: the tool, and the person where it names one.
    """

    key: str
    said: str | None
    verdict: str | None
    caption: str | None
    why: str | None
    by: str

    def review(self) -> Review | None:
        """The judgement; None where the person changed nothing and chose nothing.

        Raises:
            UserError: the entries are no judgement.
        """
        now, before = (" ".join((text or "").split()) for text in (self.caption, self.said))
        if now and now != before:
            return review(self.key, "edit", self.by, why=self.why, caption=now, said=self.said)
        return review(self.key, self.verdict, self.by, why=self.why, said=self.said) if self.verdict else None
