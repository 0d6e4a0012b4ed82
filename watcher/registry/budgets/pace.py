"""How fast requests may follow each other: by a rate of ours, or by what a host still allows.

Pure arithmetic on a time that is handed in (seconds since the epoch); a clock that is set back
holds nobody up. Imported by limits.py.
"""

from __future__ import annotations

from watcher.core.host import Quota

BURST_SECONDS = 0.5  # nginx before Quay refuses the fourth of several listings at once
LOW = 0.2  # the share of a quota below which the rest is spread
_SET_BACK = 60.0  # seconds that a clock has to lose for what was said before to be void
_MOMENT = 1e-6  # what a float of epoch seconds can't tell apart is not waited for


class Pace:
    """At most so many requests a second, after a burst of half a second's worth."""

    __slots__ = ("_ahead", "_gap", "_next")

    def __init__(self, per_second: float) -> None:
        self._gap = 1.0 / per_second
        self._ahead = max(per_second * BURST_SECONDS - 1.0, 0.0) * self._gap
        self._next = 0.0

    def pause(self, now: float) -> float:
        """Seconds until the next request may go."""
        pause = self._next - self._ahead - now
        if pause > self._gap + _MOMENT:  # it never is that long, unless the clock was set back
            self._next, pause = now + self._ahead + self._gap, self._gap
        return pause if pause > _MOMENT else 0.0

    def begin(self, now: float) -> None:
        self._next = max(self._next, now) + self._gap


class Allowance:
    """What a host said that it still allows, and how the rest of it is spread until it resets."""

    __slots__ = ("_next", "quota")

    def __init__(self, quota: Quota) -> None:
        self.quota = quota
        self._next = 0.0

    def pause(self, now: float) -> float:
        """Seconds until the next request may go."""
        left = self.quota.resets - now
        if left <= 0 or now < self.quota.seen - _SET_BACK or not self._is_low():
            return 0.0
        if self.quota.remaining < 1:
            return left
        return max(min(self._next - now, left), 0.0)

    def begin(self, now: float) -> None:
        if self._is_low():
            left = max(self.quota.resets - now, 0.0)
            self._next = now + left / max(self.quota.remaining, 1.0)

    def _is_low(self) -> bool:
        allowed, remaining = self.quota.allowed, self.quota.remaining
        return remaining < 1 or (allowed is not None and remaining < allowed * LOW)
