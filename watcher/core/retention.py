"""How long what is over is kept, and from which moment ages are counted. Values only, pure."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

STRIDE = timedelta(days=2)
"""How far the moment that ages are counted from may advance in one round of retention."""


class Retention(NamedTuple):
    """`activity`: how old an activity may become. `executions`: how many ended runs of each
    pipeline stay. `logs`: how long after its end a run keeps what its stages said."""

    activity: timedelta = timedelta(days=90)
    executions: int = 500
    logs: timedelta = timedelta(days=30)


def reckoned(now: float, last: float | None) -> float:
    """The moment that ages are counted from, in seconds since the epoch. `last` is that of the
    round before.

    A clock that is wrong by a year for an hour must not cost a year of history: from one round to
    the next it is believed for two days. What it really slept through is made up for in as many
    rounds.
    """
    return now if last is None else min(now, last + STRIDE.total_seconds())


def remembered(moment: float, last: float | None) -> float:
    """What the next round takes for the moment of this one. A clock that was set back is believed
    no sooner: one that began in 1970 would else be made up for by two days at a time."""
    return moment if last is None else max(moment, last - STRIDE.total_seconds())
