"""Which deliveries were here already, and how many a minute one sender may make; all bounded.

A repeated delivery changes nothing: it would only poll once more. It is told all the same, so that
what was overheard can't be sent again and again; what was stored of deliveries seeds the memory
after a restart.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

REMEMBERED_SECONDS = 900.0
MOST_REMEMBERED = 10_000
MOST_A_MINUTE = 1200
"""Deliveries with hints, of one sender; repeated ones, and those that tell of no change, are not
counted: whoever overheard one must not use up what the sender may send."""
MOST_NOTED_A_MINUTE = 60
"""Deliveries of one sender that changed nothing, which activity shows; it keeps so many in all."""


class Replays:
    """The keys of deliveries, for a quarter of an hour. `clock` is in epoch seconds."""

    def __init__(self, clock: Callable[[], float], known: Iterable[tuple[str, float]] = ()) -> None:
        self._clock = clock
        self._seen: OrderedDict[str, float] = OrderedDict(known)

    def has(self, key: str | None) -> bool:
        """Whether the key was seen lately; None never was."""
        self._forget()
        return key in self._seen

    def add(self, key: str | None) -> None:
        """From now on it was."""
        if key is not None:
            self._seen[key] = self._clock()

    def _forget(self) -> None:
        oldest = self._clock() - REMEMBERED_SECONDS
        while self._seen:
            key, seen = next(iter(self._seen.items()))
            if seen >= oldest and len(self._seen) < MOST_REMEMBERED:
                return
            del self._seen[key]


class SenderPace:
    """How many deliveries of each sender are taken: a minute's worth at once, then as time gives
    more. `clock` is monotonic, in seconds."""

    def __init__(self, clock: Callable[[], float], most: int = MOST_A_MINUTE) -> None:
        self._clock = clock
        self._most = float(most)
        self._left: dict[str, tuple[float, float]] = {}

    def lets(self, sender: str) -> bool:
        """Whether one more may come now; then it is counted."""
        now = self._clock()
        left, since = self._left.get(sender, (self._most, now))
        left = min(self._most, left + (now - since) * self._most / 60)
        may_come = left >= 1
        self._left[sender] = (left - may_come, now)
        return may_come
