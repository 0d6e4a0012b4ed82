"""Who is left alone until when: a host, an account, or one kind of their requests.

A moment that was said, or one ever further away while refusals go on. Imported by limits.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import ceil

FIRST_PARK = 30.0
LONGEST_UNTOLD_PARK = 3600.0
LONGEST_PARK = 24 * 3600.0
"""Seconds. What is parked for longer was so before the clock was set back, and is not heeded."""
SET_BACK = 60.0
"""Seconds that the clock has to lose since something was parked, for that not to be heeded."""

_GOOD_ANSWERS_PER_STEP = 5  # that many take one of the refusals without a time back


class Parking:
    """What is parked, by key (`core.host.parking_key`). `blocked` is what an earlier process had
    parked (epoch seconds); `on_park` is called with each key that is parked for longer."""

    def __init__(
        self,
        clock: Callable[[], float],
        blocked: Mapping[str, float],
        on_park: Callable[[str], None],
    ) -> None:
        self.count = 0
        self._clock = clock
        self._until = dict(blocked)
        self._told_at = {key: clock() for key in blocked}
        self._on_park = on_park
        self._refusals: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether anything has been parked at all."""
        return bool(self._until)

    def blocked(self) -> dict[str, float]:
        """What is parked now: host (`quay.io`) or account (`quay.io/NAME`), as a whole or for one
        kind of requests (`quay.io (native)`) -> epoch seconds."""
        now = self._clock()
        return {key: until for key, until in self._until.items() if self._holds(key, now)}

    def knows(self, keys: Iterable[str]) -> bool:
        """Whether one of these keys has ever been parked."""
        return not self._until.keys().isdisjoint(keys)

    def until(self, keys: Iterable[str]) -> float | None:
        """Until when (epoch seconds) the last of these keys is parked; None where none is."""
        now = self._clock()
        return max((self._until[key] for key in keys if self._holds(key, now)), default=None)

    def park(self, key: str, seconds: float | None) -> float:
        """Leave a host or account alone; without a wish of its own, ever longer. What was under
        way when it was parked already is no refusal more. Gives the seconds that are left."""
        now, until = self._clock(), self._until.get(key, 0.0)
        if seconds is None:
            if until <= now or key not in self._refusals:
                self._refusals[key] = self._refusals.get(key, 0.0) + 1
            doublings = min(ceil(self._refusals[key]) - 1, 20)
            seconds = min(FIRST_PARK * 2**doublings, LONGEST_UNTOLD_PARK)
        return self.park_until(key, now + seconds) - now

    def park_until(self, key: str, until: float) -> float:
        """Leave it alone until a moment (epoch seconds), or the later one that it had: given."""
        now = self._clock()
        if until > self._until.get(key, 0.0) or not self._holds(key, now):
            self._until[key], self._told_at[key] = until, now
            self.count += 1
            self._on_park(key)
        return self._until[key]

    def release(self, key: str, until: float) -> None:
        """Undo what was parked until just this moment."""
        if self._until.get(key) == until:
            del self._until[key]

    def succeeded(self, key: str) -> None:
        """A good answer: a few of them make up for one refusal without a time."""
        refusals = self._refusals.get(key)
        if refusals is None:
            return
        left = refusals - 1 / _GOOD_ANSWERS_PER_STEP
        if left > 0:
            self._refusals[key] = left
        else:
            del self._refusals[key]

    def _holds(self, key: str, now: float) -> bool:
        """Whether it is parked still."""
        is_parked = now < self._until.get(key, 0.0) <= now + LONGEST_PARK
        return is_parked and now >= self._told_at[key] - SET_BACK
