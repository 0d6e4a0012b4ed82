"""Concurrency, pace and patience: what HostLimits lets through, and when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime

import pytest

from tests.registry.accounts import Clock, account_for
from watcher.core.account import Account, Limits
from watcher.errors import RateLimited
from watcher.registry.limits import HostLimits, Lane
from watcher.registry.retry_after import LONGEST, retry_after

HOST = "registry.example"


def account(name: str = "one", host: str = HOST, **limits: float | int | None) -> Account:
    return account_for(host, plain_http=False, name=name, limits=Limits(**limits))  # type: ignore[arg-type]


async def most_at_once(*lanes: Lane, requests: int = 20) -> int:
    """How many requests were under way at the same time."""
    running = most = 0

    async def request(lane: Lane) -> None:
        nonlocal running, most
        async with lane.turn():
            running += 1
            most = max(most, running)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(request(lane) for lane in lanes for _ in range(requests)))
    return most


async def test_an_account_sends_no_more_at_once_than_its_concurrency() -> None:
    limits = HostLimits()
    assert await most_at_once(limits.lane(account(concurrency=3))) == 3


async def test_accounts_of_one_host_share_the_larger_bound_of_theirs() -> None:
    limits = HostLimits()
    lanes = limits.lane(account("one", concurrency=3)), limits.lane(account("two", concurrency=5))
    assert await most_at_once(*lanes) == 5


async def test_hosts_do_not_bound_each_other() -> None:
    limits = HostLimits()
    lanes = [limits.lane(account(host=host, concurrency=2)) for host in ("a.example", "b.example")]
    assert await most_at_once(*lanes) == 4


async def test_who_gives_up_waiting_takes_no_place() -> None:
    lane = HostLimits().lane(account(concurrency=1))
    async with lane.turn():
        waiting = asyncio.create_task(most_at_once(lane, requests=1))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert await most_at_once(lane, requests=2) == 1


async def test_requests_per_second_are_spread_evenly() -> None:
    clock = Clock()
    lane = HostLimits(clock=clock, sleep=clock.sleep).lane(account(requests_per_second=4))
    times = []
    for _ in range(5):
        async with lane.turn():
            times.append(clock.now - 1_800_000_000)
    assert times == [0, 0.25, 0.5, 0.75, 1.0]


async def test_a_parked_host_gets_nothing_from_any_of_its_accounts() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    one, two = account("one"), account("two")
    lane = limits.lane(one)
    lane.park(lane.host_key, 60)
    for some in (one, two):
        with pytest.raises(RateLimited) as caught:
            async with limits.lane(some).turn():
                raise AssertionError("it was let through")
        assert caught.value.retry_after is not None
        assert caught.value.retry_after.total_seconds() == 60
        assert limits.blocked_until(some) == clock.now + 60
    clock.now += 60
    async with lane.turn():
        assert limits.blocked() == {}


async def test_a_parked_account_leaves_the_others_alone() -> None:
    limits = HostLimits(clock=Clock())
    one, two = account("one"), account("two")
    limits.park(limits.lane(one).account_key, 60)
    assert limits.blocked_until(one) is not None
    async with limits.lane(two).turn():
        assert limits.blocked_until(two) is None


async def test_what_is_parked_outlives_the_process() -> None:
    clock = Clock()
    before = HostLimits(clock=clock)
    before.park(HOST, 3600)
    after = HostLimits(clock=clock, blocked=before.blocked())
    assert after.blocked_until(account()) == clock.now + 3600


async def test_without_a_wish_of_its_own_a_host_is_parked_longer_each_time() -> None:
    limits = HostLimits(clock=Clock())
    assert [limits.park(HOST, None) for _ in range(9)] == [
        30,
        60,
        120,
        240,
        480,
        960,
        1920,
        3600,
        3600,
    ]
    limits.succeeded(HOST)
    assert limits.park(HOST, None) == 30


async def test_a_shorter_wish_does_not_end_a_longer_one() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    limits.park(HOST, 100)
    limits.park(HOST, 5)
    assert limits.blocked() == {HOST: clock.now + 100}


NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC).timestamp()


def date(seconds: float) -> str:
    return format_datetime(datetime.fromtimestamp(NOW + seconds, UTC), usegmt=True)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("7", 7),
        ("0", 1),
        ("-5", 1),
        (" 30 ", 30),
        ("1.5", 1.5),
        ("99999", LONGEST),
        ("9" * 18, LONGEST),
        (date(90), 90),
        (date(-90), 1),
        (date(10 * 24 * 3600), LONGEST),
        ("Sat, 21 Nov 2026 13:00:00 +0100", 1),
        ("880.092µs", 1),
        ("880.092Âµs", 1),
        ("1m30s", 90),
        ("1h2m3.5s", 3723.5),
        ("soon", None),
        ("", None),
        ("9" * 5000, None),
        ("Sat, 99 Nov 2026 99:99:99 GMT", None),
        (None, None),
    ],
)
def test_retry_after_is_read_in_every_form(header: str | None, expected: float | None) -> None:
    assert retry_after(header, "", NOW) == expected


def test_ghcr_says_it_in_the_text_only() -> None:
    assert retry_after(None, "retry-after: 12.5s, allowed: 44000/minute", NOW) == 12.5
