"""When a repository is polled next: interval or cron, spread, backoff, and parked hosts.

Pure: what other programs draw by lot is derived here from the repository's name and the time, so
that the same poll always gives the same answer. Times are seconds since the epoch, spans are
timedeltas. Used by the engine and by `watcher plan`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from watcher.core.account import PollSchedule

if TYPE_CHECKING:
    from cronsim import CronSim

LONGEST_BACKOFF = timedelta(hours=1)
_DEFAULT_JITTER = 0.1  # of the interval (SPEC 3.1)
_LONGEST_CRON_JITTER = timedelta(seconds=60)
_MOST_DOUBLINGS = 30
_A_MOMENT = datetime(2024, 1, 1, tzinfo=UTC)


def phase(key: str) -> float:
    """At least 0 and below 1: where in an interval this key has its place, evenly spread."""
    digest = hashlib.blake2b(key.encode(), digest_size=8).digest()
    return int.from_bytes(digest) / 2**64


def first_due(poll: PollSchedule, *, key: str, now: float) -> float:
    """The first poll after a start: spread over the interval; with cron, at its next time.

    Each key has its place on the clock, not after the start: a process that is started again and
    again within one interval still comes to poll it.
    """
    if poll.every is None:
        return next_due(poll, key=key, now=now)
    every = poll.every.total_seconds()
    return now + (phase(key) * every - now) % every


def next_due(
    poll: PollSchedule,
    *,
    key: str,
    now: float,
    failures: int = 0,
    blocked_until: float | None = None,
) -> float:
    """When to poll again after the poll that began at `now`.

    `failures` in a row double the wait, from the interval to at most an hour. The interval is met
    on average: jitter moves a poll to both sides by half of itself. Nothing is due before
    `blocked_until`, and what was blocked together does not come back in the same moment.
    """
    if poll.every is None:
        due = _next_cron_due(poll, key, now, failures)
    elif failures:
        wait = backoff(poll.every, failures, key=f"{key}@{now}", jitter=_jitter_share(poll))
        due = now + wait.total_seconds()
    else:
        every = poll.every.total_seconds()
        due = now + every * (1 + _jitter_share(poll) * (phase(f"{key}@{now}") - 0.5))
    if blocked_until is None or blocked_until <= due:
        return due
    # Another order each time: where few are let through, they are not always the same.
    return blocked_until + phase(f"{key}@{now}") * _spread(poll, now)


def after_rest(poll: PollSchedule, *, key: str, now: float, rest: float) -> float:
    """When to poll what came due while nothing ran for so many seconds: what was missed in that
    time is made up for in as much, or in an interval where that is shorter."""
    spread = _spread(poll, now) if poll.every is None else poll.every.total_seconds()
    return now + phase(f"{key}@{now}") * min(spread, rest)


def backoff(
    interval: timedelta, failures: int, *, key: str, jitter: float = _DEFAULT_JITTER
) -> timedelta:
    """The wait after so many failures in a row: the interval, doubled by each further failure to
    at most an hour (or the interval, if that is longer). `jitter` is the share by which `key` may
    shorten it."""
    longest = max(interval, LONGEST_BACKOFF)
    doublings = min(max(failures - 1, 0), _MOST_DOUBLINGS)
    seconds = min(interval.total_seconds() * 2**doublings, longest.total_seconds())
    return timedelta(seconds=seconds * (1 - jitter * phase(key)))


def next_cron(poll: PollSchedule, now: float) -> float:
    """The next time of the cron expression after `now`, in its time zone, without jitter."""
    return next(_cron_times(poll, now))


def check_cron(expression: str, timezone: str) -> None:
    """Raises ValueError, with a sentence for the user, unless both can be used."""
    from cronsim import CronSimError

    try:
        zone = _zone(timezone)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(f"{timezone!r} is not a time zone such as 'Europe/Vienna'") from error
    if len(expression.split()) != 5:
        raise ValueError(f"{expression!r} has not the five fields of a cron expression")
    try:
        next(_simulation(expression, _A_MOMENT.astimezone(zone)))
    except CronSimError as error:
        raise ValueError(f"{expression!r} is no cron expression: {error}") from error
    except StopIteration as error:
        raise ValueError(f"{expression!r} is a time that never comes") from error


def interval(poll: PollSchedule, now: float) -> timedelta:
    """The time between two polls; for cron, between the next two times."""
    if poll.every is not None:
        return poll.every
    times = _cron_times(poll, now)
    first = next(times)
    return timedelta(seconds=next(times) - first)


def silence(poll: PollSchedule, now: float, intervals: int) -> timedelta:
    """How long ago a poll lies at `now` after which so many times have come: what is silent for
    longer has missed them all. A cron expression may rest at night and at weekends."""
    if poll.every is not None:
        return poll.every * intervals
    times = _cron_times(poll, now, backwards=True)
    return timedelta(seconds=now - [next(times) for _ in range(intervals)][-1])


def _next_cron_due(poll: PollSchedule, key: str, now: float, failures: int) -> float:
    """The next time, or after failures the first one that is not sooner than the backoff."""
    gap = interval(poll, now)
    extra = backoff(gap, failures, key=key, jitter=0) - gap
    return next_cron(poll, now + extra.total_seconds()) + phase(key) * _spread(poll, now)


def _spread(poll: PollSchedule, now: float) -> float:
    """The seconds over which polls that are due together are spread."""
    if poll.jitter is not None:
        return poll.jitter.total_seconds()
    spread = interval(poll, now) * _DEFAULT_JITTER
    if poll.every is None:
        spread = min(spread, _LONGEST_CRON_JITTER)
    return spread.total_seconds()


def _jitter_share(poll: PollSchedule) -> float:
    """The jitter as a share of the interval, at most all of it."""
    if poll.jitter is None or not poll.every:
        return _DEFAULT_JITTER
    return min(poll.jitter / poll.every, 1.0)


def _cron_times(poll: PollSchedule, now: float, *, backwards: bool = False) -> Iterator[float]:
    assert poll.cron is not None  # without an interval there is one
    start = datetime.fromtimestamp(now, _zone(poll.timezone))
    for moment in _simulation(poll.cron, start, backwards=backwards):
        yield moment.astimezone(UTC).timestamp()


def _zone(name: str) -> tzinfo:
    """UTC is there even where no time zone database is installed."""
    return UTC if name == "UTC" else ZoneInfo(name)


def _simulation(expression: str, start: datetime, *, backwards: bool = False) -> CronSim:
    from cronsim import CronSim

    return CronSim(expression, start, reverse=backwards)
