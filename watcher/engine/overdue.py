"""Which repositories of one account had no successful poll for too long, whatever the reason.

Counting begins with the watch, with a repository that joins later, and anew after the machine slept
or its clock was set. Kept by `watch`; with 10 000 repositories a look takes a few milliseconds.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import timedelta

from watcher.core.account import Account
from watcher.core.health import is_overdue, stale_limit
from watcher.core.poll import RepositoryStatus
from watcher.engine.board import StatusBoard


class Overdue:
    """Times are seconds since the epoch; `now` is when polling begins."""

    def __init__(self, account: Account, board: StatusBoard, *, now: float) -> None:
        self._account = account
        self._board = board
        self._since = now
        self._joined: dict[str, float] = {}

    def count_anew(self, now: float) -> None:
        """What was not polled until now does not count: nobody could have done it."""
        self._since = now
        self._joined.clear()

    def joined(self, before: Collection[str], names: Iterable[str], now: float) -> None:
        """Other repositories are watched from now on than `before`."""
        if not before:
            self.count_anew(now)
            return
        names = frozenset(names)
        self._joined = {name: at for name, at in self._joined.items() if name in names}
        self._joined.update(dict.fromkeys(names - frozenset(before), now))

    def limit(self, now: float) -> timedelta:
        """After how long without a success a repository is stale (SPEC 3.1 `stale_after`)."""
        return stale_limit(self._account, now)

    def among(self, names: Iterable[str], now: float) -> list[RepositoryStatus]:
        """Those of the names that are overdue, in their order."""
        limit = self.limit(now)
        fresh = now - limit.total_seconds()
        found = []
        for name in names:
            status = self._board.get(self._account.name, name)
            last = status.last_success
            if last is not None and fresh <= last <= now:
                continue
            since = max(self._since, self._joined.get(name, 0.0))
            if is_overdue(status, now=now, since=since, limit=limit):
                found.append(status)
        return found
