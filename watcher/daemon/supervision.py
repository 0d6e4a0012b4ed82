"""Tells the service manager when the daemon is ready, what it does, and that it gets on.

The watchdog is fed only while nothing stands still (`vitals`); a loop that stands can't feed it at
all. What stands still is logged, also where nobody listens. Started by `service`.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import timedelta

from watcher.core.health import Complaint
from watcher.core.poll import RepositoryState
from watcher.daemon.vitals import Vitals
from watcher.engine.watch import AccountWatch
from watcher.telemetry.events import Event
from watcher.telemetry.log import Log
from watcher.telemetry.systemd import ServiceManager

STATUS_EVERY = timedelta(seconds=5)
OPENING = timedelta(minutes=10)
"""What a state file may take that an older version wrote: it is copied first."""

DRAIN = timedelta(seconds=30)  # 20 s for stages (SPEC 8), and the last transaction
_LOOK_BEFORE_READY = timedelta(milliseconds=100)
_PATIENCE = timedelta(seconds=30)


class Supervision:
    """`running` says how many executions are under way."""

    def __init__(
        self,
        manager: ServiceManager,
        vitals: Vitals,
        watches: Mapping[str, AccountWatch],
        running: Callable[[], int],
        *,
        log: Log,
        clock: Callable[[], float],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._manager = manager
        self._vitals = vitals
        self._watches = watches
        self._running = running
        self._log = log
        self._clock = clock
        self._monotonic = monotonic
        self._is_ready = False
        self._refused: str | None = None
        self._said = ""
        self._next_status = 0.0
        self._next_food = 0.0
        self._owes_ready = False
        self._is_stopping = False
        self._stuck: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._look()
            if not self._is_stopping:
                self._tell()
            await asyncio.sleep(self._pause().total_seconds())

    def reloading(self) -> None:
        """To be followed by `reloaded`, however it ends."""
        if self._is_ready:
            self._manager.reloading()

    def reloaded(self, refused: str | None = None) -> None:
        """The config holds that was read, or the one before where that was `refused`."""
        self._refused = refused
        if self._is_ready:
            self._say_ready()

    def stopping(self) -> None:
        """From now on it is only fed, until it ends."""
        self._is_stopping = True
        self._manager.stopping(DRAIN)

    def _pause(self) -> timedelta:
        if not self._is_ready:
            return _LOOK_BEFORE_READY
        watchdog = self._manager.watchdog
        return STATUS_EVERY if watchdog is None else min(STATUS_EVERY, watchdog / 4)

    def _look(self) -> None:
        stuck = self._vitals.stuck()
        self._complain(stuck)
        watchdog, now = self._manager.watchdog, self._monotonic()
        if stuck or watchdog is None or now < self._next_food:
            return
        if self._manager.goes_on():
            self._next_food = now + watchdog.total_seconds() / 2

    def _complain(self, stuck: tuple[Complaint, ...]) -> None:
        """Once for each, for after the end nobody knows any more why it was killed."""
        for complaint in stuck:
            if complaint.about not in self._stuck:
                self._log.error(Event.STANDSTILL, about=complaint.about, error=complaint.message)
        self._stuck = frozenset(complaint.about for complaint in stuck)

    def _tell(self) -> None:
        if not self._is_ready and self._vitals.is_ready:
            self._is_ready = True
            unanswered = ", ".join(self._vitals.unanswered) or None
            self._log.info(Event.READY, accounts=len(self._watches), unanswered=unanswered)
            self._say_ready()
        elif self._manager.listens and self._is_time_for_status():
            self._say(self._line() if self._is_ready else self._waiting())

    def _say_ready(self) -> None:
        """One that got lost would keep the start, or the reload, under way for ever."""
        self._said = self._line()
        self._owes_ready = not self._manager.ready(self._said)

    def _waiting(self) -> str:
        """What start-up waits for, and that it may."""
        self._manager.needs(_PATIENCE)
        return f"starts; waits for the first answer of {', '.join(self._vitals.unanswered)}"

    def _is_time_for_status(self) -> bool:
        now = self._monotonic()
        if now < self._next_status:
            return False
        self._next_status = now + STATUS_EVERY.total_seconds()
        return True

    def _say(self, line: str) -> None:
        if self._owes_ready:
            self._say_ready()
        elif line != self._said and self._manager.status(line):
            self._said = line

    def _line(self) -> str:
        """`2 accounts, 9 repositories: 8 ok, 1 failing; next poll in 4 s; 1 execution running`."""
        now = self._clock()
        states: Counter[RepositoryState] = Counter()
        for watch in self._watches.values():
            states.update(watch.state_counts(now))
        parts = [_repositories(len(self._watches), states)]
        dues = [due for watch in self._watches.values() if (due := watch.next_due()) is not None]
        if dues:
            parts.append(f"next poll in {max(min(dues) - now, 0.0):.0f} s")
        if running := self._running():
            parts.append(f"{_counted(running, 'execution')} running")
        if unanswered := self._vitals.unanswered:
            parts.append(f"no answer yet of {', '.join(unanswered)}")
        if self._stuck:
            parts.append(f"stands still: {', '.join(sorted(self._stuck))}")
        if lost := self._log.lost:
            parts.append(f"{_counted(lost, 'log line')} lost")
        if self._refused is not None:
            parts.append(f"the new config is refused, the one before holds: {self._refused}")
        return "; ".join(parts)


def _repositories(accounts: int, states: Counter[RepositoryState]) -> str:
    head = f"{_counted(accounts, 'account')}, {_counted(states.total(), 'repository')}"
    fare = ", ".join(f"{states[state]} {state}" for state in RepositoryState if states[state])
    return f"{head}: {fare}" if fare else head


def _counted(number: int, word: str) -> str:
    if number == 1:
        return f"1 {word}"
    return f"{number} {word[:-1]}ies" if word.endswith("y") else f"{number} {word}s"
