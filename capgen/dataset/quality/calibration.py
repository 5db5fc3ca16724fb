"""``OUT/calibration.json``: from which score on captions are right as often as wanted, and the curve."""

from __future__ import annotations

from pathlib import Path

import msgspec

from capgen.dataset.layout import RunLayout
from capgen.errors import LedgerError


class CurvePoint(msgspec.Struct, frozen=True):
    """What is kept from a threshold on: how many, which share, how much of it is right, with Wilson's 95 % interval."""

    threshold: float
    kept: int
    kept_share: float
    precision: float
    low: float
    high: float


class Calibration(msgspec.Struct, frozen=True, kw_only=True):
    """``OUT/calibration.json``.

    Args:
        score: the name of the score.
        truth: where it is known from what is right.
        model: what the rows say wrote the captions.
        captions, right: that have a score and a label; ``without_score``: that have a label alone.
        wanted: the precision that was asked for; ``chosen`` is the point that reaches it and keeps most, None where
            none does.
        held_out: kept share and precision on the half of the media on which its threshold was not chosen, the mean over
            both halves; None where no threshold reaches the precision on one of them.
        auroc: the probability that a right caption has a higher score than a wrong one, ties counted half; None where
            all are right or all are wrong.
    """

    version: int = 1
    score: str
    truth: str
    model: str | None
    captions: int
    right: int
    without_score: int
    wanted: float
    chosen: CurvePoint | None
    held_out: tuple[float, float] | None
    auroc: float | None
    curve: tuple[CurvePoint, ...]


def read_calibration(out: Path) -> Calibration | None:
    """The calibration of OUT; None where there is none.

    Raises:
        LedgerError: the file is damaged.
    """
    path = RunLayout(out).calibration
    try:
        return msgspec.json.decode(path.read_bytes(), type=Calibration)
    except FileNotFoundError:
        return None
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise LedgerError(f"{path} is no calibration ({error}); delete it, or calibrate again") from error
