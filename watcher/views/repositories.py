"""The rows of `watcher status`: how repositories fare, from its bookkeeping (SPEC 8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from watcher.core.account import Account
from watcher.core.health import planned_check, repository_state, stale_limit
from watcher.core.host import place_of
from watcher.core.poll import RepositoryStatus
from watcher.core.schedule import interval
from watcher.core.times import rfc3339
from watcher.core.trigger import Trigger
from watcher.engine.repositories import RepositoryList

Shape = dict[str, Any]


def watched(
    account: Account, triggers: Iterable[Trigger], found: Iterable[RepositoryStatus]
) -> list[RepositoryStatus]:
    """What the account watches, given what is stored of it; also what was not polled yet."""
    stored = {status.repository: status for status in found}
    known = [name for name, status in stored.items() if status.known and not status.dropped]
    names = RepositoryList(account, triggers, known).names
    return [
        stored.get(name) or RepositoryStatus(account=account.name, repository=name)
        for name in names
    ]


class RepositoryRows:
    """The rows of one account's repositories at one moment (seconds since the epoch). `blocked` is
    until when hosts and accounts may not be asked; `attended` says that a daemon keeps to its
    plans, `lag` how old the statuses may be."""

    def __init__(
        self,
        account: Account,
        blocked: Mapping[str, float],
        now: float,
        *,
        attended: bool,
        lag: timedelta = timedelta(0),
    ) -> None:
        self._now = now
        self._interval = interval(account.poll, now)
        self._limit = stale_limit(account, now) + lag
        self._until, self._parked_by = parked(account, blocked, now)
        self._attended = attended

    def row(self, found: RepositoryStatus) -> Shape:
        """As `watcher status --json` has it."""
        now, until = self._now, self._until
        state = repository_state(found, now=now, limit=self._limit, blocked_until=until)
        return {
            "account": found.account,
            "repository": found.repository,
            "state": state.value,
            "tags": found.tags,
            "last_check": rfc3339(found.last_check),
            "last_success": rfc3339(found.last_success),
            "last_error": found.last_error,
            "next_check": rfc3339(self._due(found)),
            "parked_until": rfc3339(until),
            "parked_by": self._parked_by,
        }

    def _due(self, found: RepositoryStatus) -> float | None:
        if self._attended:
            return planned_check(found, now=self._now, interval=self._interval)
        return _left(found.next_check, self._now)


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
