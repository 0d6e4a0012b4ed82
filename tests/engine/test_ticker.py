"""The metronome calls what is due, when it is due, and nothing else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from watcher.engine.ticker import Every, Ticker


async def test_what_is_due_is_called_soon_and_what_is_not_is_not() -> None:
    ticker = Ticker()
    called = asyncio.Event()
    dues = [time.time() + 0.1, time.time() + 3600]
    early: list[float] = []

    def fire() -> None:
        if dues[0] <= time.time():
            dues.pop(0)
            called.set()
        elif len(dues) == 1:
            early.append(time.time())

    ticker.when_due("account main", lambda: dues[0], fire)
    ticker.start()
    await asyncio.wait_for(called.wait(), 5)
    await ticker.stop()
    assert len(dues) == 1


async def test_a_job_that_is_removed_or_replaced_is_called_no_more() -> None:
    ticker = Ticker()
    old: list[int] = []
    new = asyncio.Event()
    ticker.every("job", timedelta(milliseconds=20), lambda: old.append(1))
    ticker.every("job", timedelta(milliseconds=20), new.set)
    ticker.start()
    await asyncio.wait_for(new.wait(), 5)
    ticker.remove("job")
    ticker.remove("job")
    await ticker.stop()
    assert old == []


async def test_the_first_time_may_be_at_once() -> None:
    ticker = Ticker()
    called = asyncio.Event()
    ticker.every("hourly", timedelta(hours=1), called.set, first=timedelta(0))
    ticker.start()
    try:
        await asyncio.wait_for(called.wait(), 5)
    finally:
        await ticker.stop()


async def test_a_job_that_is_not_called_in_time_is_late_until_it_is_called() -> None:
    now = [100.0]
    ticker = Ticker(monotonic=lambda: now[0])
    called = asyncio.Event()
    ticker.every("rare", timedelta(hours=1), lambda: None)
    ticker.when_due("account main", lambda: None, called.set)
    now[0] += 31
    assert ticker.late() == {"account main": 30.0}
    ticker.start()
    await asyncio.wait_for(called.wait(), 5)
    assert ticker.late() == {}
    now[0] += 3600
    assert ticker.late().keys() == {"account main", "rare"}
    ticker.remove("rare")
    assert ticker.late().keys() == {"account main"}
    await ticker.stop()
    assert ticker.late() == {}


async def test_stopping_twice_or_before_the_start_is_no_error() -> None:
    ticker = Ticker()
    await ticker.stop()
    ticker.start()
    await ticker.stop()
    await ticker.stop()


async def test_a_clock_that_is_set_back_stops_no_job() -> None:
    back = [timedelta()]
    ran = asyncio.Event()
    ticker = Ticker(lambda: datetime.now(UTC) - back[0])
    ticker.every("hourly", timedelta(hours=1), ran.set)
    ticker.start()
    try:
        back[0] = timedelta(days=1)
        await asyncio.wait_for(ran.wait(), 10)
    finally:
        await ticker.stop()


async def test_what_comes_to_be_due_sooner_is_called_then() -> None:
    ticker = Ticker()
    dues = [time.time() + 3600]
    called = asyncio.Event()
    ticker.when_due("account main", lambda: dues[0], called.set)
    ticker.start()
    try:
        await asyncio.sleep(0)
        called.clear()
        dues[0] = time.time() + 0.05
        ticker.sooner("account main")
        ticker.sooner("account of a reload that took it away")
        await asyncio.wait_for(called.wait(), 0.9)
    finally:
        await ticker.stop()


def test_what_was_missed_in_a_year_is_made_up_for_once() -> None:
    interval, now = timedelta(milliseconds=500), datetime(2026, 3, 1, tzinfo=UTC)
    every = Every(interval)
    assert every.get_next_fire_time(None, now) == now + interval
    assert every.get_next_fire_time(now, now) == now + interval
    assert every.get_next_fire_time(now - timedelta(days=365), now) == now + interval
