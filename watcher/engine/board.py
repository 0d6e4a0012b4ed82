"""The bookkeeping of every watched repository, in memory, flushed to the state file in batches.

An idle poll changes only this (SPEC 5): one transaction a minute in the daemon, one per pass with
`--once`. A repository that begins or ends failing is no idle poll: people look at that. Used by the
poller and the composition root; one event loop, no locks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from watcher.core.poll import RepositoryStatus

Place = tuple[str, str]


class StatusBoard:
    """One RepositoryStatus per (account, repository), and which of them are not flushed yet."""

    def __init__(self, stored: Iterable[RepositoryStatus] = ()) -> None:
        self._statuses: dict[Place, RepositoryStatus] = {
            (status.account, status.repository): status for status in stored
        }
        self._unflushed: set[Place] = set()
        self._has_turned = False

    def __iter__(self) -> Iterator[RepositoryStatus]:
        return iter(self._statuses.values())

    def get(self, account: str, repository: str) -> RepositoryStatus:
        """The repository's status; a repository seen for the first time gets an empty one."""
        place = (account, repository)
        status = self._statuses.get(place)
        if status is None:
            status = RepositoryStatus(account=account, repository=repository)
            self._statuses[place] = status
        return status

    @property
    def has_turned(self) -> bool:
        """Whether the next batch should not wait: a repository began or ended failing."""
        return self._has_turned

    def touch(self, status: RepositoryStatus, *, turned: bool = False) -> None:
        """The status changed: it goes into the next batch. `turned`: from well to failing, or
        back."""
        self._unflushed.add((status.account, status.repository))
        self._has_turned = self._has_turned or turned

    def note_catalog(self, account: str, before: Iterable[str], after: Iterable[str]) -> None:
        """What an account watches, before its catalog was read and after it."""
        were, are = frozenset(before), frozenset(after)
        for name in were ^ are:
            status = self.get(account, name)
            if status.dropped != (name in were):
                status.dropped = name in were
                self.touch(status)

    def take_unflushed(self) -> list[RepositoryStatus]:
        """What the next batch has to write; `put_back` when it could not be written."""
        places, self._unflushed = self._unflushed, set()
        self._has_turned = False
        return [self._statuses[place] for place in places if place in self._statuses]

    def put_back(self, statuses: Iterable[RepositoryStatus]) -> None:
        self._unflushed.update((status.account, status.repository) for status in statuses)
