"""Whether the workers of one account get on: what each has in hand, and what waits for them.

Seconds are those of a clock that nobody sets and that rests while the machine sleeps. Kept by
`watch`; the daemon's vitals ask it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

SLACK = timedelta(seconds=30)
"""What may go by beside the bounds of the work itself, on a machine that has much else to do."""


class Progress:
    """`workers` work side by side; `bound` says how long one may have something in hand."""

    def __init__(
        self,
        workers: int,
        bound: Callable[[str], timedelta],
        *,
        monotonic: Callable[[], float],
    ) -> None:
        self._workers = workers
        self._bound = bound
        self._monotonic = monotonic
        self._in_hand: dict[str, float] = {}
        self._waiting = 0
        self._waiting_since = 0.0

    def waiting(self, count: int) -> None:
        """So many wait now; to be called whenever that may have changed."""
        if not (self._waiting and count):
            self._count_anew(count)
        self._waiting = count

    @contextmanager
    def working_on(self, name: str, waiting: int) -> Iterator[None]:
        """A worker took this, and left so many waiting."""
        self._in_hand[name] = self._monotonic()
        self._count_anew(waiting)
        try:
            yield
        finally:
            del self._in_hand[name]
            self._count_anew(self._waiting)  # only now somebody is free to take it

    def standstill(self) -> str | None:
        """What stands still, in words; None where all goes on. What waits while every worker is
        at work is no standstill: each of them comes to its end in time."""
        now = self._monotonic()
        slack = SLACK.total_seconds()
        for name, since in self._in_hand.items():
            allowed = self._bound(name).total_seconds()
            if now - since > allowed + slack:
                return f"{name} is in hand for {now - since:.0f} s, {allowed:.0f} s are allowed"
        waited = now - self._waiting_since
        if self._waiting and len(self._in_hand) < self._workers and waited > slack:
            return f"what is due waits for {waited:.0f} s, and nobody takes it"
        return None

    def _count_anew(self, waiting: int) -> None:
        self._waiting, self._waiting_since = waiting, self._monotonic()
