"""The metronome: one APScheduler job per account, which only puts due repositories on a queue.

APScheduler 3 loses nudges, cancels coroutines on shutdown and drops late runs by default
(ARCHITECTURE section 4), so its jobs here do no work, and when a job fires next is read from the
account's own schedule. When the clock is set back, it would rest for as long; then all is due at
once. Imported by the daemon only: `--once` needs no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.base import BaseTrigger

_SHORTEST = timedelta(milliseconds=20)
_LONGEST = timedelta(seconds=1)


class NextDue(BaseTrigger):  # type: ignore[misc]
    """Fires when the next thing is due, at most 50 times a second and at least once in one."""

    def __init__(self, next_due: Callable[[], float | None]) -> None:
        self._next_due = next_due

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The APScheduler interface; `now` and the answer are aware."""
        due = self._next_due()
        latest = now + _LONGEST
        if due is None:
            return latest
        at = datetime.fromtimestamp(due, UTC)
        return max(min(at, latest), now + _SHORTEST if previous is not None else now)


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ticker:
    """Runs named jobs by APScheduler; replacing a job by its name is how a reload changes it."""

    def __init__(self, now: Callable[[], datetime] = _utc_now) -> None:
        self._now = now
        self._latest = now()
        self._heart: asyncio.TimerHandle | None = None
        self._scheduler: Any = AsyncIOScheduler(
            timezone=UTC,
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )

    def start(self) -> None:
        self._scheduler.start()
        self._beat()

    async def stop(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.sleep(0)  # a job that has begun ends by itself; canceled it is an error
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def when_due(
        self, name: str, next_due: Callable[[], float | None], fire: Callable[[], None]
    ) -> None:
        """Call `fire` whenever `next_due` (epoch seconds) has come."""
        self._add(name, _in_loop(fire), NextDue(next_due))

    def every(
        self,
        name: str,
        interval: timedelta,
        fire: Callable[[], None],
        *,
        first: timedelta | None = None,
    ) -> None:
        """Call `fire` after each interval; the `first` time may come sooner."""
        from apscheduler.triggers.interval import IntervalTrigger

        start = datetime.now(UTC) + (interval if first is None else first)
        trigger = IntervalTrigger(seconds=interval.total_seconds(), start_date=start)
        self._add(name, _in_loop(fire), trigger)

    def remove(self, name: str) -> None:
        if self._scheduler.get_job(name) is not None:
            self._scheduler.remove_job(name)

    def _beat(self) -> None:
        """Once a second by the loop's own time, which nobody sets."""
        now = self._now()
        if now < self._latest:
            for job in self._scheduler.get_jobs():
                job.modify(next_run_time=now)
        self._latest = now
        loop = asyncio.get_running_loop()
        self._heart = loop.call_later(_LONGEST.total_seconds(), self._beat)

    def _add(self, name: str, fire: Callable[[], Any], trigger: BaseTrigger) -> None:
        self._scheduler.add_job(fire, trigger, id=name, name=name, replace_existing=True)


def _in_loop(fire: Callable[[], None]) -> Callable[[], Any]:
    """A plain function would be run in a thread; a coroutine function runs in the loop."""

    async def run() -> None:
        fire()

    return run
