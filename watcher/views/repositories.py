"""One row of `watcher status`: how a repository fares, from its bookkeeping (SPEC 8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from watcher.core.account import Account
from watcher.core.health import planned_check, repository_state
from watcher.core.host import place_of
from watcher.core.poll import RepositoryStatus
from watcher.core.schedule import interval
from watcher.core.trigger import Trigger
from watcher.engine.repositories import RepositoryList
from watcher.views.times import rfc3339

Shape = dict[str, Any]


def watched(
    account: Account, triggers: Iterable[Trigger], found: Iterable[RepositoryStatus]
) -> list[RepositoryStatus]:
    """What the account watches, given what is stored of it; also what was not polled yet."""
    stored = {status.repository: status for status in found}
    known = [name for name, status in stored.items() if status.known]
    names = RepositoryList(account, triggers, known).names
    return [
        stored.get(name) or RepositoryStatus(account=account.name, repository=name)
        for name in names
    ]


def repository_json(
    account: Account,
    found: RepositoryStatus,
    blocked: Mapping[str, float],
    now: float,
    *,
    attended: bool,
    lag: timedelta = timedelta(0),
) -> Shape:
    """`blocked` is until when hosts and accounts may not be asked; `attended` says that a daemon
    keeps to its plans, `lag` how old the status may be."""
    gap = interval(account.poll, now)
    until, parked_by = parked(account, blocked, now)
    state = repository_state(
        found,
        now=now,
        interval=gap,
        stale_after=account.stale_after,
        blocked_until=until,
        lag=lag,
    )
    due = planned_check(found, now=now, interval=gap) if attended else _left(found.next_check, now)
    return {
        "account": found.account,
        "repository": found.repository,
        "state": state.value,
        "tags": found.tags,
        "last_check": rfc3339(found.last_check),
        "last_success": rfc3339(found.last_success),
        "last_error": found.last_error,
        "next_check": rfc3339(due),
        "parked_until": rfc3339(until),
        "parked_by": parked_by,
    }


def parked(
    account: Account, blocked: Mapping[str, float], now: float
) -> tuple[float | None, str | None]:
    """Until when nothing is asked with the account, and whether for its host's sake or its own."""
    host = account.registry.name
    whole, own = blocked.get(host, 0.0), blocked.get(place_of(host, account.name), 0.0)
    until = max(whole, own)
    if until <= now:
        return None, None
    return until, "host" if whole >= own else "account"


def _left(planned: float | None, now: float) -> float | None:
    """What a daemon that has gone had planned; once that is over, nobody keeps to it."""
    return planned if planned is not None and planned > now else None
