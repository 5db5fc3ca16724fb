"""Rates, engines and cost from the records of a run's sessions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from capgen.dataset.sessions.session_record import SessionRecord
from capgen.report.figures import SpeedFigures

_STEPS = 120


def speed_figures(sessions: Sequence[SessionRecord], *, kept: int, price: float | None) -> SpeedFigures:
    """What the records say.

    Args:
        kept: released captions, which the cost is shared out over.
        price: of an hour of one GPU, in any currency.
    """
    seconds = sum(one.seconds for one in sessions)
    settled = sum(max(0, one.settled - one.before) for one in sessions)
    wanted = sum(one.engines * one.seconds for one in sessions)
    up, idle = sum(one.engine_s for one in sessions), sum(one.idle_s for one in sessions)
    gpu_hours = sum(one.gpu_hours for one in sessions)
    cost = None if price is None or not gpu_hours else price * gpu_hours
    return SpeedFigures(
        sessions=tuple(sessions),
        asked_hours=seconds / 3600,
        objects_per_s=settled / seconds if seconds else 0.0,
        rates=_rates(sessions),
        starts=tuple((np.cumsum([one.seconds for one in sessions])[:-1] / 3600).tolist()) if sessions else (),
        busy_share=max(0.0, up - idle) / wanted if wanted else None,
        idle_share=min(idle, wanted) / wanted if wanted else None,
        down_share=max(0.0, wanted - up) / wanted if wanted else None,
        lost=sum(one.lost for one in sessions),
        gpu_hours=gpu_hours,
        price=price,
        cost=cost,
        cost_per_1000=None if cost is None or not kept else 1000 * cost / kept,
    )


def _rates(sessions: Sequence[SessionRecord]) -> tuple[tuple[float, float], ...]:
    """The beginning of each step in hours, and the objects settled a second in it; the sessions one after the other."""
    times, done = [0.0], [0.0]
    for session in sessions:
        begin, before = times[-1], done[-1]
        for sample in session.samples:
            times.append(max(times[-1], begin + min(sample.at_s, session.seconds)))
            done.append(max(done[-1], before + sample.settled - session.before))
        times.append(max(times[-1], begin + session.seconds))
        done.append(max(done[-1], before + session.settled - session.before))
    if times[-1] <= 0:
        return ()
    steps = int(np.clip(sum(len(session.samples) for session in sessions), 1, _STEPS))
    edges = np.linspace(0.0, times[-1], steps + 1)
    rates = np.diff(np.interp(edges, times, done)) / (times[-1] / steps)
    return tuple(zip((edges[:-1] / 3600).tolist(), rates.tolist(), strict=True))
