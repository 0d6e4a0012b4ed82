"""Where things that happen are counted; where nobody asks for metrics, nowhere.

A Meter is handed down as an argument, as the log is. This one does nothing; the daemon makes the
one of `metrics` where the config has `http`. To count something more: a member of `Count` with its
line in docs/metrics.md, and `meter.count(Count.NAME, LABEL, ...)` where it happens.
"""

from __future__ import annotations

from watcher.telemetry.families import Count, Timing


class Meter:
    """Counts nothing. For one event loop; labels are in the order of the family."""

    def count(self, what: Count, *labels: str, by: float = 1.0) -> None:
        """It happened, `by` times. 0 makes its series appear before the first time."""

    def time(self, what: Timing, seconds: float, *labels: str) -> None:
        """It took so long."""


UNMEASURED = Meter()
