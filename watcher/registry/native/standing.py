"""Whether an account may ask its registry's own API now: after a refusal v2 is asked for an hour.

A refusal may concern one repository (its rights) or the API; after three repositories in a row it
is taken for the API's. What rests as a whole is parked, a repository's rest is in its mark: so a
process that is started for each pass keeps them. What happened is said once.
"""

from __future__ import annotations

import re

from watcher.core.host import Counts
from watcher.registry.budgets.limits import Lane

REST = 3600.0
FIRST_PAUSE = 60.0
STRIKES = 3
MAXIMUM_RESTING = 20_000
MAXIMUM_SAID = 100
FOR_AN_HOUR = "v2 is asked for an hour"
ALWAYS = "(`strategy: v2` asks it always)"
_MARK = re.compile(r"rests:(\d{1,12})", re.ASCII)


class Standing:
    """How an API has answered an account so far. `title` is what notes call it."""

    def __init__(self, title: str, lane: Lane) -> None:
        self._title = title
        self._lane = lane
        self._resting: dict[str, float] = {}
        self._strikes: set[str] = set()
        self._failures = 0
        self._said: dict[str, None] = {}
        self._notes: list[str] = []

    def may_ask(self, repository: str) -> bool:
        rests = self._resting.get(repository, 0.0) > self._lane.now()
        return not rests and self._lane.refusal(Counts.NATIVE) is None

    def mark(self, repository: str) -> str | None:
        """What to keep of a repository's rest."""
        until = self._resting.get(repository, 0.0)
        return f"rests:{until:.0f}" if until > self._lane.now() else None

    def is_at_rest(self, mark: str | None) -> bool:
        """Whether the repository with this mark rests still."""
        found = _MARK.fullmatch(mark or "")
        return found is not None and 0 < int(found[1]) - self._lane.now() <= REST

    def refused(self, repository: str, reason: str, *, for_all: bool = False) -> None:
        """It gave no usable answer for a repository, or will give none for any."""
        if not self.may_ask(repository):
            return  # one of several that were under way
        self._strikes.add(repository)
        if for_all or len(self._strikes) >= STRIKES:
            self._lane.park(self._lane.own_native_key, REST)
            self._strikes.clear()
            whose = "all repositories of the account"
        else:
            self._make_room()
            self._resting[repository] = self._lane.now() + REST
            whose = repository
        self._say(f"{self._title} {reason}; {FOR_AN_HOUR} for {whose} {ALWAYS}")

    def failed(self) -> None:
        """There was no answer: tried again after a minute, then after twice as long."""
        if self._lane.refusal(Counts.NATIVE) is not None:
            return  # one of several that were under way
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), REST)
        self._failures += 1
        self._lane.park(self._lane.own_native_key, pause)

    def answered(self) -> None:
        self._failures = 0
        self._strikes.clear()

    def take_notes(self) -> tuple[str, ...]:
        """What has been said since this was last asked."""
        notes, self._notes = tuple(self._notes), []
        return notes

    def _say(self, note: str) -> None:
        if note in self._said or len(self._said) >= MAXIMUM_SAID:
            return
        self._said[note] = None
        self._notes.append(note)

    def _make_room(self) -> None:
        if len(self._resting) >= MAXIMUM_RESTING:
            now = self._lane.now()
            self._resting = {name: until for name, until in self._resting.items() if until > now}
