"""The one word for how a repository fares: what `status`, health checks and the page say. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from watcher.core import schedule
from watcher.core.account import Account
from watcher.core.poll import RepositoryState, RepositoryStatus

STALE_INTERVALS = 3  # SPEC 3.1 `stale_after`
BOOKKEEPING = timedelta(minutes=1)  # how old a daemon's status may be in its file (SPEC 5)


class Ailment(StrEnum):
    """What can be wrong with the daemon as a whole (SPEC 9, `/healthz`)."""

    STUCK = "stuck"  # the event loop, the metronome, the state's thread or a worker stands still
    STALE = "stale"  # a repository had no successful poll for too long, whatever the reason
    STATE = "state"  # the state file can't be written


@dataclass(frozen=True, slots=True, kw_only=True)
class Complaint:
    """One thing that is wrong. `about` names it: `ACCOUNT/REPOSITORY`, or the part that stands."""

    ailment: Ailment
    about: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthReport:
    """How the daemon fares. `ready`: config and state are settled, and each account was answered
    once (or refused for a reason that is shown). A restart helps only where something is stuck."""

    ready: bool
    complaints: tuple[Complaint, ...] = ()

    @property
    def well(self) -> bool:
        return not self.complaints

    @property
    def alive(self) -> bool:
        """Whether it goes on working: what a supervisor that can only restart has to know."""
        return all(complaint.ailment is not Ailment.STUCK for complaint in self.complaints)


def stale_limit(account: Account, now: float) -> timedelta:
    """After how long without a success the account's repositories are stale at `now` (seconds
    since the epoch), also where its polls rest at night or at weekends."""
    if account.stale_after is not None:
        return account.stale_after
    return schedule.silence(account.poll, now, STALE_INTERVALS)


def is_overdue(
    status: RepositoryStatus,
    *,
    now: float,
    since: float,
    limit: timedelta,
) -> bool:
    """Whether a repository had no successful poll for longer than `limit`, also where that is
    known to fail or to be parked. Times are seconds since the epoch; `since` is when polling
    began, or when the clock was last set: a success in the future says nothing."""
    last = since
    if status.last_success is not None and status.last_success <= now:
        last = max(status.last_success, since)
    return now - last > limit.total_seconds()


def repository_state(
    status: RepositoryStatus,
    *,
    now: float,
    limit: timedelta,
    blocked_until: float | None = None,
) -> RepositoryState:
    """What a person has to know first. Times are seconds since the epoch; `limit` is after how
    long without a success it is stale, `blocked_until` when its host or account may be asked
    again. Failing says more than stale, so it goes before it."""
    if blocked_until is not None and blocked_until > now:
        return RepositoryState.PARKED
    if status.failures or (status.last_error and status.last_success is None):
        return RepositoryState.FAILING
    if status.quarantined:
        return RepositoryState.QUARANTINED
    if status.last_success is None:
        return RepositoryState.PENDING
    if now - status.last_success > limit.total_seconds():
        return RepositoryState.STALE
    return RepositoryState.OK


def planned_check(status: RepositoryStatus, *, now: float, interval: timedelta) -> float | None:
    """The next check by a running daemon, in seconds since the epoch, from a status that may be
    older than its last polls: a plan in the past was carried out meanwhile and made anew."""
    planned = status.next_check
    if status.last_check is not None and (planned is None or planned <= status.last_check):
        planned = status.last_check + interval.total_seconds()
    if planned is None or planned >= now:
        return planned
    gap = max(interval.total_seconds(), 1.0)
    return planned + math.ceil((now - planned) / gap) * gap
