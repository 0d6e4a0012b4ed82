"""Whether the clock on the wall was set, or the machine slept, between two looks: then nobody could
poll in between, nobody knows how long that was, and no run may be judged by it. Pure.
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
        return self.jump(wall, steady) != 0.0

    def jump(self, wall: float, steady: float) -> float:
        """By how much the clock on the wall went on more than the other since the last look, less
        where that is negative; 0.0 where they only drifted apart."""
        wall_passed, passed = wall - self._wall, steady - self._steady
        self._wall, self._steady = wall, steady
        ahead = wall_passed - passed
        return ahead if abs(ahead) > _STEP + _DRIFT * passed else 0.0
