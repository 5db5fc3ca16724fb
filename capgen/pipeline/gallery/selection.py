"""Which objects of a run a page shows: what stands in its address, as a type and as SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args
from urllib.parse import parse_qs, urlencode

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from capgen.dataset.row import Status
from capgen.display import plain
from capgen.errors import UserError, did_you_mean

Sort = Literal["plan", "category", "shortest", "longest", "unsure", "worst", "best", "random"]
STATUSES: tuple[str, ...] = get_args(Status)
_ORDERS: Mapping[str, str] = {
    "plan": "shard, pos",
    "category": "category NULLS LAST, shard, pos",
    "shortest": "words, shard, pos",
    "longest": "words DESC, shard, pos",
    "unsure": "confidence NULLS LAST, shard, pos",
    "worst": "score NULLS LAST, shard, pos",
    "best": "score DESC NULLS LAST, shard, pos",
    "random": "md5(key || '/' || $seed), shard, pos",
}
_LONGEST = 500
_Blank = BeforeValidator(lambda value: None if value == "" else value)
_Text = Annotated[str | None, Field(max_length=_LONGEST), _Blank]
_Count = Annotated[int | None, Field(ge=0, le=10**6), _Blank]
_Number = Annotated[float | None, Field(allow_inf_nan=False), _Blank]
_Review = Annotated[Literal["good", "bad", "edit", "outdated", "any", "none"] | None, _Blank]

Condition = tuple[str, Mapping[str, Any]]
"""An SQL expression, and the values of its ``$`` names."""


class Selection(BaseModel):
    """Filters, an order and a page of a run's objects.

    Args:
        status: statuses to show; none shows all.
        reason: a code that is among the object's reasons.
        q: words that the caption, category or key all contain, whatever their case.
        min_words, max_words: length of the caption.
        min_confidence, max_confidence: log-probability of the caption's least certain word.
        judge: verdict of ``capgen judge``, such as ``right`` or ``wrong``; ``stale`` is one on a caption that has
            changed since, ``none`` is not judged.
        min_score, max_score: of ``capgen judge``.
        review: what people said: ``good``, ``bad`` or ``edit``, ``outdated`` where the caption has changed since;
            ``any`` is one of these, ``none`` is nothing.
        differs: only objects whose caption in the other run, beside which this one is shown, is another.
        sort: ``unsure`` is the least certain first, ``worst`` and ``best`` are by the judge's score.
        seed: of the order ``random``.
        page: from 1.
        size: objects on a page.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: tuple[Status, ...] = ()
    split: _Text = None
    category: _Text = None
    reason: _Text = None
    model: _Text = None
    q: _Text = None
    min_words: _Count = None
    max_words: _Count = None
    min_confidence: _Number = None
    max_confidence: _Number = None
    judge: _Text = None
    min_score: _Number = None
    max_score: _Number = None
    review: _Review = None
    differs: bool = False
    sort: Sort = "plan"
    seed: Annotated[int, Field(ge=0, lt=2**53)] = 0
    page: Annotated[int, Field(ge=1, le=10**7)] = 1
    size: Annotated[int, Field(ge=1, le=200)] = 50

    @classmethod
    def of_query(cls, query: str) -> Selection:
        """The selection of an address, from what stands behind its question mark.

        Raises:
            UserError: it names something that is no filter, or a value that does not fit.
        """
        found: dict[str, Any] = {}
        for name, values in parse_qs(query, keep_blank_values=True, errors="replace").items():
            found[name] = tuple(values) if name == "status" else values[-1]
        try:
            return cls.model_validate(found)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            name = str(first["loc"][0])
            if name not in cls.model_fields:
                known = ", ".join(cls.model_fields)
                raise UserError(
                    f"no filter is called {plain(name)!r}{did_you_mean(name, cls.model_fields)}", f"known: {known}"
                ) from None
            raise UserError(f"the filter {name}={plain(str(found[name]))}: {first['msg']}", "correct it") from None

    def query(self, **changes: Any) -> str:
        """The address of this selection with some changes: only what is not the default stands in it."""
        values = self.model_copy(update=changes).model_dump(exclude_defaults=True)
        return urlencode(values, doseq=True)

    def conditions(self, *, leave_out: str = "") -> Condition:
        """The filters as one SQL condition over ``objects``, with its values.

        Args:
            leave_out: a filter that does not count, so that its own choices can be counted.
        """
        parts: list[str] = []
        values: dict[str, Any] = {}
        for name, sql in _FILTERS.items():
            value = getattr(self, name)
            if name != leave_out and value not in (None, (), False):
                parts.append(sql)
                if f"${name}" in sql:
                    values[name] = list(value) if isinstance(value, tuple) else value
        if self.review is not None and leave_out != "review":
            parts.append(_REVIEWS.get(self.review, "verdict = $review"))
            if self.review not in _REVIEWS:
                values["review"] = self.review
        for number, word in enumerate((self.q or "").lower().split()):
            parts.append(f"contains(searched, $word{number})")
            values[f"word{number}"] = word
        return " AND ".join(parts) or "true", values

    @property
    def order(self) -> Condition:
        """The SQL order, with its values."""
        return _ORDERS[self.sort], {"seed": str(self.seed)} if self.sort == "random" else {}


_FILTERS = {
    "status": "list_contains($status, status)",
    "split": "split = $split",
    "category": "category = $category",
    "reason": "list_contains(reasons, $reason)",
    "model": "model = $model",
    "min_words": "words >= $min_words",
    "max_words": "words <= $max_words",
    "min_confidence": "confidence >= $min_confidence",
    "max_confidence": "confidence <= $max_confidence",
    "judge": "judged IS NOT DISTINCT FROM nullif($judge, 'none')",
    "min_score": "score >= $min_score",
    "max_score": "score <= $max_score",
    "differs": "other_caption IS DISTINCT FROM caption",
}
_REVIEWS = {"any": "verdict IS NOT NULL", "none": "verdict IS NULL"}
