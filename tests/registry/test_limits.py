"""Concurrency, pace and patience: what HostLimits lets through, and when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest

from tests.registry.accounts import Clock, account_for
from watcher.core.account import Account, DialectName, Limits
from watcher.core.host import Counts, Recognition
from watcher.errors import RateLimited
from watcher.http_client import Headers
from watcher.registry.answer import Answer
from watcher.registry.budgets.limits import HostLimits, Lane, Priority
from watcher.registry.budgets.retry_after import LONGEST, retry_after

HOST = "registry.example"


def account(
    name: str = "one",
    host: str = HOST,
    *,
    concurrency: int = 8,
    requests_per_second: float | None = None,
    **settings: Any,
) -> Account:
    limits = Limits(concurrency=concurrency, requests_per_second=requests_per_second)
    return account_for(host, plain_http=False, name=name, limits=limits, **settings)


def answer(status: int = 200, **headers: str) -> Answer:
    """An answer with headers, written with underscores."""
    lines = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Answer(status, Headers(lines), b"", f"https://{HOST}/v2/")


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


async def starts(clock: Clock, *lanes: Lane, counts: Counts = Counts.REQUESTS) -> list[float]:
    """When the lanes, each in its turn, begin ten requests."""
    began = clock.now
    times = []
    for lane in lanes * 10:
        async with lane.turn(counts=counts):
            times.append(clock.now - began)
    return times[:10]


async def test_requests_per_second_are_spread_evenly_after_half_a_second_s_worth() -> None:
    clock = Clock()
    lane = HostLimits(clock=clock, sleep=clock.sleep).lane(account(requests_per_second=4))
    assert await starts(clock, lane) == [0, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    clock.now += 60
    assert await starts(clock, lane) == [0, 0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75, 2]
    assert max(clock.slept) <= 0.25


async def test_a_clock_that_is_set_back_holds_no_request_up() -> None:
    clock = Clock()
    lane = HostLimits(clock=clock, sleep=clock.sleep).lane(account(requests_per_second=1))
    await starts(clock, lane)
    clock.now -= 86_400
    assert await starts(clock, lane) == list(range(1, 11))


@pytest.mark.parametrize(
    ("settings", "counts", "last"),
    [
        pytest.param({}, Counts.REQUESTS, 0.2, id="as the kind says: HTTP/2"),
        pytest.param({"http2": False}, Counts.REQUESTS, 2, id="HTTP/1.1"),
        pytest.param({"plain_http": True}, Counts.REQUESTS, 2, id="plain http never is HTTP/2"),
        pytest.param({"http2": False}, Counts.NATIVE, 2, id="its API has no pace of its own"),
        pytest.param({"dialect": DialectName.DOCKER_HUB}, Counts.NATIVE, 4.5, id="its API has one"),
        pytest.param({"dialect": DialectName.HARBOR}, Counts.REQUESTS, 0, id="none is known"),
        pytest.param(
            {"limits": Limits(requests_per_second=1)}, Counts.REQUESTS, 9, id="the account's own"
        ),
    ],
)
async def test_a_host_s_pace_is_that_of_its_kind(
    settings: dict[str, Any], counts: Counts, last: float
) -> None:
    clock = Clock()
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lane = limits.lane(account_for("quay.io", **{"plain_http": False, **settings}))
    assert (await starts(clock, lane, counts=counts))[-1] == pytest.approx(last, abs=0.3)


async def test_accounts_of_one_host_share_its_pace() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock, sleep=clock.sleep)
    lanes = [
        limits.lane(account_for("quay.io", plain_http=False, http2=False, name=name))
        for name in ("one", "two")
    ]
    assert (await starts(clock, *lanes))[-1] == 2


async def test_a_pace_begins_when_a_host_is_recognised() -> None:
    clock = Clock()
    lane = HostLimits(clock=clock, sleep=clock.sleep).lane(account(http2=False))
    assert (await starts(clock, lane))[-1] == 0
    lane.facts.recognition = Recognition(DialectName.QUAY, None, clock.now)
    assert (await starts(clock, lane))[-1] == 2


async def test_who_waits_for_its_pace_takes_no_place_from_others() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    slow = limits.lane(account("slow", concurrency=2, requests_per_second=0.001))
    quick = limits.lane(account("quick", concurrency=2))
    async with slow.turn():
        pass
    waiting = [asyncio.create_task(most_at_once(slow, requests=1)) for _ in range(5)]
    await asyncio.sleep(0)
    assert await most_at_once(quick, requests=5) == 1
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_an_urgent_request_overtakes_in_the_line_for_the_pace() -> None:
    clock = Clock()
    lane = HostLimits(clock=clock, sleep=clock.sleep).lane(account(requests_per_second=2))
    order: list[Priority] = []

    async def request(priority: Priority) -> None:
        async with lane.turn(priority):
            order.append(priority)

    async with lane.turn():
        pass
    wanted = [Priority.COPY, Priority.SCHEDULED, Priority.SCHEDULED, Priority.URGENT]
    await asyncio.gather(*(request(priority) for priority in wanted))
    assert order == sorted(wanted)


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
        assert limits.parking.blocked() == {}


async def test_a_parked_account_leaves_the_others_alone() -> None:
    limits = HostLimits(clock=Clock())
    one, two = account("one"), account("two")
    limits.parking.park(limits.lane(one).account_key, 60)
    assert limits.blocked_until(one) is not None
    async with limits.lane(two).turn():
        assert limits.blocked_until(two) is None


async def test_what_is_parked_outlives_the_process() -> None:
    clock = Clock()
    before = HostLimits(clock=clock)
    before.parking.park(HOST, 3600)
    after = HostLimits(clock=clock, blocked=before.parking.blocked())
    assert after.blocked_until(account()) == clock.now + 3600


async def test_what_was_parked_before_the_clock_was_set_back_a_year_is_not_parked() -> None:
    clock = Clock()
    before = HostLimits(clock=clock)
    before.parking.park(HOST, 3600)
    clock.now -= 365 * LONGEST
    after = HostLimits(clock=clock, blocked={HOST: clock.now + 365 * LONGEST})
    for limits in (before, after):
        assert limits.parking.blocked() == {}
        assert limits.lane(account()).parked_until is None
        async with limits.lane(account()).turn():
            limits.parking.park(HOST, 60)
        assert limits.parking.blocked() == {HOST: clock.now + 60}


async def test_a_clock_that_is_set_back_some_hours_parks_nobody_for_as_long() -> None:
    clock = Clock()
    earlier = HostLimits(clock=clock)
    earlier.parking.park(HOST, 60)
    later = HostLimits(clock=clock, blocked=earlier.parking.blocked())
    clock.now -= 30
    for limits in (earlier, later):
        assert limits.blocked_until(account()) == clock.now + 90, "half a minute is no matter"
    clock.now -= 5 * 3600
    for limits in (earlier, later):
        assert limits.parking.blocked() == {}
        async with limits.lane(account()).turn():
            limits.parking.park(HOST, 60)
        assert limits.blocked_until(account()) == clock.now + 60


async def test_who_waits_is_told_at_once_that_its_host_is_parked() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    lane = limits.lane(account(concurrency=1))
    async with lane.turn():
        waiting = [asyncio.create_task(most_at_once(lane, requests=1)) for _ in range(3)]
        await asyncio.sleep(0)
        lane.park(lane.host_key, 600)
        refused = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(error) for error in refused] == [RateLimited] * 3


@pytest.mark.parametrize(
    ("parked", "refused"),
    [
        pytest.param(Counts.REQUESTS, set(Counts), id="the host"),
        pytest.param(Counts.PULLS, {Counts.PULLS}, id="its pulls"),
        pytest.param(Counts.NATIVE, {Counts.NATIVE}, id="its API"),
    ],
)
async def test_what_is_parked_is_what_was_refused(parked: Counts, refused: set[Counts]) -> None:
    lane = HostLimits(clock=Clock()).lane(account_for("docker.io", plain_http=False))
    lane.park(lane.key_of(parked), 60)

    async def is_refused(counts: Counts) -> bool:
        try:
            async with lane.turn(counts=counts):
                return False
        except RateLimited:
            return True

    assert {counts for counts in Counts if await is_refused(counts)} == refused


async def test_after_its_time_a_parked_host_gets_one_request_until_one_is_answered() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    lanes = [limits.lane(account(name, concurrency=4)) for name in ("one", "two")]
    lanes[0].park(HOST, 60)
    clock.now += 61
    assert [await most_at_once(lane) for lane in lanes] == [1, 1]
    lanes[0].note(answer(429))
    assert await most_at_once(lanes[0]) == 1
    lanes[0].note(answer(200))
    assert [await most_at_once(lane) for lane in lanes] == [3, 1]


async def test_a_new_process_begins_with_one_request_where_a_host_was_parked() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock, blocked={HOST: clock.now + 60})
    lane = limits.lane(account())
    clock.now += 61
    assert await most_at_once(lane) == 1


def test_without_a_wish_of_its_own_a_host_is_parked_longer_each_time() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)

    def refused_after_its_time() -> float:
        clock.now += 4000
        return limits.parking.park(HOST, None)

    waits = [refused_after_its_time() for _ in range(9)]
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    for _ in range(5):
        limits.parking.succeeded(HOST)
    assert refused_after_its_time() == 3600, "five good answers make up for one refusal"
    for _ in range(50):
        limits.parking.succeeded(HOST)
    assert refused_after_its_time() == 30


def test_refusals_of_what_was_under_way_already_count_once() -> None:
    limits = HostLimits(clock=Clock())
    assert [limits.parking.park(HOST, None) for _ in range(8)] == [30] * 8


async def test_a_shorter_wish_does_not_end_a_longer_one() -> None:
    clock = Clock()
    limits = HostLimits(clock=clock)
    limits.parking.park(HOST, 100)
    limits.parking.park(HOST, 5)
    assert limits.parking.blocked() == {HOST: clock.now + 100}


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
