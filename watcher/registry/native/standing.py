"""Whether an account may ask its registry's own API now: after a refusal v2 is asked for an hour.

A refusal may concern one repository (its rights) or the API; after three repositories in a row it
is taken for the API's. In memory only; what happened is said once.
"""

from __future__ import annotations

from collections.abc import Callable

REST = 3600.0
FIRST_PAUSE = 60.0
STRIKES = 3
MAXIMUM_RESTING = 20_000
MAXIMUM_SAID = 100
FOR_AN_HOUR = "v2 is asked for an hour"


class Standing:
    """How an API has answered an account so far. `title` is what notes call it."""

    def __init__(self, title: str, clock: Callable[[], float]) -> None:
        self._title = title
        self._clock = clock
        self._rests_until = 0.0
        self._resting: dict[str, float] = {}
        self._strikes: set[str] = set()
        self._failures = 0
        self._said: dict[str, None] = {}
        self._notes: list[str] = []

    def may_ask(self, repository: str) -> bool:
        now = self._clock()
        return self._rests_until <= now and self._resting.get(repository, 0.0) <= now

    def refused(self, repository: str, reason: str, *, for_all: bool = False) -> None:
        """It gave no usable answer for a repository, or will give none for any."""
        if not self.may_ask(repository):
            return  # one of several that were under way
        until = self._clock() + REST
        self._strikes.add(repository)
        if for_all or len(self._strikes) >= STRIKES:
            self._rests_until = until
            self._strikes.clear()
            self._say(f"{self._title} {reason}; {FOR_AN_HOUR} for all repositories of the account")
            return
        self._make_room()
        self._resting[repository] = until
        self._say(f"{self._title} {reason}; {FOR_AN_HOUR} for {repository}")

    def failed(self) -> None:
        """There was no answer: tried again after a minute, then after twice as long."""
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 10), REST)
        self._failures += 1
        self._rests_until = max(self._rests_until, self._clock() + pause)

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
            now = self._clock()
            self._resting = {name: until for name, until in self._resting.items() if until > now}
