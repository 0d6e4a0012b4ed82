"""Whether the clock on the wall was set, or the machine slept, between two looks: then nobody could
poll in between, or nobody knows how long that was. Used by the daemon's `vitals` and `lookout`.
"""

from __future__ import annotations

_STEP = 5.0  # seconds by which two clocks part at once only when one was set, or stood
_DRIFT = 0.001


class Clocks:
    """The clock on the wall beside one that nobody sets and that rests while the machine sleeps;
    both in seconds."""

    def __init__(self, wall: float, steady: float) -> None:
        self._wall, self._steady = wall, steady

    def parted(self, wall: float, steady: float) -> bool:
        """Whether they did since the last look."""
        wall_passed, passed = wall - self._wall, steady - self._steady
        self._wall, self._steady = wall, steady
        return abs(wall_passed - passed) > _STEP + _DRIFT * passed
