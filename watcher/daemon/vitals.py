"""Whether the daemon gets on: what the watchdog is fed for, and what /healthz and /readyz say.

Progress is asked of those who make it: the metronome, the state's thread, each account's workers.
The event loop's turns need no proof, since the report is made in one. Standstill is measured by a
clock that nobody sets, staleness by the one on the wall: anew when that was set or the machine
slept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta

from watcher.core.clocks import Clocks
from watcher.core.health import Ailment, Complaint, HealthReport
from watcher.core.poll import RepositoryStatus
from watcher.engine.ticker import Ticker
from watcher.engine.watch import AccountWatch
from watcher.store.threaded import ThreadedStore

_KEPT_SECONDS = 1.0  # strangers may ask as often as they like


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long things may take. `first_contact`: until the daemon is ready though a registry does
    not answer; `late_tick`: a job of the metronome; `long_call`: one call of the state file, which
    comes near it only where gigabytes are rewritten."""

    first_contact: timedelta = timedelta(seconds=60)
    late_tick: timedelta = timedelta(seconds=30)
    long_call: timedelta = timedelta(minutes=2)


class Vitals:
    """Of one running daemon; `watches` are those of the moment. Not for other threads."""

    def __init__(
        self,
        watches: Mapping[str, AccountWatch],
        ticker: Ticker,
        store: ThreadedStore,
        *,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
        patience: Patience | None = None,
    ) -> None:
        self._patience = patience or Patience()
        self._watches = watches
        self._ticker = ticker
        self._store = store
        self._clock = clock
        self._monotonic = monotonic
        self._began: float | None = None
        self._clocks = Clocks(clock(), monotonic())
        self._is_ready = False
        self._kept: tuple[float, HealthReport] | None = None

    def begin(self) -> None:
        """The accounts are at work from now on."""
        self._began = self._monotonic()

    def health(self, now: float | None = None) -> HealthReport:
        """How it fares at `now` (seconds since the epoch; None: the clock's). What was found less
        than a second ago still holds."""
        moment = self._monotonic()
        if self._kept is None or moment - self._kept[0] >= _KEPT_SECONDS:
            now = self._clock() if now is None else now
            self._heed_clock(now, moment)
            complaints = (*self.stuck(), *self._state(), *self._stale(now))
            self._kept = (moment, HealthReport(ready=self.is_ready, complaints=complaints))
        return self._kept[1]

    @property
    def is_ready(self) -> bool:
        """Whether each account has its answer, or time is up; from then on for ever."""
        if not self._is_ready and self._began is not None:
            left = self._patience.first_contact.total_seconds() + self._began - self._monotonic()
            self._is_ready = left < 0 or not self.unanswered
        return self._is_ready

    @property
    def unanswered(self) -> list[str]:
        """The accounts whose registry has neither answered nor refused since the start."""
        return [name for name, watch in self._watches.items() if not watch.is_settled]

    def stuck(self) -> tuple[Complaint, ...]:
        """What stands still, so that only a new start helps."""
        return tuple(
            Complaint(ailment=Ailment.STUCK, about=about, message=message)
            for about, message in self._standstills()
        )

    def _standstills(self) -> Iterator[tuple[str, str]]:
        for job, seconds in self._ticker.late().items():
            if seconds > self._patience.late_tick.total_seconds():
                yield f"schedule of {job}", f"it is late by {seconds:.0f} s"
        busy = self._store.busy_seconds
        if busy > self._patience.long_call.total_seconds():
            yield "state", f"the state file has not answered for {busy:.0f} s"
        for name, watch in self._watches.items():
            words = watch.standstill()
            if words is not None:
                yield f"polls of {name}", words

    def _state(self) -> Iterator[Complaint]:
        failure = self._store.failure
        if failure is not None:
            yield Complaint(ailment=Ailment.STATE, about="state", message=str(failure))

    def _stale(self, now: float) -> Iterator[Complaint]:
        for watch in self._watches.values():
            for status in watch.overdue.among(watch.repositories.names, now):
                yield _stale(status, now)

    def _heed_clock(self, now: float, moment: float) -> None:
        """Where the clocks parted since the last look, nothing could be polled in between."""
        if self._clocks.parted(now, moment):
            for watch in self._watches.values():
                watch.overdue.count_anew(now)


def _stale(status: RepositoryStatus, now: float) -> Complaint:
    last = status.last_success
    when = "since the start" if last is None else f"for {max(now - last, 0.0):.0f} s"
    why = f": {status.last_error}" if status.last_error else ""
    return Complaint(
        ailment=Ailment.STALE,
        about=f"{status.account}/{status.repository}",
        message=f"no successful poll {when}{why}",
    )
