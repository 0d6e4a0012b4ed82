"""When each repository of an account is due next, and its catalog: by its schedule, its failures,
and by what the clock did meanwhile.

In memory, kept by `watch`; what is planned for a repository also stands in its status, which
outlives the process.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Iterable
from datetime import timedelta

from watcher.core import schedule
from watcher.core.account import Account
from watcher.core.poll import CATALOG, RepositoryStatus
from watcher.engine.board import StatusBoard

_REST = timedelta(seconds=15)
"""The metronome comes once a second: between two looks so far apart this process could not run, or
the clock was set."""


class Timetable:
    """Times are seconds since the epoch."""

    def __init__(
        self,
        account: Account,
        board: StatusBoard,
        *,
        now: float,
        on_sooner: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_sooner` is called when something comes to be due earlier than it was."""
        self._account = account
        self._board = board
        self._on_sooner = on_sooner
        self._due: list[tuple[float, str]] = []
        self._due_at: dict[str, float] = {}
        self._latest = now

    @property
    def first(self) -> str:
        """What is due first; the catalog where nothing is planned."""
        return min(self._due_at, key=self._due_at.__getitem__, default=CATALOG)

    def next_due(self) -> float | None:
        return self._due[0][0] if self._due else None

    def take_due(self, now: float) -> list[str]:
        """What is due by now, the first one first; from here on nothing is planned for it."""
        self._follow_clock(now - self._latest, now)
        self._latest = now
        taken = []
        while self._due and self._due[0][0] <= now:
            due, name = heapq.heappop(self._due)
            if self._due_at.get(name) == due:  # else it was planned anew or dropped meanwhile
                del self._due_at[name]
                taken.append(name)
        return taken

    def plan(self, name: str, due: float) -> None:
        """A poll on demand leaves the plan that it overtook in the heap; these may not pile up."""
        self._due_at[name] = due
        if len(self._due) > 2 * len(self._due_at):
            self._rebuild()
        else:
            heapq.heappush(self._due, (due, name))

    def plan_new(self, names: Iterable[str], now: float) -> None:
        """Spread the first polls of those for which nothing is planned."""
        for name in names:
            if name in self._due_at:
                continue
            status = self._board.get(self._account.name, name)
            first = schedule.first_due(self._account.poll, key=key_of(status), now=now)
            if status.failures and status.next_check is not None and _is_past(status, now):
                first = max(first, status.next_check)  # a backoff outlives the restart
            status.next_check = first
            self.plan(name, first)

    def put_off(self, status: RepositoryStatus, now: float, until: float | None) -> None:
        """Plan the next poll. What is parked is no failure of the repository: it does not back off
        as well, and where a registry lets few through, all have the same chance."""
        due = schedule.next_due(
            self._account.poll,
            key=key_of(status),
            now=now,
            failures=0 if until is not None else status.failures,
            blocked_until=until,
        )
        status.next_check = due
        self.plan(status.repository, due)

    def bring_forward(self, name: str, due: float) -> float:
        """Plan a poll for then, if none is due sooner; when it is."""
        planned = self._due_at.get(name, math.inf)
        if due < planned:
            self.plan(name, due)
            self._on_sooner()
        return min(due, planned)

    def keep(self, names: Iterable[str]) -> None:
        """Plan nothing any more for other repositories than these."""
        for name in self._due_at.keys() - set(names) - {CATALOG}:
            del self._due_at[name]

    def _follow_clock(self, passed: float, now: float) -> None:
        """A clock that is set back must not put off the polls by as much. What is overdue because
        it was set on, or the machine slept, must not come all at once."""
        if passed < 0:
            self._due_at = {name: due + passed for name, due in self._due_at.items()}
        elif passed > _REST.total_seconds():
            for name in [name for name, due in self._due_at.items() if due <= now]:
                self._due_at[name] = self._due_after_rest(name, now, passed)
        else:
            return
        self._rebuild()

    def _due_after_rest(self, name: str, now: float, rest: float) -> float:
        if name == CATALOG:
            return now
        status = self._board.get(self._account.name, name)
        status.next_check = schedule.after_rest(
            self._account.poll, key=key_of(status), now=now, rest=rest
        )
        return status.next_check

    def _rebuild(self) -> None:
        self._due = [(due, name) for name, due in self._due_at.items()]
        heapq.heapify(self._due)


def key_of(status: RepositoryStatus) -> str:
    """What a repository's place in an interval is derived from."""
    return f"{status.account}/{status.repository}"


def _is_past(status: RepositoryStatus, now: float) -> bool:
    """Whether the last check was made, and the next one planned, by a clock as it is now; one that
    was a year ahead, and was set back while nothing ran, planned it for then."""
    return status.last_check is None or status.last_check <= now
