"""The one word for how a repository fares: what `status`, health checks and the page say. Pure."""

from __future__ import annotations

from datetime import timedelta

from watcher.core.poll import RepositoryState, RepositoryStatus

STALE_INTERVALS = 3  # SPEC 3.1 `stale_after`


def repository_state(
    status: RepositoryStatus,
    *,
    now: float,
    interval: timedelta,
    stale_after: timedelta | None = None,
    blocked_until: float | None = None,
) -> RepositoryState:
    """What a person has to know first. Times are seconds since the epoch; `blocked_until` is when
    its host or account may be asked again. Failing says more than stale, so it goes before it."""
    if blocked_until is not None and blocked_until > now:
        return RepositoryState.PARKED
    if status.failures or (status.last_error and status.last_success is None):
        return RepositoryState.FAILING
    if status.quarantined:
        return RepositoryState.QUARANTINED
    if status.last_success is None:
        return RepositoryState.PENDING
    limit = stale_after if stale_after is not None else interval * STALE_INTERVALS
    if now - status.last_success > limit.total_seconds():
        return RepositoryState.STALE
    return RepositoryState.OK
