"""The metronome: one APScheduler job per account, which only puts due repositories on a queue.

APScheduler 3 loses nudges, cancels coroutines on shutdown and drops late runs by default
(ARCHITECTURE section 4), so its jobs here do no work, and when a job fires next is read from the
account's own schedule. When the clock is set back, it would rest for as long; then all is due at
once. Imported by the daemon only: `--once` needs no clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
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


class Every(BaseTrigger):  # type: ignore[misc]
    """Fires after each interval. What was missed while the machine slept, or when the clock was
    set on, is made up for once; APScheduler's own goes through each time in a year of them."""

    def __init__(self, interval: timedelta) -> None:
        self._interval = interval

    def get_next_fire_time(self, previous: datetime | None, now: datetime) -> datetime:
        """The APScheduler interface; `now` and the answer are aware."""
        due = (previous or now) + self._interval
        return due if due > now else now + self._interval


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Ticker:
    """Runs named jobs by APScheduler; replacing a job by its name is how a reload changes it."""

    def __init__(
        self,
        now: Callable[[], datetime] = _utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._monotonic = monotonic
        self._expected: dict[str, float] = {}
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
        self._expected.clear()
        if self._heart is not None:
            self._heart.cancel()
        if self._scheduler.running:
            self._scheduler.pause()
            await asyncio.sleep(0)  # a job that has begun ends by itself; canceled it is an error
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)

    def late(self) -> Mapping[str, float]:
        """The jobs that should have been called before now, and by how many seconds; whatever the
        clock on the wall was set to meanwhile."""
        now = self._monotonic()
        return {name: now - at for name, at in self._expected.items() if at < now}

    def when_due(
        self, name: str, next_due: Callable[[], float | None], fire: Callable[[], None]
    ) -> None:
        """Call `fire` whenever `next_due` (epoch seconds) has come."""
        self._add(name, fire, NextDue(next_due), _LONGEST, _LONGEST)

    def sooner(self, name: str) -> None:
        """What such a job waits for may be due earlier than it was."""
        job = self._scheduler.get_job(name)
        if job is not None:
            now = self._now()
            job.modify(next_run_time=job.trigger.get_next_fire_time(now, now))

    def every(
        self,
        name: str,
        interval: timedelta,
        fire: Callable[[], None],
        *,
        first: timedelta | None = None,
    ) -> None:
        """Call `fire` after each interval; the `first` time may come sooner."""
        first = interval if first is None else first
        start = datetime.now(UTC) + first
        self._add(name, fire, Every(interval), first, interval, next_run_time=start)

    def remove(self, name: str) -> None:
        self._expected.pop(name, None)
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

    def _add(
        self,
        name: str,
        fire: Callable[[], None],
        trigger: BaseTrigger,
        first: timedelta,
        interval: timedelta,
        **settings: Any,
    ) -> None:
        """A plain function would be run in a thread; a coroutine function runs in the loop."""

        async def run() -> None:
            if name in self._expected:
                self._expected[name] = self._monotonic() + interval.total_seconds()
            fire()

        self._expected[name] = self._monotonic() + first.total_seconds()
        self._scheduler.add_job(run, trigger, id=name, name=name, replace_existing=True, **settings)
